"""Bounded work: CPU work runs in a limited number of threads, with limits on queue and time; bodies on memory.

Live steps have their own threads, so that long predictions do not delay them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from fastapi import Request
from starlette.requests import ClientDisconnect

from watch_sim.service.refusals import busy, refusal, too_large

MOST_HELD = 2**27  # bytes of bodies in memory at a time
BODY_S = 20  # for a body to arrive


class Shape(NamedTuple):
    """Limits of a body, checked before parsing: parsed values take far more memory than their text, and every unknown
    name adds an error.

    Attributes:
        most: Bytes.
        nested: Lists and objects.
        names: Colons, of fields and a few in strings.
        values: Commas.
    """

    most: int = 2**24
    nested: int = 50_000
    names: int = 1000
    values: int = 700_000

    def check(self, body: bytes) -> None:
        """Raise HTTPException 413 if a body exceeds a limit."""
        if len(body) > self.most:
            raise too_large(f"larger than {self.most} bytes")
        if body.count(b"[") + body.count(b"{") > self.nested:
            raise too_large(f"more than {self.nested} lists and objects")
        if body.count(b":") > self.names or body.count(b",") > self.values:
            raise too_large(f"more than {self.names} names or {self.values} values")


class Life:
    """Whether the service is stopping, and its requests in progress.

    Attributes:
        stopping: Whether new requests are refused.
        running: Number of requests in progress.
        reading: How many of them are still waiting for their body.
    """

    def __init__(self):
        """Start without requests."""
        self.stopping = False
        self.running = 0
        self.reading = 0


class TooLong(Exception):
    """Work exceeded its deadline."""


class Pool:
    """Threads for one kind of work.

    Attributes:
        pending: Number of running and waiting calls.
        most: Limit of pending calls.
        seconds: Limit of a call's time, waiting included.
        closed: Whether the service has ended.
    """

    def __init__(self, name: str, threads: int, most: int, seconds: float):
        """Create the pool; threads start when there is work."""
        self.executor = ThreadPoolExecutor(threads, name)
        self.pending, self.most, self.seconds = 0, most, seconds
        self.closed = False
        self.free = asyncio.Lock()

    def close(self) -> None:
        """Shut down: waiting calls are cancelled, and running ones end at their next check of the deadline."""
        self.closed = True
        self.executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in one of the threads; returns its result.

        Raises:
            HTTPException: 503 if too many calls are pending, or the call took too long.
        """
        self._check_room()
        self.pending += 1
        future = asyncio.get_running_loop().run_in_executor(self.executor, function, *arguments)
        future.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.seconds)
        except (TimeoutError, TooLong):
            raise busy(f"it took longer than {self.seconds:g} s; send less at a time") from None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Context manager for brief work on the event loop, one call at a time; other requests go first.

        Raises:
            HTTPException: 503 if too many calls are pending.
        """
        self._check_room()
        self.pending += 1
        try:
            async with self.free:
                await asyncio.sleep(0)
                yield
        finally:
            self.pending -= 1

    def _check_room(self):
        if self.pending >= self.most:
            raise busy("too many requests in progress; try again")

    def _done(self, future):
        self.pending -= 1
        if not future.cancelled():
            future.exception()  # retrieved even if nobody is waiting any more, to avoid a warning


class Deadline:
    """A deadline for work, to be checked within long loops, as a thread cannot be stopped from outside."""

    def __init__(self, pool: Pool):
        """Start the time limit of the pool's calls."""
        self.pool = pool
        self.at = time.monotonic() + pool.seconds

    def check(self) -> None:
        """Raise TooLong if the deadline has passed or the service has ended."""
        if self.pool.closed or time.monotonic() > self.at:
            raise TooLong


class Bodies:
    """Reads bodies, with limits on size, time and total memory.

    Attributes:
        held: Bytes in memory.
    """

    def __init__(self, life: Life, most_held: int = MOST_HELD, seconds: float = BODY_S):
        """Start without bodies."""
        self.life = life
        self.held, self.most_held, self.seconds = 0, most_held, seconds

    @asynccontextmanager
    async def read(self, request: Request, shape: Shape) -> AsyncIterator[bytes]:
        """Context manager for the body of a request, which counts as held within the block.

        Args:
            request: A request with a JSON body.
            shape: Limits of the body.

        Raises:
            HTTPException: 408 too slow, or cut off; 413 too large; 415 not JSON; 503 too many bodies held.
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
                            raise busy("too many request bodies in progress; try again")
                        chunks.append(chunk)
            except TimeoutError:
                raise refusal(408, "body", f"did not arrive within {self.seconds:g} s", Connection="close") from None
            except ClientDisconnect:  # nobody reads this answer, but it is logged and counted
                raise refusal(408, "body", "the client went away before all of it arrived") from None
            finally:
                self.life.reading -= 1
            body = b"".join(chunks)
            chunks.clear()
            shape.check(body)
            yield body
        finally:
            self.held -= size
