"""Predicts nights by streaming them through the watch: tables, plots and sleep statistics. Without TensorFlow."""

import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pandas as pd

from apps.python.sleep_stager import SIMULATED, SimulatedWarning
from export.archive import opened_bundles
from export.cadence import Cadence
from pipeline.align import extent
from pipeline.checks import UnusableNight
from pipeline.command_line import console, must_be_writable
from pipeline.constants import STAGES, UNKNOWN
from pipeline.data_sets import Data, DataSets
from pipeline.device_stages import read_device_stages
from pipeline.errors import UserMistake, one_of
from pipeline.files import write_json, write_whole
from pipeline.options import Options
from pipeline.outputs import must_be_free, must_spare
from pipeline.recordings import Recording
from pipeline.scratch import sole_use_of_output
from pipeline.workers import in_parallel
from scoring.device_agreement import COLUMN, TITLE, device_agreement
from scoring.plots import plot_night
from scoring.predictions import PROBABILITY_COLUMNS, PredictedNight, predictions_table
from scoring.sleep_statistics import hypnogram, sleep_statistics
from watch_sim.cadence import cadence_notes, movement_notes
from watch_sim.nights import NightPlace, find_nights
from watch_sim.stream import stream
from watch_sim.watch import Epoch, Watch

STATISTICS, AGREEMENT = "_statistics.csv", "_device_agreement.csv"  # endings of files next to the CSV
PRINTED = ("TST", "SE", "SOL", "WASO", "N1", "N2", "N3", "REM", "REM latency")  # sleep statistics to print


def stage_recording(
    bundle: Path, precision: str, recording: Recording, options: Options, operating_point: str | None = None
) -> tuple[Watch, list[Epoch]]:
    """Stream a recording through a watch.

    Args:
        bundle: Folder of one model.
        precision: One of the bundle's.
        recording: The night; its labels are used only to find its end.
        options: Options of the run.
        operating_point: One of the contract's, or None.

    Returns:
        The watch, which holds dropped samples and findings, and the epochs of all windows.
    """
    start = extent(recording, options)[0]
    counts = "activity" in recording.samples
    watch = Watch(bundle, precision, start, counts, operating_point)
    return watch, [epoch for closed in stream(recording, options, watch) for epoch in closed]


def epochs_table(subject: str, epochs: Sequence[Epoch]) -> pd.DataFrame:
    """A row per epoch with scoring.predictions.COLUMNS; scored_stage is empty, unknown epochs keep probabilities."""
    probabilities = np.array([epoch.probabilities for epoch in epochs], np.float64).reshape(-1, len(STAGES))
    times = np.array([epoch.time for epoch in epochs])
    unknown = np.array([epoch.coverage.unknown for epoch in epochs], bool)
    return predictions_table(PredictedNight(subject, times, np.full(len(epochs), -1), probabilities, unknown=unknown))


def predict_night(
    bundle: Path, precision: str, recording: Recording, options: Options, operating_point: str | None = None
) -> pd.DataFrame:
    """The `epochs_table` of a recording; arguments as in `stage_recording`."""
    _, epochs = stage_recording(bundle, precision, recording, options, operating_point)
    return epochs_table(recording.subject, epochs)


def table_for_people(subject: str, epochs: Sequence[Epoch]) -> pd.DataFrame:
    """The `epochs_table` without the probabilities of unknown epochs, and for each sensor with <sensor>_coverage
    (share of the last ten minutes) and <sensor>_seconds_since (empty if never sensed).
    """
    table = epochs_table(subject, epochs)
    table.loc[table.predicted_stage == UNKNOWN, [*PROBABILITY_COLUMNS]] = np.nan
    for sensor in epochs[0].coverage.sensors if epochs else ():
        coverage = [epoch.coverage.sensors[sensor] for epoch in epochs]
        table[f"{sensor}_coverage"] = [entry.share for entry in coverage]
        table[f"{sensor}_seconds_since"] = [entry.seconds_since for entry in coverage]
    return table


def input_notes(watch: Watch, epochs: Sequence[Epoch]) -> list[str]:
    """Notes on a night's input: suspicious units, dropped samples, missing sensors, unknown stages."""
    lines = [*watch.findings]
    for sensor, dropped in watch.dropped.items():
        reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count]
        if reasons:
            lines.append(f"{sensor}: samples dropped: {', '.join(reasons)}")
    if not epochs:
        return lines
    never = [name for name, entry in epochs[-1].coverage.sensors.items() if entry.seconds_since is None]
    if never:
        lines.append(f"missing all night, though the model uses it: {', '.join(never)}")
    unknown = sum(epoch.coverage.unknown for epoch in epochs)
    if unknown == len(epochs):
        lines.append("warning: the stage is unknown all night: too little was sensed")
    elif unknown:
        lines.append(f"the stage is unknown in {unknown} of {len(epochs)} epochs: too little was sensed")
    return lines


