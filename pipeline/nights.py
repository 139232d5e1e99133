"""A folder of recordings -> nights, one recording in memory at a time, kept in a cache under content and options."""

import hashlib
import json
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from pipeline.align import Night, align
from pipeline.checks import Finding, UnusableNight
from pipeline.files import write_whole
from pipeline.options import ARTIFACTS, UserMistake
from pipeline.recordings import paths, read_recording, subjects

CACHE = ARTIFACTS / "cache"
INNER = 0.15  # of the subjects that are not held out: inner validation
_CODE = b"".join(
    (Path(__file__).parent / f"{m}.py").read_bytes() for m in ("activity", "align", "checks", "options", "recordings")
)


def cache_path(folder, subject, options, labelled):
    """Where the night is kept: the name changes with any byte of its files, the options that shape it, or the code."""
    shape = (options.alignment, options.motion_magnitude, options.channels, labelled)
    digest = hashlib.blake2b(_CODE + repr(shape).encode(), digest_size=16)
    for name, path in paths(folder, subject).items():
        if path.is_file():
            with path.open("rb") as file:
                digest.update(name.encode() + hashlib.file_digest(file, "blake2b").digest())
    return CACHE / f"{subject}-{digest.hexdigest()}.npz"


def load_night(folder, subject, options, labelled=True):
    """(Night or None where it is unusable, findings). labelled: insist on stages; None: take any; False: none."""
    kept = cache_path(folder, subject, options, labelled)
    try:
        return read_night(kept)
    except Exception:  # not there yet, or damaged in any of the ways a zip of arrays can be: made again below
        pass
    try:
        recording = read_recording(folder, subject, options.negative_times, want_labels=labelled is not False)
        findings, night = recording.findings, None
        if labelled and recording.labels is None:
            findings = [*findings, Finding(f"labels/{subject}", "whole file", "no stages", "night skipped")]
        else:
            night = align(recording, options)
    except UnusableNight as unusable:
        night, findings = None, unusable.findings
    write_night(kept, night, findings)
    return night, findings


def write_night(path, night, findings=()):
    """Keep a night (or None) and its findings in an .npz; `read_night` gives them back."""
    arrays = {f"channel.{name}": values for name, values in night.channels.items()} if night else {}
    arrays |= {"subject": np.array(night.subject), "ends": night.ends, "stages": night.stages} if night else {}
    texts = json.dumps([vars(finding) for finding in findings])
    write_whole(path, lambda file: np.savez_compressed(file, findings=np.array(texts), **arrays))


def read_night(path):
    """(Night or None, findings) of a file that `write_night` wrote."""
    with np.load(path, allow_pickle=False) as saved:
        findings = [Finding(**finding) for finding in json.loads(str(saved["findings"]))]
        if "ends" not in saved:
            return None, findings
        channels = {k.removeprefix("channel."): saved[k] for k in saved.files if k.startswith("channel.")}
        return Night(str(saved["subject"]), saved["ends"], channels, saved["stages"]), findings


def load_nights(folder, options, wanted=None, labelled=True, progress=None):
    """(nights, findings) of the folder, or of the subjects `wanted`. progress: called with each subject when read.

    Raises UserMistake where the folder holds no usable night, or a wanted subject is not in it.
    """
    found = subjects(folder)
    absent = sorted(set(wanted or ()) - set(found))
    if absent:
        raise UserMistake(f"{folder}: no recording of {', '.join(absent)}; it holds {', '.join(found)}")
    chosen = [subject for subject in found if not wanted or subject in wanted]
    # a child process costs seconds to start: worth it for raw nights, not for those in the cache
    raw = sum(not cache_path(folder, subject, options, labelled).exists() for subject in chosen)
    work = (delayed(load_night)(folder, subject, options, labelled) for subject in chosen)
    nights, findings = [], []
    for subject, (night, said) in zip(chosen, Parallel(2 if raw > 4 else 1, return_as="generator")(work), strict=True):
        findings += said
        nights += [night] if night else []
        if progress:
            progress(subject)
    if not nights:
        said = f": {findings[-1]}" if findings else ""
        raise UserMistake(f"{folder}: no usable night among {len(chosen)}{said}")
    return nights, findings


def split(subjects, options):
    """Subjects of a run, at random by options.seed: {"train", "inner_validation", "validation"}, no subject in two.

    `validation` (max(1, n/10 rounded half up) at a train_split of 0.9) is only ever scored; `inner_validation`, taken
    from the rest, chooses the best epoch. Raises UserMistake for fewer than 3 subjects.
    """
    if len(subjects) < 3:
        raise UserMistake(f"{len(subjects)} usable night(s): at least 3 subjects are needed to train and assess")
    order = np.random.default_rng(options.seed).permutation(sorted(subjects))
    held = min(max(1, int(len(order) * (1 - options.train_split) + 0.5 + 1e-9)), len(order) - 2)
    return in_parts(order[:held], order[held:])


def in_parts(held, rest):
    """A split with the first INNER of the rest as inner validation subjects; each part sorted."""
    inner = max(1, int(len(rest) * INNER + 0.5))
    parts = {"validation": held, "inner_validation": rest[:inner], "train": rest[inner:]}
    return {name: sorted(map(str, part)) for name, part in parts.items()}
