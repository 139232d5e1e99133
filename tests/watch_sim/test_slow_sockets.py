"""WebSockets whose client takes nothing: bounded in memory and time, over real sockets."""

import asyncio
import socket

import pytest
import uvicorn
from uvicorn.server import ServerState

from watch_sim.service import server

HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING = b"\x89\xfd\0\0\0\0" + b"x" * 125  # masked with zeros
MOST = 2**25  # bytes that a client tries to send
answered = b"x" * 1_000_000


async def echo(scope, receive, send):
    """Accept, and answer each message with a large one."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": answered})


def flood(port, frame):
    """Send a frame again and again, and read nothing but the handshake; how much was sent until the connection ended"""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", port))
        client.sendall(HANDSHAKE)
        assert client.recv(64).startswith(b"HTTP/1.1 101")
        sent = 0
        try:
            while sent < MOST:
                client.sendall(frame)
                sent += len(frame)
        except ConnectionError:
            return sent
    raise AssertionError(f"{sent} bytes were taken")


@pytest.mark.parametrize("frame", [PING * 100, b"\x81\x81\0\0\0\0x"], ids=["pings", "messages"])
def test_a_client_that_takes_no_answers_is_dropped(monkeypatch, frame):
    monkeypatch.setattr(server, "TAKEN_S", 0.2)
    config = uvicorn.Config(echo, ws=server.TimedSocket, log_level="critical", ws_ping_interval=None)
    config.load()
    waiting, ended = [0], asyncio.Event()

    class Watched(server.TimedSocket):
        def data_received(self, data):
            super().data_received(data)
            waiting.append(self.transport.get_write_buffer_size())

        def connection_lost(self, exc):
            super().connection_lost(exc)
            ended.set()

    async def serve():
        loop = asyncio.get_running_loop()
        made = lambda: Watched(config=config, server_state=ServerState(), app_state={})  # noqa: E731
        listening = await loop.create_server(made, "127.0.0.1", 0)
        async with listening:
            await loop.run_in_executor(None, flood, listening.sockets[0].getsockname()[1], frame)
            await ended.wait()

    asyncio.run(serve())
    assert max(waiting) < 4 * len(answered)


def test_a_client_that_answers_no_ping_is_dropped_though_something_waits_for_it():
    """Of which less than the high-water mark, so that nothing else drops it."""
    dropped = []

    class Transport:
        def is_closing(self):
            return False

        def write(self, data):
            pass

        def close(self):
            pass  # as a transport does whose buffer is not empty

        def abort(self):
            dropped.append(True)

    async def time_out():
        config = uvicorn.Config(echo, ws=server.TimedSocket, log_level="critical")
        config.load()
        client = server.TimedSocket(config=config, server_state=ServerState(), app_state={})
        client.transport = Transport()
        client.keepalive_timeout()

    asyncio.run(time_out())
    assert dropped == [True]
