"""Processes of the service, as people run them, on ports of loopback."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "gru-int8"
KEY = "a key of thirty-two characters or more"


class Server(NamedTuple):
    address: str
    process: subprocess.Popen

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Starts `serve` with the bundle that comes with the code and these arguments; ended with the session."""
    begun = []

    def start_server(*arguments, what=BUNDLE, **environment):
        command = [sys.executable, "-u", "-m", "watch_sim", "serve", what, "--port", "0", "--rate", "100000/second"]
        log = (tmp_path_factory.mktemp("server") / "log").open("w")
        settings = {"cwd": ROOT, "env": {**os.environ, "WRISTSLEEP_TOKEN_KEY": KEY, **environment}}
        process = subprocess.Popen(
            [*map(str, command), *map(str, arguments)], stdout=subprocess.PIPE, stderr=log, text=True, **settings
        )
        begun.append(process)
        address = re.search(r"http://[^/]+", process.stdout.readline()).group()
        while (
            httpx.get(f"{address}/readyz", timeout=120).status_code != 200
        ):  # it waits in the socket's queue until then
            assert process.poll() is None
        return Server(address, process)

    yield start_server
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="session")
def night(synthetic):
    """Steps of a night, half an hour of heart rate and motion: (samples, now) of every 30 s."""
    from pipeline.recordings import read_recording

    samples = read_recording(synthetic, "1001", want_labels=False).samples
    rows = sorted(
        (
            (t, sensor, x)
            for sensor in ("heart_rate", "motion")
            for t, x in zip(*map(list_of, samples[sensor]), strict=True)
        ),
        key=lambda row: row[0],
    )
    return [
        ([{"sensor": s, "t": t, "value": x} for t, s, x in rows if begin <= t < begin + 30], begin + 30.0)
        for begin in range(0, 1800, 30)
    ]


def list_of(array):
    return array.tolist()


@pytest.fixture(scope="session")
def simulated(night):
    """What the simulator gives of that night: (time, stage, probabilities) of each epoch."""
    from watch_sim.watch import Watch

    watch = Watch(BUNDLE)
    epochs = []
    for samples, now in night:
        epochs += [epoch for s in samples for epoch in watch.feed(s["sensor"], s["t"], s["value"])] + watch.advance(now)
    return [(e.time, e.stage, None if e.coverage.unknown else e.probabilities.tolist()) for e in epochs]


@pytest.fixture(scope="session")
def told():
    return lambda answer: [(epoch["time"], epoch["stage"], epoch["probabilities"]) for epoch in answer["epochs"]]
