"""Replicas behind a real proxy, with the configuration of compose.yaml, and workers of one process: any of them goes on
with a night, and one that is killed takes nothing with it.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest
import yaml
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.service

ROOT = Path(__file__).resolve().parents[2]
OPEN = {"open": {"architecture": "gru"}}
EPOCHS = re.compile(r"wristsleep_live_epochs_total [1-9]")
LIVE = re.compile(r'wristsleep_requests_total\{method="POST",route="/live",status="200"\} (\d+)')


def answered(address):
    """Live steps that a replica answered."""
    found = LIVE.search(httpx.get(f"{address}/metrics").text)
    return int(found.group(1)) if found else 0


@pytest.fixture
def proxied(start, tmp_path):
    """(address of nginx, three replicas behind it)."""
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("nginx is not installed: make test-service installs it, as root")
    with ThreadPoolExecutor() as pool:
        replicas = [*pool.map(lambda _: start(FORWARDED_ALLOW_IPS="*"), range(3))]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert compose["services"]["replica"]["deploy"]["replicas"] == len(replicas)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = compose["configs"]["proxy"]["content"].replace("$$", "$").replace("listen 8080", f"listen 127.0.0.1:{port}")
    server = re.search(r"server replica:8000(.*);", text)
    named = "".join(f"server {replica.address.removeprefix('http://')}{server.group(1)};\n" for replica in replicas)
    places = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace(server.group(), named).replace("http {", "http {\n" + places, 1)
    file = tmp_path / "nginx.conf"
    user = "user root; " if os.getuid() == 0 else ""
    file.write_text(f"{user}daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/log;\n{text}")
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    with subprocess.Popen([nginx, "-e", str(tmp_path / "log"), "-c", str(file)], stderr=subprocess.PIPE) as proxy:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                httpx.get(f"{address}/healthz")
                break
            except httpx.TransportError:
                assert proxy.poll() is None, proxy.stderr.read()
        yield address, replicas
        proxy.terminate()


def test_a_night_over_all_replicas_one_killed_in_the_middle(proxied, night, simulated, told):
    address, replicas = proxied
    half = len(night) // 2
    body, given = dict(OPEN), []
    with httpx.Client(base_url=address, timeout=60) as client:
        for i, (samples, now) in enumerate(night):
            if i == half:
                assert [answered(replica.address) for replica in replicas] == [half // 3] * 3  # in turns
                replicas[1].kill()
            answer = client.post("/live", json={**body, "samples": samples, "now": now})
            assert answer.status_code == 200, answer.text
            body = {"token": answer.json()["token"]}
            given += told(answer.json())
    assert given == simulated
    last = [answered(replicas[i].address) - half // 3 for i in (0, 2)]
    assert sum(last) == half and abs(last[0] - last[1]) <= 1 + half // 10  # and where the dead one was asked


def test_a_socket_through_the_proxy_cut_by_a_kill(proxied, night, simulated, told):
    address, replicas = proxied
    begun, given, cuts, i = dict(OPEN), [], 0, 0
    while i < len(night):
        with connect(f"ws{address.removeprefix('http')}/live", max_size=None) as socket:
            try:
                while i < len(night):
                    samples, now = night[i]
                    if i == len(night) // 2 and cuts == 0:
                        (on,) = [r for r in replicas if EPOCHS.search(httpx.get(f"{r.address}/metrics").text)]
                        on.kill()
                    socket.send(json.dumps({**begun, "samples": samples, "now": now}))
                    answer = json.loads(socket.recv())
                    given, i, begun, token = given + told(answer), i + 1, {}, answer["token"]
            except ConnectionClosed:
                cuts += 1
                begun = {"token": token}
    assert given == simulated
    assert cuts == 1


def test_workers_share_a_port_and_one_is_replaced(start, night, simulated, told):
    server = start("--workers", "2")
    parent = psutil.Process(server.process.pid)
    body, given, kills = dict(OPEN), [], 0
    for i, (samples, now) in enumerate(night):
        if i == len(night) // 2:
            workers = [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]
            assert len(workers) == 2
            workers[0].send_signal(signal.SIGKILL)
            kills += 1
        for _ in range(5):  # a connection that the dead worker had is cut
            try:
                answer = httpx.post(f"{server.address}/live", json={**body, "samples": samples, "now": now}, timeout=30)
                break
            except httpx.TransportError:
                continue
        body = {"token": answer.json()["token"]}
        given += told(answer.json())
    assert (given, kills) == (simulated, 1)
    assert 0 < answered(server.address) <= len(night)  # of both workers, whichever was asked
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=20) == 0
    assert not parent.is_running() or parent.status() == psutil.STATUS_ZOMBIE


def test_a_restart_loses_nothing(start, night, simulated, told):
    body, given = dict(OPEN), []
    for part in (night[:20], night[20:40], night[40:]):
        server = start()
        for samples, now in part:
            answer = httpx.post(f"{server.address}/live", json={**body, "samples": samples, "now": now}).json()
            body = {"token": answer["token"]}
            given += told(answer)
        server.kill()
    assert given == simulated