def night_named(name: str) -> str:
    """A night's name for people: "night 46343", but no second "night" before "night_1"."""
    return name if name.lower().startswith("night") else f"night {name}"


class StagedNight(NamedTuple):
    """One night's predictions.

    Attributes:
        subject: The subject.
        tables: The `table_for_people` of each model, with device stages as a column if there are any; empty if the
            night cannot be used.
        notes: Messages about the night.
    """

    subject: str
    tables: list[pd.DataFrame]
    notes: list[str]


def stage_night(
    place: NightPlace, models: Sequence[tuple[Path, str]], options: Options, operating_point: str | None = None
) -> StagedNight:
    """Stage one night with several models, in this process or a worker's.

    Args:
        place: Where the night is.
        models: (folder of the bundle, precision) of each model.
        options: Options of the run.
        operating_point: One of the contracts', or None.

    Raises:
        UserMistake: The night is a CSV that cannot be read.
    """
    try:
        recording = place.read(options)
    except UnusableNight as unusable:
        return StagedNight(place.name, [], [*map(str, unusable.findings)])
    notes = [*map(str, recording.findings)]
    tables = []
    with warnings.catch_warnings(action="ignore", category=SimulatedWarning):  # the command prints its own warning
        for bundle, precision in models:
            watch, epochs = stage_recording(bundle, precision, recording, options, operating_point)
            if epochs:
                tables.append(table_for_people(recording.subject, epochs))
    night = night_named(place.name)
    of_all = [*input_notes(watch, epochs), *movement_notes(recording, options)]  # the same for every model
    notes += [f"{night}: {line}" for line in of_all]
    of_bundles = {bundle: cadence_notes(recording, options, Cadence.read(bundle)) for bundle, _ in models}
    for bundle, lines in of_bundles.items():
        of = f" {bundle.name}:" if len(of_bundles) > 1 else ""
        notes += [f"{night}:{of} {line}" for line in lines]
    if tables and place.subject:
        try:
            device = read_device_stages(place.path, place.subject, tables[0].t, options.stride)
        except UserMistake as damaged:
            notes.append(f"{damaged.message}; left out")
        else:
            tables = [table if device is None else table.assign(**{COLUMN: device}) for table in tables]
    return StagedNight(place.name, tables, notes)


def predict(
    model: Path,
    nights: Data,
    architectures: Sequence[str] | None = None,
    precisions: Sequence[str] = ("int8",),
    operating_point: str | None = None,
    out: Path | None = None,
    chosen: Sequence[str] | None = None,
    progress: Callable[[str, int, int], object] = lambda subject, done, total: None,
    copy: Path | None = None,
) -> list[Path]:
    """Stage nights with one or more models.

    Writes for each model a CSV with a row per window and, next to it, a plot per night, the sleep statistics of all
    nights, and the agreement with device stages, if any; a window without a stage counts as neither sleep nor wake.
    Problems with the input are printed to standard error.

    Args:
        model: A run folder, or a bundle (folder or zip).
        nights: As in `watch_sim.nights.find_nights`.
        architectures: The run's to use; by default the first that has a bundle.
        precisions: The bundles' to use.
        operating_point: One of the contracts', or None.
        out: The CSV; with several models their names are added to its name. By default in the run's folder
            `predictions`, or for a bundle <nights>_stages.csv next to the nights.
        chosen: Subjects of the data set; None for all.
        progress: Called with (the finished night, number of finished nights, number of nights).
        copy: A JSON file of the results, or None.

    Returns:
        The paths written, without `copy`.

    Raises:
        UserMistake: The model is incomplete, or no night can be used; nothing was written.
    """
    with opened_bundles(model) as (bundles, run), ExitStack() as stack:
        if run:
            stack.enter_context(sole_use_of_output(run.path, out))
        architectures = one_of("--architectures", architectures or [next(iter(bundles))], bundles)
        models = [(architecture, precision) for architecture in architectures for precision in precisions]
        watches = [Watch(bundles[a], p, operating_point=operating_point) for a, p in models]  # finds mistakes early
        options = run.options if run else watches[0].options
        places = find_nights(nights, chosen)
        if run and out is None:
            files = [run.predictions(*names, operating_point) for names in models]
        else:
            file = out or default_output(nights, places)
            parts = [names if len(models) > 1 else () for names in models]
            files = [file.with_name(".".join([file.stem, *names]) + file.suffix) for names in parts]
        outputs = [output for file in files for output in (file, *files_beside(file, [x.name for x in places]))]
        for output in outputs:
            must_be_writable("--out", output)
            if out:
                must_be_free("--out", output)
        read = [Path(model), *(file for place in places for file in place.files())]
        for output in outputs:
            must_spare("--out", output, read)
        if copy:
            must_spare("--json", copy, read, bundles.values(), outputs)
        simulated = any(watch.simulated for watch in watches)
        if simulated:
            click.echo(f"{model}: {SIMULATED}")
        tables: list[dict[str, pd.DataFrame]] = [{} for _ in models]
        notes: dict[str, list[str]] = {}
        work = [(place, [(bundles[a], p) for a, p in models], options, operating_point) for place in places]
        for i, night in enumerate(in_parallel(stage_night, work), 1):
            if night.notes:
                console.print(*night.notes, sep="\n")
                notes[night.subject] = night.notes
            for of_model, table in zip(tables, night.tables, strict=False):
                of_model[night.subject] = table
            progress(night.subject, i, len(places))
        if not tables[0]:
            raise UserMistake(f"{nights}: no usable night of {options.stride} s or more")
        written, results = [], []
        for names, file, of_model in zip(models, files, tables, strict=True):
            if len(models) > 1:
                click.echo(" ".join(names))
            statistics = statistics_of(of_model, options.stride)
            written += write_nights(file, of_model, statistics, options.stride)
            described = dict(zip(("architecture", "precision"), names, strict=True))
            results.append(described | {"file": str(file), "nights": results_of(of_model, statistics)})
        if copy:
            document = {"model": str(model), "simulated": simulated}
            write_json(copy, document | {"operating_point": operating_point, "models": results, "notes": notes})
        return written


