"""The plain body of POST /predict: turns rows by channel, as apps keep them, into the model's windows."""

from typing import NamedTuple

import numpy as np

from export.contract import Contract
from export.contract_parts import ChannelEntry
from pipeline.constants import CHANNELS
from pipeline.guard import motion_unit_finding
from pipeline.options import Options
from watch_sim.service.refusals import unprocessable
from watch_sim.service.requests import PlainNight

AXES = ("motion_x", "motion_y", "motion_z")


class PlainWindows(NamedTuple):
    """A plain night as the model's input.

    Attributes:
        windows: {channel: [windows, values_per_window] float32}.
        missing: Channels of the model that were not given.
        unused: Lists that the model does not use.
        findings: Possible mistakes in the input.
    """

    windows: dict[str, np.ndarray]
    missing: list[str]
    unused: list[str]
    findings: list[str]


def plain_night(night: PlainNight, contract: Contract) -> PlainWindows:
    """The windows of a plain night.

    Rows begin at time 0. As on the watch, a window ends with each stride, and values before time 0 are missing.

    Raises:
        HTTPException: 422 if lists do not match each other or the model, or the model uses none of them.
    """
    given = {name: np.array(values) for name in CHANNELS if (values := getattr(night, name))}
    entries = {channel.name: channel for channel in contract.channels}
    if not given.keys() & entries.keys():
        raise unprocessable("body", f"none of the lists is used by this model; it uses {', '.join(entries)}")
    options = contract.options()
    findings = []
    missing = [name for name in entries if name not in given]
    if all(name in given for name in AXES) and len({len(given[name]) for name in AXES}) == 1:
        with np.errstate(over="ignore"):  # the magnitude is infinite then
            median = float(np.median(np.linalg.norm([given[name] for name in AXES], axis=0)))
        if finding := motion_unit_finding(median):
            findings.append(f"motion: {finding}; it is not used")
            missing += [name for name in entries if name.startswith("motion")]
    if "activity" in missing and given.keys() & {*AXES}:
        findings.append("activity: cannot be counted from rows of motion; send activity, or raw motion to /live")
    lengths = {}
    for name, values in given.items():
        size = options.values_per_window(name)
        if not len(values) or len(values) % size:
            raise unprocessable(name, f"{len(values)} values; expected a whole number of windows of {size}")
        lengths[name] = len(values) // size * options.window_size // options.stride
    first = next(iter(lengths))
    for name, n in lengths.items():
        if n != lengths[first]:
            raise unprocessable(name, f"{n} strides of {options.stride} s, but {first} has {lengths[first]}")
    missing = list(dict.fromkeys(missing))
    windows = {
        name: sliding(np.empty(0) if name in missing else given[name], entry, lengths[first], options)
        for name, entry in entries.items()
    }
    for name in given.keys() & entries.keys() - {*missing}:
        low, high = entries[name].range
        outside = int(((given[name] < low) | (given[name] > high)).sum())
        if outside:
            findings.append(f"{name}: {outside} of {len(given[name])} values outside {low:g} to {high:g} are missing")
    return PlainWindows(windows, missing, [name for name in given if name not in entries], findings)


def sliding(values: np.ndarray, entry: ChannelEntry, n: int, options: Options) -> np.ndarray:
    """[n, values_per_window] float32 windows of a channel, one per stride, with its missing value in gaps."""
    low, high = entry.range
    size, step = entry.values_per_window, options.values_per_stride(entry.name)
    rows = np.full(size - step + n * step, entry.missing, np.float32)
    sensed = np.where((values >= low) & (values <= high), values, entry.missing)
    if len(sensed):
        rows[size - step :] = sensed[: n * step]
    return np.lib.stride_tricks.sliding_window_view(rows, size)[::step].copy()
