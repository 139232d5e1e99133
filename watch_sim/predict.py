"""Stages of nights, streamed through the watch: a table, a plot and sleep statistics. No TensorFlow needed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd

from apps.python.sleep_stager import SIMULATED
from pipeline.align import extent
from pipeline.checks import UnusableNight
from pipeline.command_line import console
from pipeline.constants import STAGES, UNKNOWN
from pipeline.errors import UserMistake, one_of
from pipeline.files import write_whole
from pipeline.options import Options
from pipeline.recordings import Recording, read_recording, subjects
from pipeline.run_folder import RunFolder
from scoring.plots import plot_night
from scoring.predictions import PROBABILITY_COLUMNS, PredictedNight, predictions_table
from scoring.sleep_statistics import hypnogram, sleep_statistics
from watch_sim.night_csv import read_night_csv
from watch_sim.stream import stream
from watch_sim.watch import Epoch, Watch

PRINTED = ("TST", "SE", "SOL", "WASO", "N1", "N2", "N3", "REM", "REM latency")  # of the sleep statistics


def stage_recording(
    bundle: Path, precision: str, recording: Recording, options: Options, operating_point: str | None = None
) -> tuple[Watch, list[Epoch]]:
    """Stream a recording through a watch.

    Args:
        bundle: Folder of one model.
        precision: One of the bundle's.
        recording: Its labels are not looked at, but for the end of the night.
        options: Of the run.
        operating_point: One of the contract's, or None.

    Returns:
        The watch, with what it dropped and its findings, and the epochs of all windows.
    """
    start = extent(recording, options)[0]
    counts = "activity" in recording.samples
    watch = Watch(bundle, precision, start, counts, operating_point)
    return watch, [epoch for closed in stream(recording, options, watch) for epoch in closed]


def epochs_table(subject: str, epochs: Sequence[Epoch]) -> pd.DataFrame:
    """A row per epoch with scoring.predictions.COLUMNS: scored_stage is empty, unknown epochs keep their numbers."""
    probabilities = np.array([epoch.probabilities for epoch in epochs], np.float64).reshape(-1, len(STAGES))
    times = np.array([epoch.time for epoch in epochs])
    unknown = np.array([epoch.coverage.unknown for epoch in epochs], bool)
    return predictions_table(PredictedNight(subject, times, np.full(len(epochs), -1), probabilities, unknown=unknown))


def predict_night(
    bundle: Path, precision: str, recording: Recording, options: Options, operating_point: str | None = None
) -> pd.DataFrame:
    """The `epochs_table` of a recording; arguments as `stage_recording` has them."""
    _, epochs = stage_recording(bundle, precision, recording, options, operating_point)
    return epochs_table(recording.subject, epochs)


def table_for_people(subject: str, epochs: Sequence[Epoch]) -> pd.DataFrame:
    """The `epochs_table` without the numbers of unknown epochs, and with <sensor>_coverage (share of the last ten
    minutes) and <sensor>_seconds_since (empty if never sensed) of each sensor.
    """
    table = epochs_table(subject, epochs)
    table.loc[table.predicted_stage == UNKNOWN, [*PROBABILITY_COLUMNS]] = np.nan
    for sensor in epochs[0].coverage.sensors if epochs else ():
        coverage = [epoch.coverage.sensors[sensor] for epoch in epochs]
        table[f"{sensor}_coverage"] = [entry.share for entry in coverage]
        table[f"{sensor}_seconds_since"] = [entry.seconds_since for entry in coverage]
    return table


def report_input(subject: str, watch: Watch, epochs: Sequence[Epoch]) -> None:
    """Print to standard error what seems wrong with a night's input: units, dropped samples, no stage at all."""
    lines = [*watch.findings]
    for sensor, dropped in watch.dropped.items():
        reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count]
        if reasons:
            lines.append(f"{sensor}: samples dropped: {', '.join(reasons)}")
    if epochs and all(epoch.coverage.unknown for epoch in epochs):
        lines.append("warning: the stage is unknown all night: too little was sensed")
    for line in lines:
        console.print(f"night {subject}: {line}")


