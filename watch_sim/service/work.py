"""Bounded work: CPU work runs in threads of bounded number, with a bounded queue and time; so do bodies in memory.

Live steps have threads of their own, so that a long prediction does not keep them waiting.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from fastapi import Request

from watch_sim.service.refusals import busy, refusal, too_large

MOST_HELD = 2**27  # bytes of bodies in memory at a time
BODY_S = 20  # within which a body must have come


class Shape(NamedTuple):
    """How much of what a body may hold. Counted before it is parsed: what a parser makes of each takes far more than
    its text, and a name that is none is an error of its own.

    Attributes:
        most: Bytes.
        nested: Lists and objects.
        names: Colons: of fields, and a few in texts.
        values: Commas.
    """

    most: int = 2**24
    nested: int = 50_000
    names: int = 1000
    values: int = 700_000

    def check(self, body: bytes) -> None:
        """Raises HTTPException, 413, where a body holds more."""
        if len(body) > self.most:
            raise too_large(f"larger than {self.most} bytes")
        if body.count(b"[") + body.count(b"{") > self.nested:
            raise too_large(f"more than {self.nested} lists and objects")
        if body.count(b":") > self.names or body.count(b",") > self.values:
            raise too_large(f"more than {self.names} names or {self.values} values")


class Life:
    """Whether the service is being stopped, and what it has under way.

    Attributes:
        stopping: New requests are refused.
        running: Requests under way.
        reading: Of them, those whose body has not come yet.
    """

    def __init__(self):
        """Not yet."""
        self.stopping = False
        self.running = 0
        self.reading = 0


class TooLong(Exception):
    """Work went past its deadline."""


class Pool:
    """Threads for one kind of work.

    Attributes:
        pending: Calls that run or wait.
        most: The largest number of them.
        seconds: That a call may take, its wait included.
        closed: Whether the service has ended.
    """

    def __init__(self, name: str, threads: int, most: int, seconds: float):
        """Begin; the threads start when there is work."""
        self.executor = ThreadPoolExecutor(threads, name)
        self.pending, self.most, self.seconds = 0, most, seconds
        self.closed = False

    def close(self) -> None:
        """Let the threads go: what none has begun is not begun, and what runs ends at its next look at the deadline."""
        self.closed = True
        self.executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns, called in one of the threads.

        Raises:
            HTTPException: 503: too much waits already, or it took too long.
        """
        if self.pending >= self.most:
            raise busy("too much is under way; try again")
        self.pending += 1
        future = asyncio.get_running_loop().run_in_executor(self.executor, function, *arguments)
        future.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.seconds)
        except (TimeoutError, TooLong):
            raise busy(f"it took longer than {self.seconds:g} s; send less at a time") from None

    def _done(self, future):
        self.pending -= 1
        if not future.cancelled():
            future.exception()  # looked at, also where nobody waits for it any more


class Deadline:
    """When work must be done; looked at from within long loops, as a thread cannot be stopped from outside."""

    def __init__(self, pool: Pool):
        """Begin to count the time that a call of the pool has."""
        self.pool = pool
        self.at = time.monotonic() + pool.seconds

    def check(self) -> None:
        """Raises TooLong once it has passed, or the service has ended."""
        if self.pool.closed or time.monotonic() > self.at:
            raise TooLong


class Bodies:
    """Reads bodies, whose size, time and sum are bounded while they come.

    Attributes:
        held: Bytes in memory.
    """

    def __init__(self, life: Life, most_held: int = MOST_HELD, seconds: float = BODY_S):
        """Begin with none."""
        self.life = life
        self.held, self.most_held, self.seconds = 0, most_held, seconds

    @asynccontextmanager
    async def read(self, request: Request, shape: Shape) -> AsyncIterator[bytes]:
        """The body of a request, held while the block runs.

        Args:
            request: Of JSON.
            shape: What it may hold.

        Raises:
            HTTPException: 408 it does not come; 413 it is too large; 415 it is no JSON; 503 too many are held.
        """
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise refusal(415, "Content-Type", "expected application/json")
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > shape.most:
            raise too_large(f"larger than {shape.most} bytes")
        size = 0
        try:
            chunks = []
            self.life.reading += 1
            try:
                async with asyncio.timeout(self.seconds):
                    async for chunk in request.stream():
                        size += len(chunk)
                        self.held += len(chunk)
                        if size > shape.most:
                            raise too_large(f"larger than {shape.most} bytes")
                        if self.held > self.most_held:
                            raise busy("too many bodies are under way; try again")
                        chunks.append(chunk)
            except TimeoutError:
                raise refusal(408, "body", f"did not come within {self.seconds:g} s", Connection="close") from None
            finally:
                self.life.reading -= 1
            body = b"".join(chunks)
            chunks.clear()
            shape.check(body)
            yield body
        finally:
            self.held -= size
