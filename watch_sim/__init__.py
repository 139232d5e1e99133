"""The watch simulator: `Watch` takes sensor events and gives the sleep stage, live, through the exported files."""

from watch_sim.watch import Epoch, Watch

__all__ = ["Epoch", "Watch"]
