"""The watch simulator: `Watch` takes sensor events and gives the sleep stage, live, through the exported files."""

import signal
import sys

if sys.argv[:1] == ["-m"]:  # as __main__.py has it: this is imported before
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from watch_sim.watch import Epoch, Watch

__all__ = ["Epoch", "Watch"]
