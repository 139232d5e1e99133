"""SIGTERM and Ctrl+C: running requests finish, new ones are refused, and the service ends within 10 s."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from watch_sim.service.work import Life

END_S = 6.0  # for running requests to finish; those still waiting for their body do not count
CUT_S = 1  # then until the remaining requests are cut off
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stops_gently(life: Life) -> Iterator[None]:
    """Within the block, the first signal lets running requests finish, for at most END_S, before the server's own
    handler runs; a second signal does not wait. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    endings = set()

    async def end(number: int, frame: object) -> None:
        deadline = loop.time() + END_S
        while life.running > life.reading and loop.time() < deadline:
            await asyncio.sleep(0.05)
        handlers[number](number, frame)

    def begin(number: int, frame: object) -> None:
        if life.stopping and number == signal.SIGINT:
            handlers[number](number, frame)
        elif not life.stopping:
            life.stopping = True
            loop.call_soon_threadsafe(lambda: endings.add(loop.create_task(end(number, frame))))

    for number in SIGNALS:
        signal.signal(number, begin)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
