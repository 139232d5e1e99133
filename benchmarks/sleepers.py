"""Sleepers for locust, run by benchmarks.service: each sends a window, waits for the answer, and sends the next with
the returned token. If ECHO is set, the same bodies go to /echo, which returns them.
"""

import os

from locust import FastHttpUser, task

PULSE_S = 5  # between heart rates
WINDOW_S = 30
WINDOWS = 2000  # then a new night begins
MODEL = os.environ.get("ARCHITECTURE", "gru"), os.environ.get("PRECISION", "int8")


class Sleeper(FastHttpUser):
    """A night, sent as fast as it is answered."""

    window = 0
    token = None

    @task
    def step(self) -> None:
        """Send a window: six heart rates and two activity counts."""
        t = WINDOW_S * self.window
        samples = [{"sensor": "heart_rate", "t": t + i + 0.5, "value": 58 + i % 7} for i in range(0, WINDOW_S, PULSE_S)]
        samples += [{"sensor": "activity", "t": t + end, "value": self.window % 9} for end in (15, 30)]
        begun = {"open": dict(zip(("architecture", "precision"), MODEL, strict=True)) | {"counts": True}}
        body = {**({"token": self.token} if self.token else begun), "samples": samples, "now": t + WINDOW_S}
        if "ECHO" in os.environ:
            self.client.post("/echo", json=body)
            return
        with self.client.post("/live", json=body, catch_response=True) as answer:
            if answer.status_code != 200 or len(answer.json()["epochs"]) != 1:
                answer.failure(f"{answer.status_code}")
                return
        self.window = (self.window + 1) % WINDOWS
        self.token = answer.json()["token"] if self.window else None
