"""The watch simulator: `Watch` takes sensor events and predicts sleep stages live with the exported files."""

import signal
import sys

if sys.argv[:1] == ["-m"]:  # as in __main__.py, which is imported later
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from watch_sim.watch import Epoch, Watch

__all__ = ["Epoch", "Watch"]
