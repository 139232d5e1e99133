"""Nights in, stages out, through the watch: a table, a plot and sleep statistics for each. No TensorFlow needed."""

from pathlib import Path

import click
import pandas as pd

from evaluation.plots import plot_night
from evaluation.results import PROBABILITY_COLUMNS
from evaluation.sleep import statistics
from pipeline.align import extent
from pipeline.checks import UnusableNight
from pipeline.cli import console
from pipeline.files import read_hparams, write_whole
from pipeline.options import ARCHITECTURES, STAGES, UserMistake, one_of
from pipeline.recordings import read_recording, subjects
from watch_sim.stream import stream
from watch_sim.watch import Watch

SHOWN = ("TST", "SE", "SOL", "WASO", "N1", "N2", "N3", "REM", "Lat_REM")


def predict_night(bundle, precision, recording, options, operating_point=None):
    """DataFrame of one recording, a row per window: time (s, when its stride begins), stage, p_wake .. p_rem."""
    watch = Watch(
        bundle,
        precision,
        extent(recording, options)[0],
        counts="activity" in recording.samples,
        operating_point=operating_point,
    )
    epochs = [epoch for said in stream(recording, options, watch) for epoch in said]
    rows = [(epoch.time, epoch.stage, *map(float, epoch.probabilities)) for epoch in epochs]
    return pd.DataFrame(rows, columns=["time", "stage", *PROBABILITY_COLUMNS])


def predict_nights(run, folder, architecture, precision, operating_point, out, progress):
    """Predict every usable night of a folder. Writes the CSV `out` (with a subject column if there are more nights
    than one), and beside it a plot per night and the sleep statistics of all. Returns the paths written.
    """
    bundles, found = Path(run) / "bundles", subjects(folder)
    there = [name for name in ("gru", *ARCHITECTURES) if (bundles / name).is_dir()]
    if not there:
        raise UserMistake(f"{bundles}: no bundle there; not a run folder, or an incomplete one")
    (architecture,) = one_of("--architecture", [architecture or there[0]], there)
    _, options = read_hparams(run)
    name = ".".join(filter(None, (architecture, precision, operating_point, "csv")))
    out = Path(out or Path(run) / "predictions" / name)
    tables, sleep, plots = {}, {}, []
    for subject in found:
        progress(f"night {subject}")
        try:
            recording = read_recording(folder, subject, options.negative_times, want_labels=False)
        except UnusableNight as unusable:
            console.print(*map(str, unusable.findings), sep="\n")
            continue
        if recording.findings:
            console.print(*map(str, recording.findings), sep="\n")
        table = tables[subject] = predict_night(bundles / architecture, precision, recording, options, operating_point)
        plots.append(out.with_name(f"{out.stem}_{subject}.png"))
        plot_night(subject, table, options.stride, plots[-1])
        sleep[subject] = statistics([STAGES.index(stage) for stage in table.stage], options.stride)
    if not tables:
        raise UserMistake(f"{folder}: no usable night")
    whole = pd.concat([table.assign(subject=subject) for subject, table in tables.items()])
    whole = whole[["subject", *table.columns]] if len(tables) > 1 else table
    write_whole(out, whole.to_csv(index=False, float_format="%.6g"))
    sleep = pd.DataFrame(sleep).T.rename_axis("subject")
    write_whole(out.with_name(f"{out.stem}_statistics.csv"), sleep.to_csv())
    click.echo(sleep[[name for name in SHOWN if name in sleep]].to_string())
    return [out, out.with_name(f"{out.stem}_statistics.csv"), *plots]
