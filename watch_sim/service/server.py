"""Serves a run over HTTP: one process or several, on one socket, each connection with a time limit."""

import ipaddress
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import click
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from pipeline.errors import UserMistake
from watch_sim.service.logs import LOG_CONFIG
from watch_sim.service.metrics import FOLDER_VARIABLE
from watch_sim.service.run import ServedRun
from watch_sim.service.settings import KEY_VARIABLE, Settings, key_from
from watch_sim.service.stopping import CUT_S
from watch_sim.service.tokens import LEAST_KEY

HEAD_S = 10  # within which the head of a request must have come
REQUEST_S = 90  # within which its answer must have been taken
IDLE_S = 5  # between two requests of a connection
MOST_CONNECTIONS = 4000  # of a worker
MOST_MESSAGE = 2**22  # bytes of a WebSocket's message


class TimedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn has it, but a client that is too slow is dropped, at whichever end of a request."""

    limit = None  # the handle of the timer

    def connection_made(self, transport: Any) -> None:
        """Begin to count."""
        super().connection_made(transport)
        self._within(HEAD_S)

    def data_received(self, data: bytes) -> None:
        """Once the head of a request is there, the rest has its own time."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._within(REQUEST_S)

    def on_response_complete(self) -> None:
        """The next request has its own time."""
        before = self.cycle
        super().on_response_complete()  # which may begin a request that waited
        self._within(HEAD_S if self.cycle is before else REQUEST_S)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """A WebSocket has its own limits."""
        self._within(None)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to count."""
        self._within(None)
        super().connection_lost(exc)

    def _within(self, seconds):
        if self.limit:
            self.limit.cancel()
        self.limit = self.loop.call_later(seconds, self.transport.abort) if seconds else None


def loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; UserMistake where there can be none."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=2048)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it for other sockets only
        return listening
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserMistake(f"--host {host} --port {port}: cannot be listened on ({reason}); try another port") from None


def serve(settings: Settings, host: str, port: int, workers: int = 1, no_auth: bool = False) -> None:
    """Serve a run until interrupted.

    Args:
        settings: What is served, and to whom; hosts and key are filled in here.
        host: Address to listen on.
        port: 0: any that is free.
        workers: Processes.
        no_auth: Whether everybody may ask, from other machines, too.

    Raises:
        UserMistake: The address cannot be listened on, the run cannot be served, or who may ask is not settled.
    """
    if not host.strip():
        raise UserMistake("--host: is empty; name an address, 127.0.0.1 or 0.0.0.0")
    if not settings.bearers and not no_auth and not loopback(host):
        raise UserMistake(
            f"--host {host}: others can reach it; give --token_file FILE, or --no_auth to let everybody in"
        )
    if settings.bearers and no_auth:
        raise UserMistake("--no_auth: with a --token_file; leave one of them out")
    everywhere = host in ("0.0.0.0", "::")
    key = key_from(os.environ)
    hosts = ("*",) if everywhere else (host.lower(), "localhost", "127.0.0.1", "::1")
    settings = replace(settings, hosts=hosts, key=key or secrets.token_bytes(LEAST_KEY))
    ServedRun(settings.run, settings.dataset_dir)  # a mistake is found before anything is started
    listening = listen(host, port)
    name = "localhost" if everywhere else f"[{host}]" if ":" in host else host
    click.echo(f"http://{name}:{listening.getsockname()[1]}/  (Ctrl+C ends it)")
    if key is None:
        click.echo(f"live tokens hold until it ends, and in no other replica: {KEY_VARIABLE} is not set")
    if no_auth:
        click.echo("--no_auth: whoever reaches this address is let in")
    sys.stdout.flush()
    config = uvicorn.Config(
        partial(app_of, settings),
        factory=True,
        http=TimedProtocol,
        ws="websockets-sansio",
        ws_max_size=MOST_MESSAGE,
        ws_max_queue=4,
        log_config=LOG_CONFIG,
        access_log=False,
        server_header=False,
        workers=workers,
        limit_concurrency=MOST_CONNECTIONS,
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
    """The app of a worker."""
    from watch_sim.service.app import create_app

    return create_app(settings)