def predict_nights(
    run: Path,
    dataset_dir: Path,
    architectures: Sequence[str] | None = None,
    precisions: Sequence[str] = ("int8",),
    operating_point: str | None = None,
    out: Path | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> list[Path]:
    """Predict every usable night of a folder with one or more models of a run.

    Writes of each model a CSV with a row per window, and beside it a plot per night and the sleep statistics of all;
    a window without a stage counts neither as sleep nor as wake. What is wrong with the input goes to standard error.

    Args:
        run: Folder of the run.
        dataset_dir: Recordings; labels are not read.
        architectures: Of the run; by default the first that has a bundle.
        precisions: Of the bundles.
        operating_point: One of the contracts', or None.
        out: The CSV; with several models their names are added to its own. By default in RUN/predictions.
        progress: Called with what is under way.

    Returns:
        The paths written.

    Raises:
        UserMistake: The run lacks a model, or no night can be used; nothing was written.
    """
    must_be_a_csv(out)
    folder = RunFolder(run)
    options = folder.options
    bundles = folder.bundle_folders()
    available = subjects(dataset_dir)
    if architectures is None:
        architectures = [next(iter(bundles))]
    one_of("--architectures", architectures, bundles)
    if folder.origin.simulated:
        click.echo(f"{run}: {SIMULATED}")
    models = [(architecture, precision) for architecture in architectures for precision in precisions]
    for architecture, precision in models:  # a mistake is found before anything is written
        Watch(bundles[architecture], precision, operating_point=operating_point)
    tables = {model: {} for model in models}
    for recording in readable_recordings(dataset_dir, available, options, progress):
        for architecture, precision in models:
            watch, epochs = stage_recording(bundles[architecture], precision, recording, options, operating_point)
            tables[architecture, precision][recording.subject] = table_for_people(recording.subject, epochs)
        report_input(recording.subject, watch, epochs)  # the same for every model
    written = []
    for (architecture, precision), nights in tables.items():
        if not nights:
            raise UserMistake(f"{dataset_dir}: no usable night")
        path = Path(out or folder.predictions(architecture, precision, operating_point))
        if out and len(models) > 1:
            path = path.with_name(f"{path.stem}.{architecture}.{precision}{path.suffix}")
        if len(models) > 1:
            click.echo(f"{architecture} {precision}")
        written += write_nights(path, nights, options.stride)
    return written


def must_be_a_csv(out: Path | None) -> None:
    """Raises UserMistake where --out is a folder."""
    if out is not None and Path(out).is_dir():
        raise UserMistake(f"--out {out}: is a folder; name a CSV file")


def predict_with_bundle(
    bundle: Path,
    night: Path,
    precision: str = "int8",
    operating_point: str | None = None,
    out: Path | None = None,
) -> list[Path]:
    """Predict a night, or a folder of nights, with a bundle alone.

    Args:
        bundle: Folder of one model.
        night: A CSV as `watch_sim.night_csv` reads it, or a folder of recordings.
        precision: Of the bundle's.
        operating_point: One of the contract's, or None.
        out: The CSV; by default <night>_stages.csv beside the night.

    Returns:
        The paths written, as of `predict_nights`.

    Raises:
        UserMistake: The bundle is not whole, or no night can be used; nothing was written.
    """
    if out is not None and Path(out).resolve() == Path(night).resolve():
        raise UserMistake(f"--out {out}: is the night itself; name another file")
    must_be_a_csv(out)
    watch = Watch(bundle, precision, operating_point=operating_point)
    options = watch.options
    if watch.simulated:
        click.echo(f"{bundle}: {SIMULATED}")
    night = Path(night)
    if night.is_dir():
        recordings = readable_recordings(night, subjects(night), options, lambda message: None)
    else:
        recordings = iter([read_night_csv(night)])
    tables = {}
    for recording in recordings:
        watch, epochs = stage_recording(bundle, precision, recording, options, operating_point)
        report_input(recording.subject, watch, epochs)
        if epochs:
            tables[recording.subject] = table_for_people(recording.subject, epochs)
    if not tables:
        raise UserMistake(f"{night}: no usable night of {options.stride} s or more")
    resolved = night.resolve()
    return write_nights(Path(out or resolved.with_name(f"{resolved.stem}_stages.csv")), tables, options.stride)


def readable_recordings(
    dataset_dir: Path, chosen: Sequence[str], options: Options, progress: Callable[[str], None]
) -> Iterator[Recording]:
    """The recordings that can be used, one in memory at a time; findings go to standard error."""
    for subject in chosen:
        progress(f"night {subject}")
        try:
            recording = read_recording(dataset_dir, subject, options.negative_times, want_labels=False)
        except UnusableNight as unusable:
            console.print(*map(str, unusable.findings), sep="\n")
            continue
        if recording.findings:
            console.print(*map(str, recording.findings), sep="\n")
        yield recording


def write_nights(path: Path, nights: dict[str, pd.DataFrame], stride: int) -> list[Path]:
    """Write the predictions {subject: table} of one model, with plots and sleep statistics; returns the paths."""
    plots = []
    sleep = {}
    for subject, table in nights.items():
        plots.append(path.with_name(f"{path.stem}_{subject}.png"))
        plot_night(subject, table, stride, plots[-1])
        sleep[subject] = hypnogram([STAGES.index(s) if s in STAGES else -1 for s in table.predicted_stage], stride)
    write_whole(path, pd.concat(nights.values()).to_csv(index=False, float_format="%.9g"))
    statistics_path = path.with_name(f"{path.stem}_statistics.csv")
    sleep_table = sleep_statistics(sleep).round(2).rename_axis("subject")
    write_whole(statistics_path, sleep_table.to_csv())
    click.echo(sleep_table[[name for name in PRINTED if name in sleep_table]].to_string())
    return [path, statistics_path, *plots]
