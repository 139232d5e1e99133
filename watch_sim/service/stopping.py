"""SIGTERM and Ctrl+C: what runs ends, new requests are refused, and the service is gone within 10 s."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from watch_sim.service.work import Life

END_S = 6.0  # that what runs has to end in; a request whose body has not come does not count
CUT_S = 1  # then, for what is left, until it is cut off
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stops_gently(life: Life) -> Iterator[None]:
    """Within the block the first signal lets what runs end, for END_S at most, before the server's own handler ends
    it; a second one does not wait. In another thread than the main one it does nothing.
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
