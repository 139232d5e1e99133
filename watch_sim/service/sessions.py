"""Live sessions of the service: a watch each, a bounded number, those long idle are closed for new ones."""

import secrets
import threading
import time
from collections import OrderedDict

from pipeline.options import LEAD_S, LONGEST_NIGHT_S

MOST_SESSIONS = 32
IDLE_S = 3600


class Sessions:
    """Watches by session id. Every use holds the lock: a watch is no thing of two threads."""

    def __init__(self, most=MOST_SESSIONS, idle=IDLE_S):
        self.most, self.idle = most, idle
        self.lock = threading.Lock()
        self.watches = OrderedDict()  # id -> (watch, when it was last used), the longest idle first

    def open(self, watch):
        """The id of a new session, or None where all are in use."""
        with self.lock:
            while self.watches and time.monotonic() - next(iter(self.watches.values()))[1] > self.idle:
                self.watches.popitem(last=False)
            if len(self.watches) >= self.most:
                return None
            session = secrets.token_urlsafe(9)
            self.watches[session] = watch, time.monotonic()
            return session

    def feed(self, session, samples, now):
        """The Epochs that samples [(sensor, t, value)], and then the clock, close. KeyError: no such session;
        ValueError, with nothing fed: a time more than a night away.
        """
        with self.lock:
            watch, _ = self.watches[session]
            last = max([t for _, t, _ in samples] + [watch.aligner.start if now is None else now])
            if last - watch.aligner.start > LONGEST_NIGHT_S + LEAD_S:
                raise ValueError(f"t={last:g} s is more than a night after the session's start")
            self.watches[session] = watch, time.monotonic()
            self.watches.move_to_end(session)
            epochs = [epoch for sample in samples for epoch in watch.feed(*sample)]
            return epochs + (watch.advance(now) if now is not None else [])

    def close(self, session):
        """End a session. KeyError: no such session."""
        with self.lock:
            del self.watches[session]
