"""SIGTERM and Ctrl+C: what runs ends, new requests get 503, and whatever clients do, the service ends."""

import json
import signal
import socket
import threading
import time

import httpx2 as httpx
import psutil
import pytest

from watch_sim.service.app import PAGE

pytestmark = pytest.mark.service

LONG = {
    "architecture": "gru",
    "events": {"heart_rate": {"t": [2.0 * i for i in range(6_000)], "value": [60] * 6_000}},
}
SHORT = {"model_type": "gru", "heart_rate": [60] * 30}
LARGE = PAGE / "litert" / "litert_wasm_compat_internal.wasm"
LONGEST_S = 60  # that a test waits for the end; where nothing else runs it takes under 10


def address_of(server):
    host, port = server.address.removeprefix("http://").split(":")
    return host, int(port)


def connected(server):
    return socket.create_connection(address_of(server))


def downloads(server, workers):
    """A connection to each worker, on which a file is being sent that does not fit into its buffers."""
    processes = [psutil.Process(server.process.pid)]
    if workers > 1:
        processes = [child for child in processes[0].children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(processes) == workers
    connections = {}
    while len(connections) < workers:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(address_of(server))
        client.sendall(f"GET /litert/{LARGE.name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        at = client.getsockname()
        (pid,) = [p.pid for p in processes for c in p.net_connections("tcp") if c.raddr == at]
        if connections.setdefault(pid, client) is not client:
            client.close()
            time.sleep(0.05)  # the other worker may still be starting
    return [*connections.values()]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_runs_ends_and_new_requests_are_refused(start, workers):
    server = start("--workers", workers)
    clients = downloads(server, workers)  # as a worker without a request would end at once
    answers = []
    running = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{server.address}/api/predict", json=LONG, timeout=60))
    )
    running.start()
    seen = f"wristsleep_requests_running {workers + 2}.0"
    while seen not in httpx.get(f"{server.address}/metrics").text:
        assert not answers  # it takes long enough to be seen
    server.process.send_signal(signal.SIGTERM)
    while (status := httpx.post(f"{server.address}/predict", json=SHORT, timeout=60).status_code) != 503:
        assert status == 200  # before the signal arrived
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        with client.makefile("rb") as file:
            while file.readline() != b"\r\n":
                pass
            assert file.read(LARGE.stat().st_size) == LARGE.read_bytes()
        client.close()
    running.join()
    assert answers[0].status_code == 200 and len(answers[0].json()["epochs"]) == 399
    assert server.process.wait(timeout=LONGEST_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /predict HTTP/1.1\r\nHost: local",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_an_unfinished_request_does_not_keep_it(start, number, sent):
    server = start()
    with connected(server) as client:
        client.sendall(sent)
        assert httpx.get(f"{server.address}/healthz").status_code == 200
        server.process.send_signal(number)
        assert server.process.wait(timeout=LONGEST_S) == 0


def test_a_socket_is_told_and_ends(start):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    server = start()
    with connect(f"ws{server.address.removeprefix('http')}/live") as client:
        client.send(json.dumps({"open": {"architecture": "gru"}, "now": 30}))
        token = json.loads(client.recv())["token"]
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd.code == 1012  # RFC 6455: service restart
    assert server.process.wait(timeout=LONGEST_S) == 0
    again = start()
    answer = httpx.post(f"{again.address}/live", json={"token": token, "now": 60}).json()
    assert [epoch["time"] for epoch in answer["epochs"]] == [30]


def test_slow_clients_are_dropped_and_keep_nobody_out(start):
    server = start()
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
    slow = [connected(server) for _ in range(200)]
    for i, client in enumerate(slow):
        client.sendall((head if i % 2 else head[:50]).encode())
    for _ in range(3):
        assert httpx.post(f"{server.address}/predict", json=SHORT).status_code == 200
        for client in slow:
            client.sendall(b" ")
        time.sleep(1)
    ends = []
    for client in slow:
        client.settimeout(60)
        received = b""
        while part := client.recv(4096):
            received += part
        ends.append(received[:12])
        client.close()
    assert {*ends[::2]} == {b""}  # a head that does not come is not answered
    assert {*ends[1::2]} == {b"HTTP/1.1 408"}