def default_output(nights: Data, places: Sequence[NightPlace]) -> Path:
    """Default output of a bundle's predictions: next to the data set or CSV."""
    if isinstance(nights, DataSets):
        return places[0].path.with_name(f"{nights.name}_stages.csv")
    resolved = Path(nights).resolve()
    if resolved.is_file() and places[0].subject:
        folder, subject = places[0].path.resolve(), places[0].subject
        return folder.with_name(f"{folder.name}_{subject}_stages.csv")
    return resolved.with_name(f"{resolved.stem}_stages.csv")


def plot_path(path: Path, subject: str) -> Path:
    """Where a night's hypnogram is written, next to the CSV of all nights."""
    return beside_it(path, f"_{subject}.png")


def beside_it(path: Path, ending: str) -> Path:
    """The path of a file next to the CSV of all nights: its name with another ending."""
    return path.with_name(f"{path.stem}{ending}")


def files_beside(path: Path, subjects: Sequence[str]) -> list[Path]:
    """All that may be written next to the CSV of the nights of these subjects."""
    return [beside_it(path, STATISTICS), beside_it(path, AGREEMENT), *(plot_path(path, name) for name in subjects)]


def statistics_of(nights: dict[str, pd.DataFrame], stride: int) -> pd.DataFrame:
    """Sleep statistics of one model's predictions {subject: table}, a row per night."""
    sleep = {
        subject: hypnogram([STAGES.index(s) if s in STAGES else -1 for s in table.predicted_stage], stride)
        for subject, table in nights.items()
    }
    return sleep_statistics(sleep).round(2).rename_axis("subject")


def results_of(nights: dict[str, pd.DataFrame], statistics: pd.DataFrame) -> dict[str, Any]:
    """One model's predictions for JSON: {subject: times in s, stages and sleep statistics}; null where undefined."""
    row_of = json.loads(statistics.to_json(orient="index"))
    return {
        subject: {"t": table.t.tolist(), "stages": table.predicted_stage.tolist(), "statistics": row_of[subject]}
        for subject, table in nights.items()
    }


def write_nights(path: Path, nights: dict[str, pd.DataFrame], statistics: pd.DataFrame, stride: int) -> list[Path]:
    """Write one model's predictions {subject: table} with plots and their `statistics_of`; returns the paths."""
    plots = {subject: plot_path(path, subject) for subject in nights}
    for _ in in_parallel(
        plot_night, ((night_named(s), t, stride, plots[s], None, t.get(COLUMN)) for s, t in nights.items())
    ):
        pass
    write_whole(path, pd.concat(nights.values()).to_csv(index=False, float_format="%.9g"))
    statistics_path = beside_it(path, STATISTICS)
    write_whole(statistics_path, statistics.to_csv())
    click.echo(statistics[[name for name in PRINTED if name in statistics]].to_string())
    written = [path, statistics_path]
    if beside := {s: (table.predicted_stage, table[COLUMN]) for s, table in nights.items() if COLUMN in table}:
        table = device_agreement(beside).round(3)
        written.append(beside_it(path, AGREEMENT))
        write_whole(written[-1], table.to_csv())
        click.echo(f"\n{TITLE}\n{table.to_string()}\n")
    return [*written, *plots.values()]
