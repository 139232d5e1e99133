"""Damages files and has them read, for some seconds: python -m tests.fuzz.child TARGET FOLDER SEED SECONDS CASES

A process of its own, as a damaged file must neither end it, nor stop it, nor take memory without bound. Before each
case its number goes to standard error: of a process that dies the last one is to blame. Ends with a line of JSON.
"""

import faulthandler
import json
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from apps.python.sleep_stager import SleepStager, StagerError
from export.archive import opened_bundle, write_zip
from export.verify import verify_bundle
from pipeline.align import align
from pipeline.checks import UnusableNight
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.recordings import LABELS, LAYOUTS, read_recording, subjects
from pipeline.synthetic import synthesize
from tests.fuzz.damage import damaged_bytes, damaged_json, damaged_lines
from watch_sim import Watch

HANG_S, WAIT_S = 10, 120  # of one case, s: of the processor, and in all, as others may use the machine as well
MEMORY = 1 << 30  # bytes of the process
BUNDLES = Path(__file__).parents[1] / "vectors" / "bundles"
REFERENCE = Path(__file__).parents[2] / "bundles" / "gru-int8"
OPTIONS = (Options(), Options(negative_times=True, motion_magnitude=True), Options(data_alignment=30, window_size=60))


def recordings(folder):
    """Recordings: any file of a night is damaged, and the night read and aligned."""
    synthesize(folder / "whole", subjects=1, hours=0.6, motion_hz=10)
    synthesize(folder / "counts", subjects=1, hours=0.6, motion_hz=0)
    shutil.copytree(folder / "counts" / "counts", folder / "whole" / "counts")
    (subject,) = subjects(folder / "whole")
    names = [layout.name(subject) for layout in (*LAYOUTS.values(), LABELS)]
    whole = {name: (folder / "whole" / name).read_bytes() for name in names}

    def case(draw):
        for name, content in whole.items():
            (folder / "whole" / name).write_bytes(content)
        for name in draw.sample(names, draw.choice([1, 1, 1, 2])):
            damaged = draw.choice([damaged_bytes, damaged_lines, lambda d, _: whole[d.choice(names)]])(
                draw, whole[name]
            )
            (folder / "whole" / name).write_bytes(damaged)
        options = draw.choice(OPTIONS)
        refused = False
        try:
            recording = read_recording(folder / "whole", subject, options.negative_times)
            findings = recording.findings
            night = align(recording, options)
            assert all(np.isfinite(x[~np.isnan(x)]).all() for x in night.channels.values())
        except UnusableNight as unusable:
            refused, findings = True, unusable.findings
        for finding in findings:
            assert finding.file in {*names, f"night {subject}"} and finding.where and finding.what and finding.done, (
                finding
            )
        return refused

    return case


def bundles(folder):
    """Bundles, as folder or zip: any file is damaged, and all that read bundles read it."""
    places = [REFERENCE, *(path for path in sorted(BUNDLES.iterdir()) if path.is_dir())]

    def case(draw):
        shutil.rmtree(folder / "bundle", ignore_errors=True)
        source = draw.choice(places)
        shutil.copytree(source, folder / "bundle")
        place = folder / "bundle"
        if draw.random() < 0.2:
            place = write_zip(place, folder / "bundle.zip")
            place.write_bytes(damaged_bytes(draw, place.read_bytes()))
        else:
            path = draw.choice([p for p in sorted(place.iterdir()) if p.is_file()] + [place / "contract.json"] * 5)
            damage = damaged_json if path.suffix == ".json" and draw.random() < 0.7 else damaged_bytes
            path.write_bytes(damage(draw, path.read_bytes()))
        refused = False
        try:
            with opened_bundle(place) as opened:
                if source == REFERENCE:  # the others are of a format before verify
                    verify_bundle(opened)
                Watch(opened, "int8").advance(600)
        except UserMistake as mistake:
            assert str(mistake.message).strip() and "\n" not in mistake.message, mistake.message
            refused = True
        if place.is_dir():
            try:
                SleepStager(place)
            except StagerError as error:
                assert str(error).strip()
                refused = True
        return refused

    return case


