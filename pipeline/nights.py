"""Loads a folder of recordings as nights, one recording in memory at a time, cached by content and options."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from pipeline.align import Night, align
from pipeline.checks import SKIPPED, Finding, UnusableNight
from pipeline.constants import ARTIFACTS, CHANNELS, DEFAULT_CHANNELS
from pipeline.data_sets import Data, DataSets, located
from pipeline.errors import UserMistake
from pipeline.files import SHOWN, reading, write_whole
from pipeline.options import Options
from pipeline.recordings import in_set, paths, read_recording, subjects
from pipeline.repeats import Repeats, fingerprint
from pipeline.workers import in_parallel

CACHE = ARTIFACTS / "cache"
WORTH_A_CHILD = 4  # nights to align; for more, another process is worth the seconds it takes to start
_CODE = b"".join(
    (Path(__file__).parent / f"{m}.py").read_bytes()
    for m in ("activity", "align", "checks", "constants", "guard", "oddities", "options", "recordings", "repeats")
)


def cache_path(
    folder: Data, subject: str, options: Options, want_labels: bool = True, require_labels: bool = True
) -> Path:
    """Path of a night in the cache; changes with its files' bytes, the options that affect it, and the code.

    Args: as `load_night`.
    """
    folder, subject = located(folder, subject)
    shape = (options.alignment, options.motion_magnitude, options.channels, want_labels, require_labels)
    digest = hashlib.blake2b(_CODE + repr(shape).encode(), digest_size=16)
    for name, path in paths(folder, subject).items():
        try:
            if path.is_file():
                with path.open("rb") as file:
                    digest.update(name.encode() + hashlib.file_digest(file, "blake2b").digest())
            elif os.path.lexists(path):  # a folder, a pipe or a link to nothing: unusable as long as it exists
                digest.update(name.encode())
        except OSError as error:  # so is an unreadable file
            digest.update(f"{name} {error.errno}".encode())
    digest.update(subject.encode())
    return CACHE / f"{subject[:SHOWN]}-{digest.hexdigest()}.npz"


def load_night(
    folder: Data, subject: str, options: Options, want_labels: bool = True, require_labels: bool = True
) -> tuple[Night | None, list[Finding]]:
    """Load one subject's night, from the cache if it is there.

    Args:
        folder: Folder of the data set, or several sets.
        subject: Id of the subject.
        options: Options of the run.
        want_labels: Whether to read the scored stages; without them every window is unscored.
        require_labels: Whether a night without scored stages is unusable; ignored without `want_labels`.

    Returns:
        (the night, or None if it is unusable; the findings of its files).
    """
    cached = cache_path(folder, subject, options, want_labels, require_labels)
    return _cached_night(cached, folder, subject, options, want_labels, require_labels)


def _cached_night(cached, folder, subject, options, want_labels, require_labels):
    """`load_night` with the path of the night in the cache."""
    if isinstance(folder, DataSets):
        night, findings = _cached_night(cached, *located(folder, subject), options, want_labels, require_labels)
        return night and replace(night, subject=subject), in_set(folder.set_of(subject), findings)
    try:
        return read_night(cached)
    except Exception:  # not there yet, or damaged in any of the ways a zip of arrays can be: written again below
        pass
    night = None
    try:
        recording = read_recording(folder, subject, options.negative_times, want_labels)
        findings = recording.findings
        if want_labels and require_labels and recording.labels is None:
            findings = [*findings, Finding(f"labels/{subject}", "whole file", "no stages", SKIPPED)]
        else:
            night = replace(align(recording, options), fingerprint=fingerprint(recording))
    except UnusableNight as unusable:
        findings = unusable.findings
    with suppress(UserMistake):  # no space or no permission: the files are read again each time
        write_night(cached, night, findings)
    return night, findings


def write_night(path: Path, night: Night | None, findings: Sequence[Finding] = ()) -> None:
    """Write a night (or None) and its findings to an .npz file, which `read_night` reads."""
    arrays: dict[str, Any] = {"unusable": np.array(1)}  # explicit: a damaged file may lack any array
    if night:
        arrays = {f"channel.{name}": values for name, values in night.channels.items()}
        arrays |= {"subject": np.array(night.subject), "ends": night.ends, "stages": night.stages}
        arrays["fingerprint"] = night.fingerprint
    texts = json.dumps([vars(finding) for finding in findings])
    write_whole(path, lambda file: np.savez_compressed(file, findings=np.array(texts), **arrays))


def read_night(path: Path) -> tuple[Night | None, list[Finding]]:
    """Read the night (or None) and its findings from a file that `write_night` wrote."""
    with np.load(path, allow_pickle=False) as file:
        saved = {name: file[name] for name in file.files}  # all of them: damage shows only on reading
    findings = [Finding(**finding) for finding in json.loads(str(saved["findings"]))]
    if "unusable" in saved:
        return None, findings
    channels = {k.removeprefix("channel."): x for k, x in saved.items() if k.startswith("channel.")}
    stretches = saved.get("fingerprint", np.empty(0, np.uint64))  # nights that older runs keep have none
    return Night(str(saved["subject"]), saved["ends"], channels, saved["stages"], stretches), findings


class StoredChannels(Mapping[str, np.ndarray]):
    """The channels of a night that `write_night` wrote, read from the file on every access.

    Of many nights, only the names, times and stages are thus in memory.
    """

    def __init__(self, path: Path, names: Collection[str]):
        """The channels with these names in a file."""
        self.path, self.names = path, tuple(names)

    def __getitem__(self, name: str) -> np.ndarray:
        """Values of a channel, [windows, values_per_window] float32; UserMistake if the file is gone or damaged."""
        if name not in self.names:
            raise KeyError(name)
        with reading(self.path), np.load(self.path, allow_pickle=False) as file:
            return file[f"channel.{name}"]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names


def stored_night(
    folder: Data, subject: str, options: Options, require_labels: bool, cached: Path
) -> tuple[Night | None, list[Finding]]:
    """As `load_night`, but the channels stay in the cache (StoredChannels).

    Args: as `load_night`.
        cached: Result of `cache_path`, passed in because computing it reads all files, and a worker may have another
            cache.
    """
    night, findings = _cached_night(cached, folder, subject, options, True, require_labels)
    if night and cached.exists():
        night = replace(night, channels=StoredChannels(cached, night.channels))
    return night, findings


def load_nights(
    folder: Data,
    options: Options,
    requested: Collection[str] | None = None,
    *,
    require_labels: bool = True,
    progress: Callable[[str], object] = lambda subject: None,
) -> tuple[list[Night], list[Finding]]:
    """Load the usable nights of a folder, or of several sets; of a night with two ids, the first.

    Args:
        folder: Folder of the data set, or several sets.
        options: Options of the run.
        requested: Subjects to load; all by default.
        require_labels: Whether a night without scored stages is unusable.
        progress: Called with the subject after each night.

    Returns:
        (nights in the order of subjects, findings of all nights). Channels stay in the cache until they are used; if
        the cache cannot be written, a warning is printed and they are kept in memory.

    Raises:
        UserMistake: The folder, or one of several sets, has no usable night, or a requested subject does not exist.
    """
    available = subjects(folder)
    absent = sorted(set(requested or ()) - set(available))
    if absent:
        raise UserMistake(f"{folder}: no recording of {', '.join(absent)}; it holds {', '.join(available)}")
    chosen = [subject for subject in available if not requested or subject in requested]
    places = [cache_path(folder, subject, options, require_labels=require_labels) for subject in chosen]
    uncached = sum(not place.exists() for place in places)
    with suppress(OSError):
        CACHE.mkdir(parents=True, exist_ok=True)  # so that workers can check that they see it
    work = ((folder, subject, options, require_labels, at) for subject, at in zip(chosen, places, strict=True))
    loaded = in_parallel(stored_night, work, worth_a_child=uncached > WORTH_A_CHILD)
    nights: list[Night] = []
    findings: list[Finding] = []
    tried: dict[Path, list[tuple[bool, list[Finding]]]] = {}  # folder -> (usable?, findings) of its nights
    repeats = Repeats()
    for subject, (night, findings_of_night) in zip(chosen, loaded, strict=True):
        if night and (repeated := repeats.finding(subject, night.fingerprint)):
            night, findings_of_night = None, [*findings_of_night, repeated]
        findings += findings_of_night
        nights += [night] if night else []
        tried.setdefault(located(folder, subject)[0], []).append((night is not None, findings_of_night))
        progress(subject)
    if any(not isinstance(night.channels, StoredChannels) for night in nights):
        click.echo(f"{CACHE}: cannot be written; nights are kept in memory, and read again each time", err=True)
    for place, outcomes in tried.items():
        if not any(usable for usable, _ in outcomes):
            last = [finding for _, found in outcomes for finding in found][-1:]
            raise UserMistake(f"{place}: no usable night among {len(outcomes)}" + "".join(f": {f}" for f in last))
    return nights, findings


def channels_used(nights: Sequence[Night], options: Options) -> list[str]:
    """Names of the channels that any of the nights has, in the order of CHANNELS.

    Raises:
        UserMistake: The options request a channel that no night has, or no night has any channel.
    """
    available = {name for night in nights for name in night.channels}
    for name in options.channels:
        if name not in available:
            raise UserMistake(f"--channels {name}: in no training night; choose from {', '.join(sorted(available))}")
    if options.motion_magnitude and "motion_magnitude" not in available:
        raise UserMistake("--motion_magnitude: no training night has motion")
    if not available:
        raise UserMistake(f"no training night has {' or '.join(DEFAULT_CHANNELS)}; choose others with --channels")
    return [name for name in CHANNELS if name in available]
