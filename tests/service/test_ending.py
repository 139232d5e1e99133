"""SIGTERM and Ctrl+C: what runs ends, new requests get 503, and whatever clients do, the service ends."""

import json
import signal
import socket
import threading
import time

import httpx2 as httpx
import pytest

pytestmark = pytest.mark.service

LONG = {
    "architecture": "gru",
    "events": {"heart_rate": {"t": [2.0 * i for i in range(6_000)], "value": [60] * 6_000}},
}
SHORT = {"model_type": "gru", "heart_rate": [60] * 30}
LONGEST_S = 60  # that a test waits for the end; where nothing else runs it takes under 10


def connected(server):
    host, port = server.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_runs_ends_and_new_requests_are_refused(start, workers):
    server = start("--workers", workers)
    answers = []
    with httpx.Client(base_url=server.address, timeout=60) as client:
        client.post("/predict", json=SHORT)  # a connection that is kept
        running = threading.Thread(target=lambda: answers.append(client.post("/api/predict", json=LONG)))
        running.start()
        while "wristsleep_requests_running 2.0" not in client.get("/metrics").text:
            assert not answers  # it takes long enough to be seen
        server.process.send_signal(signal.SIGTERM)
        refused = []
        while running.is_alive():
            try:
                refused.append(client.post("/predict", json=SHORT).status_code)
            except httpx.TransportError:
                break
        running.join()
    assert server.process.wait(timeout=LONGEST_S) == 0
    assert answers[0].status_code == 200 and len(answers[0].json()["epochs"]) == 399
    assert 503 in refused and {*refused} <= {200, 503}  # 200: before the signal arrived


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