def states(folder):
    """Saved states of the watch and of the Python library: damaged, and restored."""
    bundle = BUNDLES / "counts"
    watch, stager = Watch(bundle, "float32"), SleepStager(bundle, "float32")
    for t in range(0, 900, 5):
        watch.feed("heart_rate", np.array([t]), np.array([60.0 + t % 7]))
        stager.feed("heart_rate", t, 60.0 + t % 7)
    watch.save(folder / "whole.npz")
    saved = (folder / "whole.npz").read_bytes(), stager.save()
    watch.restore(folder / "whole.npz")
    stager.restore(saved[1])

    def case(draw):
        refused = False
        before = {name: np.array(x) for name, x in watch.state().items()}
        forged = draw.random() < 0.5
        content = other_arrays(draw, folder, before) if forged else damaged_bytes(draw, saved[0])
        (folder / "damaged.npz").write_bytes(content)
        try:
            watch.restore(folder / "damaged.npz")
            if not forged:  # a forged one may hold any numbers
                watch.advance(1000)
            watch.restore(folder / "whole.npz")
        except UserMistake as mistake:
            refused = True
            assert "not a saved state of this model" in mistake.message
            assert all(np.asarray(x).tobytes() == before[name].tobytes() for name, x in watch.state().items())
        damage = damaged_json if saved[1].lstrip()[:1] == b"{" and draw.random() < 0.5 else damaged_bytes
        try:
            stager.restore(damage(draw, saved[1]))
            stager.restore(saved[1])
        except StagerError:
            refused = True
        return refused

    return case


def other_arrays(draw, folder, arrays):
    """A whole file of arrays, of which one is of another shape, type or value."""
    arrays = dict(arrays)
    name = draw.choice([*arrays])
    x = np.asarray(arrays[name])
    others = [x.astype(str), x[..., None], np.zeros((3, 0)), np.array(7), np.full(x.shape, np.nan), x.ravel()[:-1]]
    others += [np.full(x.shape, 1e300), np.full(x.shape, -5), np.array(["x"])]
    arrays[name] = draw.choice(others)
    if draw.random() < 0.2:
        del arrays[name]
    np.savez(folder / "other.npz", **arrays)
    return (folder / "other.npz").read_bytes()


def peak_memory():
    """Bytes that this program has had at most; getrusage would count what the process that started it had, too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def main(target, folder, seed, seconds, cases, *run):
    """Run a target until the time or the cases are over; command lines may have a run to name."""
    if target == "commands":
        from tests.fuzz.commands import command_lines  # imports TensorFlow

        case = command_lines(Path(folder), *run)
    else:
        case = {"recordings": recordings, "bundles": bundles, "states": states}[target](Path(folder))
    resource.setrlimit(resource.RLIMIT_DATA, (2 * MEMORY, 2 * MEMORY))
    faulthandler.register(signal.SIGXCPU, chain=True)  # tells where, and ends the process
    found, refused, slowest, n = [], 0, 0.0, 0
    end = time.monotonic() + float(seconds)
    while n < int(cases) and time.monotonic() < end:
        print(f"case {seed}.{n}", file=sys.stderr)
        began = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(began) + 1 + HANG_S, resource.RLIM_INFINITY))
        faulthandler.dump_traceback_later(WAIT_S, exit=True)
        try:
            refused += case(random.Random(f"{seed}.{n}"))
        except Exception:
            found.append(f"case {seed}.{n}\n{traceback.format_exc()}")
        slowest = max(slowest, time.process_time() - began)
        n += 1
    faulthandler.cancel_dump_traceback_later()
    told = {"cases": n, "refused": refused, "slowest_s": slowest, "peak": peak_memory(), "n": len(found)}
    print(json.dumps(told | {"found": found[:20]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
