"""Serves a run over HTTP: one or more processes on one socket, with a time limit per connection."""

import ipaddress
import os
import secrets
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import click
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.supervisors import Multiprocess

from pipeline.errors import UserMistake
from watch_sim.service.logs import LOG_CONFIG, log_warning
from watch_sim.service.metrics import FOLDER_VARIABLE
from watch_sim.service.run import ServedRun
from watch_sim.service.settings import KEY_VARIABLE, Settings, key_from
from watch_sim.service.stopping import CUT_S
from watch_sim.service.tokens import LEAST_KEY

HEAD_S = 10  # for the head of a request to arrive
REQUEST_S = 90  # for the rest of the request and its response
TAKEN_S = 20  # for a WebSocket client to read what waits for it
IDLE_S = 5  # between two requests of a connection
SWITCH_S = 0.0005  # after which the event loop may interrupt a prediction's thread; Python's 5 ms add up in live steps
MOST_CONNECTIONS = 4000  # per worker
MOST_MESSAGE = 2**22  # bytes in a WebSocket message


class TimedProtocol(H11Protocol):
    """Uvicorn's HTTP/1.1, but a client that sends or receives too slowly is disconnected."""

    limit = None  # the handle of the timer

    def connection_made(self, transport: Any) -> None:
        """Start the timer."""
        super().connection_made(transport)
        self._within(HEAD_S)

    def data_received(self, data: bytes) -> None:
        """Restart the timer once the head of a request has arrived."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._within(REQUEST_S)

    def on_response_complete(self) -> None:
        """Restart the timer for the next request."""
        before = self.cycle
        super().on_response_complete()  # which may begin a waiting request
        self._within(HEAD_S if self.cycle is before else REQUEST_S)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Stop the timer: WebSockets have their own limits."""
        self._within(None)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._within(None)
        super().connection_lost(exc)

    def _within(self, seconds):
        if self.limit:
            self.limit.cancel()
        self.limit = self.loop.call_later(seconds, self.transport.abort) if seconds else None


class TimedSocket(WebSocketsSansIOProtocol):
    """WebSockets as uvicorn has them, but a client that does not take what is sent is dropped, and not listened to
    meanwhile: answers to its pings are written to memory, too.
    """

    limit = None  # the handle of the timer

    def pause_writing(self) -> None:
        """As much waits for the client as may wait."""
        super().pause_writing()
        self.transport.pause_reading()
        self.limit = self.loop.call_later(TAKEN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken it."""
        self._unlimited()
        if not self.read_paused:
            self.transport.resume_reading()
        super().resume_writing()

    def keepalive_timeout(self) -> None:
        """A client that answers no ping may take nothing at all: closing would wait for it."""
        super().keepalive_timeout()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to count."""
        self._unlimited()
        super().connection_lost(exc)

    def _unlimited(self):
        if self.limit:
            self.limit.cancel()
        self.limit = None


def loopback(host: str) -> bool:
    """Whether an address can be reached only from this machine."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises UserMistake if it cannot be opened."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=2048)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it for other sockets only
        return listening
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserMistake(f"--host {host} --port {port}: cannot listen there ({reason}); try another port") from None


def serve(settings: Settings, host: str, port: int, workers: int = 1, no_auth: bool = False) -> None:
    """Serve a run until interrupted.

    Args:
        settings: The settings; hosts and key are filled in here.
        host: Address to listen on.
        port: Port to listen on; 0: any free one.
        workers: Number of processes.
        no_auth: Whether to allow everyone, including other machines.

    Raises:
        UserMistake: The address cannot be listened on, the run cannot be served, or access is not decided.
    """
    if not host.strip():
        raise UserMistake("--host: empty; name an address, such as 127.0.0.1 or 0.0.0.0")
    if not settings.bearers and not no_auth and not loopback(host):
        raise UserMistake(
            f"--host {host}: other machines can reach it; add --token_file FILE, or --no_auth to allow everyone"
        )
    if settings.bearers and no_auth:
        raise UserMistake("--no_auth: cannot be used with --token_file; leave one of them out")
    everywhere = host in ("0.0.0.0", "::")
    key = key_from(os.environ)
    hosts = ("*",) if everywhere else (host.lower(), "localhost", "127.0.0.1", "::1")
    settings = replace(settings, hosts=hosts, key=key or secrets.token_bytes(LEAST_KEY))
    ServedRun(settings.run, settings.dataset_dir)  # finds mistakes before anything is started
    listening = listen(host, port)
    name = "localhost" if everywhere else f"[{host}]" if ":" in host else host
    click.echo(f"http://{name}:{listening.getsockname()[1]}/  (Ctrl+C to stop)")
    if key is None:
        click.echo(f"{KEY_VARIABLE} is not set: live tokens are valid only for this process, until it ends")
    if no_auth:
        click.echo("--no_auth: everyone who can reach this address has access")
    sys.stdout.flush()
    config = uvicorn.Config(
        partial(app_of, settings),
        factory=True,
        http=TimedProtocol,
        ws=TimedSocket,
        ws_max_size=MOST_MESSAGE,
        ws_max_queue=4,
        log_config=LOG_CONFIG,
        access_log=False,
        server_header=False,
        workers=workers,
        limit_concurrency=MOST_CONNECTIONS,
        forwarded_allow_ips=os.environ.get("FORWARDED_ALLOW_IPS") or [],  # uvicorn would trust programs on loopback
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=CUT_S,
        timeout_worker_healthcheck=30,
    )
    with ExitStack() as stack:
        run: Callable[[], None] = partial(uvicorn.Server(config).run, [listening])
        if workers > 1:
            os.environ[FOLDER_VARIABLE] = stack.enter_context(tempfile.TemporaryDirectory(prefix="wristsleep-metrics-"))
            run = Multiprocess(config, [listening]).run
        else:
            signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again once it has stopped
        with suppress(KeyboardInterrupt):
            run()


def app_of(settings: Settings) -> Any:
    """A worker's app."""
    sys.setswitchinterval(SWITCH_S)
    warnings.showwarning = log_warning
    from watch_sim.service.app import create_app

    return create_app(settings)
