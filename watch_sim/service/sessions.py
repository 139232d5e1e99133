"""Live sessions of the service, a watch each: their number is bounded, and long idle ones are closed for new ones."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.constants import LEAD_S, LONGEST_NIGHT_S
from watch_sim.watch import Epoch, Watch

MOST_SESSIONS = 32
IDLE_S = 3600  # after which a session may be closed


class Answer(NamedTuple):
    """What a watch answers to what it was fed.

    Attributes:
        epochs: That were closed.
        dropped: {sensor: {reason: samples}} of the night so far.
        findings: What seems wrong with the sensors' units.
    """

    epochs: list[Epoch]
    dropped: dict[str, dict[str, int]]
    findings: list[str]

    @classmethod
    def of(cls, watch: Watch, epochs: list[Epoch]) -> "Answer":
        """With copies of what the watch goes on counting."""
        return cls(epochs, {sensor: {**counts} for sensor, counts in watch.dropped.items()}, watch.findings)


class Sessions:
    """Watches by session id. Every use holds the lock, as a watch is not safe to use from two threads.

    Attributes:
        most: The largest number of sessions.
        idle: Seconds after which an unused session makes room.
        watches: {id: (watch, when it was last used)}, the longest idle first.
    """

    def __init__(self, most: int = MOST_SESSIONS, idle: float = IDLE_S):
        self.most = most
        self.idle = idle
        self.lock = threading.Lock()
        self.watches: OrderedDict[str, tuple[Watch, float]] = OrderedDict()

    def open(self, watch: Watch) -> str | None:
        """The id of a new session, or None where all are in use."""
        with self.lock:
            while self.watches and time.monotonic() - next(iter(self.watches.values()))[1] > self.idle:
                self.watches.popitem(last=False)
            if len(self.watches) >= self.most:
                return None
            session = secrets.token_urlsafe(9)
            self.watches[session] = watch, time.monotonic()
            return session

    def feed(self, session: str, samples: Sequence[tuple], now: float | None) -> Answer:
        """Feed a session samples, then the clock.

        Args:
            session: Its id.
            samples: (sensor, t in s, value) of each, in order of time.
            now: Seconds that the clock shows after them, or None.

        Returns:
            The epochs that they close, and what was dropped and found of the night so far.

        Raises:
            KeyError: No such session.
            ValueError: A time is more than a night after the session's start; nothing was fed.
        """
        with self.lock:
            watch, _ = self.watches[session]
            start = watch.aligner.start
            last = max([t for _, t, _ in samples] + [start if now is None else now])
            if last - start > LONGEST_NIGHT_S + LEAD_S:
                raise ValueError(f"t={last:g} s is more than a night after the session's start")
            self.watches[session] = watch, time.monotonic()
            self.watches.move_to_end(session)
            epochs = [epoch for sample in samples for epoch in watch.feed(*sample)]
            return Answer.of(watch, epochs + (watch.advance(now) if now is not None else []))

    def close(self, session: str) -> None:
        """End a session; KeyError where there is none."""
        with self.lock:
            del self.watches[session]
