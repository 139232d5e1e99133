"""The run folder: every file of a run is named, written and read here. No TensorFlow."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from pipeline.align import Night
from pipeline.checks import Finding, write_findings
from pipeline.constants import ARCHITECTURES
from pipeline.data_sets import Data, data_as_json, data_from_json, identities, people, sets_of
from pipeline.errors import UserMistake, one_of
from pipeline.files import UNFINISHED, read_json, reading, write_json, write_whole
from pipeline.nights import channels_used, read_night, write_night
from pipeline.options import Options
from pipeline.origin import SYNTHETIC, UNKNOWN, combined, parse_origin, read_origin, read_origins
from pipeline.recordings import subjects
from pipeline.splits import split_subjects
from pipeline.versions import commit, package_versions

HPARAMS = "hparams.json"  # written last of what begins a run: where it is, the run was begun
SPLITS = "splits.json"
SCALER = "scaler.json"
MODELS = {
    "lstm": "LSTM_best_model.keras",
    "gru": "GRU_best_model.keras",
    "rnn": "RNN_best_model.keras",
    "transformer": "Transformer_best_model.keras",
}
PARTIAL = "partial"  # the folder of what is under way
ACCURACIES = "model_accuracies.csv"
OPERATING_POINTS = "operating_points.json"
GOLDEN = ("golden.npz", "golden_2.npz", "golden_3.npz")
CALIBRATION = "calibration.npz"
BUNDLES = "bundles"
FINDINGS = "data_check_failures.txt"
VALIDATION_SAMPLE = "validation_sample.csv"
PARITY = "parity.json"
MODELS_PLOT = "models.png"  # of the exported files: agreement against size and time
# what evaluations write, into a run folder or into a folder of their own
EVALUATION, EVALUATION_PAGE = "evaluation.json", "report.md"
CONFUSION, CONFUSION_VIEWS = "confusion.png", "confusion_views.png"
RELIABILITY, BY_HOUR, BLAND_ALTMAN = "reliability.png", "by_hour.png", "bland_altman.png"
SUBJECTS_PLOT = "subjects.png"
PREDICTIONS = "predictions.csv"  # of the first result; all are in the folder of the same name
PROTOCOL = "protocol.json"  # of an evaluation: what was asked for
STRESS, STRESS_PAGE, STRESS_PLOT = "stress.json", "stress.md", "stress.png"
SALIENCY = "saliency.json"

INCOMPLETE = ": an incomplete run folder (train.py --resume --out finishes a stopped run)"
DEFAULT_ARCHITECTURE = "gru"  # of what predicts or replays with one bundle


class RunFolder:
    """The folder that one training fills, and that export, parity, prediction and evaluation start from.

    Attributes:
        path: The folder.
        hparams: What the run is made of, as hparams.json has it.
        requested_options: Options of the run as they were asked for.
        options: The same with the channels that the models take, by name.
        channels: Names of the channels that the models take, in order.
        dataset_dir: Folder of the recordings it was trained on, or several sets.
        origin: Where these come from; of several sets, what they are together.
        origins: {set: where its nights come from}; {} of a single folder.
        people: {subject: person}, as far as they differ.
    """

    def __init__(self, path: Path):
        """Open a run folder that was begun.

        Args:
            path: The folder.

        Raises:
            UserMistake: There is no such folder, or its hparams.json is missing or cannot be read.
        """
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserMistake(f"{path}: no such run folder")
        file = self.path / HPARAMS
        self.hparams = read_json(file, INCOMPLETE)
        if not isinstance(self.hparams, dict) or not {"options", "dataset_dir", "channels"} <= self.hparams.keys():
            raise UserMistake(f"{file}: not the hparams.json of a run")
        self.channels: tuple[str, ...] = tuple(self.hparams["channels"])
        self.requested_options = Options.of(self.hparams["options"])
        self.options = replace(self.requested_options, channels=self.channels)
        with reading(file):
            self.dataset_dir = data_from_json(self.hparams["dataset_dir"])
        self.origin = parse_origin(self.hparams.get("origin", UNKNOWN.as_dict()), file)
        self.origins = {name: parse_origin(mark, file) for name, mark in self.hparams.get("origins", {}).items()}
        self.people: dict[str, str] = self.hparams.get("people", {})

    @classmethod
    def begin(
        cls, path: Path, nights: Sequence[Night], findings: Sequence[Finding], options: Options, dataset_dir: Data
    ) -> Self:
        """Split the nights' subjects by the options, `create` the run, and write what was wrong with the data.

        Args: as `create`.
            findings: Of all nights.

        Raises:
            UserMistake: As `create` and `split_subjects` do.
        """
        usable = [night.subject for night in nights]
        splits = split_subjects(usable, options, people(dataset_dir, usable), sets_of(dataset_dir, usable))
        run = cls.create(path, nights, splits, options, dataset_dir)
        run.write_findings(findings)
        return run

    @classmethod
    def create(
        cls, path: Path, nights: Sequence[Night], splits: dict[str, list[str]], options: Options, dataset_dir: Data
    ) -> Self:
        """Write down what a run is made of: hparams.json, splits.json and the folder of what is under way.

        Args:
            path: The folder; it may hold the same run, stopped.
            nights: All nights that can be used.
            splits: {"train", "inner_validation", "validation"} -> subjects.
            options: Options of the run.
            dataset_dir: Folder of the recordings, or several sets.

        Raises:
            UserMistake: No training night has a requested channel; or the folder was begun with another split: nights
                have come or gone, and its models may have been trained on those held out. Nothing is written then.
        """
        path = Path(path)
        channels = channels_used([night for night in nights if night.subject in splits["train"]], options)
        origins = read_origins(dataset_dir)
        origin = combined([*origins.values()]) if origins else read_origin(dataset_dir)
        persons = people(dataset_dir, [night.subject for night in nights])
        if begun(path) and (path / SPLITS).exists() and read_json(path / SPLITS) != splits:
            raise UserMistake(f"{path}: was begun with other nights or another split; start anew")
        hparams = {
            "options": options.as_dict(),
            "dataset_dir": data_as_json(dataset_dir),
            "channels": channels,
            "origin": origin.as_dict(),
            "synthetic": SYNTHETIC.name in {origin.name, *(one.name for one in origins.values())},
            "seed": options.seed,
            "versions": package_versions(),
            "commit": commit(),
        }
        if origins:
            hparams["origins"] = {name: one.as_dict() for name, one in origins.items()}
        if several := {subject: person for subject, person in persons.items() if person != subject}:
            hparams["people"] = several
        write_json(path / SPLITS, splits)
        (path / PARTIAL).mkdir(exist_ok=True)
        write_json(path / HPARAMS, hparams)
        return cls(path)

    # the data that the run was trained on

    @cached_property
    def splits(self) -> dict[str, list[str]]:
        """{"train", "inner_validation", "validation"} -> subjects."""
        return read_json(self.path / SPLITS, INCOMPLETE)

    @property
    def part_of_subject(self) -> dict[str, str]:
        """The part of the split that a subject is in: "train", "inner_validation" or "validation"."""
        return {subject: part for part, members in self.splits.items() for subject in members}

    @property
    def all_trained_on(self) -> bool:
        """Whether no subject was held out."""
        return not self.splits["validation"]

    def parity_subjects(self, folder: Data) -> list[str]:
        """Subjects to compare the exported files on: unseen ones, or those of the golden nights where all were seen."""
        if self.all_trained_on and folder.resolve() == self.dataset_dir.resolve():
            return [night.subject for night in self.golden_nights()]
        return self.unseen_subjects(folder, "; name some with --nights")

    def unseen_subjects(self, folder: Data, hint: str = "") -> list[str]:
        """Subjects of a data set, or of several, of whom the run was trained on no night.

        Raises:
            UserMistake: There is none; with the hint.
        """
        trained_on = [*self.splits["train"], *self.splits["inner_validation"]]
        persons = {subject: self.people.get(subject, subject) for subject in trained_on}
        seen = set().union(*identities(self.dataset_dir, persons, folder).values())
        given = identities(folder, people(folder, subjects(folder)), self.dataset_dir)
        unseen = [subject for subject, names in given.items() if not names & seen]
        if not unseen:
            raise UserMistake(f"{folder}: the run was trained on every night in it{hint}")
        return unseen

    def write_findings(self, findings: Sequence[Finding]) -> None:
        """Write data_check_failures.txt."""
        write_findings(self.path / FINDINGS, findings)

    def write_validation_sample(self, night: Night) -> None:
        """Write the middle window of a night as the models are fed it: a column per channel, a line per value."""
        middle = len(night) // 2
        columns = {name: pd.Series(night.values(name, self.options)[middle]) for name in self.channels}
        write_whole(self.path / VALIDATION_SAMPLE, pd.DataFrame(columns).to_csv(index=False))

    @cached_property
    def scaler(self) -> dict[str, list]:
        """{"features": names, "mean": [F], "spread": [F]} of the training nights."""
        scaler = read_json(self.path / SCALER, INCOMPLETE)
        with reading(self.path / SCALER):
            return {"features": scaler["features"]} | {n: [float(x) for x in scaler[n]] for n in ("mean", "spread")}

    def write_scaler(self, features: Sequence[str], scaler: Mapping[str, list]) -> None:
        """Write scaler.json: names of the features [F]; {"mean": [F], "spread": [F]}."""
        write_json(self.path / SCALER, {"features": list(features), **scaler})

    # models, and what is under way while they are trained

    def model_path(self, architecture: str) -> Path:
        """Where the trained Keras model of an architecture is."""
        return self.path / MODELS[architecture]

    def partial(self, architecture: str = "") -> Path:
        """The folder of what is under way, of one architecture or of the run; it exists until the run is complete."""
        return self.path / PARTIAL / architecture

    @property
    def features(self) -> Path:
        """The folder of the nights' features, in shards; it goes when the run is complete."""
        return self.partial("features")

    def accuracy_log(self, architecture: str) -> Path:
        """JSON of an architecture's accuracies so far, a row per training epoch."""
        return self.partial(architecture) / "accuracies.json"

    @property
    def stopped(self) -> bool:
        """Whether something is still under way."""
        return self.partial().exists()

    def finish(self) -> None:
        """Delete what was under way: the run is complete."""
        if self.stopped:  # renamed first: a run could not go on from a folder that is half deleted
            shutil.rmtree(self.partial().rename(self.path / f".{PARTIAL}{UNFINISHED}"))

    @property
    def accuracies_plot(self) -> Path:
        """Where the plot of the accuracies is drawn."""
        return self.path / "model_accuracies_plot.png"

    def accuracies(self) -> pd.DataFrame:
        """Accuracies per training epoch and architecture."""
        return pd.read_csv(self.path / ACCURACIES)

    def write_accuracies(self, rows: pd.DataFrame) -> None:
        """Write model_accuracies.csv."""
        write_whole(self.path / ACCURACIES, rows.to_csv(index=False))

    def operating_points(self, architecture: str) -> dict[str, dict]:
        """{name: {"weights": [5]}} of a model, chosen on the inner validation subjects."""
        points = read_json(self.path / OPERATING_POINTS, INCOMPLETE)
        if not isinstance(points, dict) or architecture not in points:
            raise UserMistake(f"{self.path / OPERATING_POINTS}: lacks {architecture}")
        return points[architecture]

    def left_out_points(self, architecture: str) -> dict[str, str]:
        """{operating point that would change nothing: why} of a model."""
        return read_json(self.path / OPERATING_POINTS, INCOMPLETE).get("left_out", {}).get(architecture, {})

    def write_operating_points(self, points: dict[str, dict], left_out: dict[str, dict]) -> None:
        """Write operating_points.json.

        Args:
            points: {architecture: {name: {"weights": [5]}}}.
            left_out: {architecture: {name: why it is not among them}}.
        """
        write_json(self.path / OPERATING_POINTS, points | {"left_out": left_out})

    def out_of_fold(self, architecture: str) -> Path:
        """Predictions of every training and inner validation night by a network that was not trained on it."""
        return self.path / "out_of_fold" / f"{architecture}.csv"

    # what export starts from

    @property
    def trained(self) -> bool:
        """Whether all networks are trained: calibration.npz is the last that a training writes."""
        return (self.path / CALIBRATION).exists()

    def calibration(self, architecture: str) -> dict[str, np.ndarray]:
        """Windows of training nights for quantization: {"features": [windows, F], state: [windows, ...]}."""
        path = self.existing(CALIBRATION)
        prefix = f"{architecture}."
        with reading(path), np.load(path, allow_pickle=False) as saved:
            states = {k.removeprefix(prefix): saved[k] for k in saved.files if k.startswith(prefix)}
            return {"features": saved["features"], **states}

    def write_calibration(self, features: np.ndarray, states: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Write calibration.npz: features [windows, F], {architecture: {state: [windows, ...]}} before these."""
        arrays: dict[str, Any] = {
            f"{architecture}.{name}": x for architecture, by_name in states.items() for name, x in by_name.items()
        }
        write_whole(self.path / CALIBRATION, lambda file: np.savez_compressed(file, features=features, **arrays))

    def golden_nights(self) -> list[Night]:
        """The held-out nights of which one becomes a bundle's golden night, the fullest first."""
        nights = []
        for name in [GOLDEN[0], *(name for name in GOLDEN[1:] if (self.path / name).exists())]:
            with reading(path := self.existing(name)):
                night, _ = read_night(path)
                if night is None:
                    raise ValueError("no night in it")
                nights.append(night)
        return nights

    def write_golden_nights(self, nights: Sequence[Night]) -> None:
        """Write the first of these nights, as many as GOLDEN has names."""
        for name, night in zip(GOLDEN, nights, strict=False):
            write_night(self.path / name, night)

    # bundles

    @property
    def bundles(self) -> Path:
        """The folder of the bundles."""
        return self.path / BUNDLES

    def bundle(self, architecture: str) -> Path:
        """The bundle of an architecture; UserMistake where it is missing."""
        return self.existing(f"{BUNDLES}/{architecture}")

    def bundle_folders(self) -> dict[str, Path]:
        """{architecture: folder} of the existing bundles, the default one first; UserMistake where there is none."""
        names = dict.fromkeys((DEFAULT_ARCHITECTURE, *ARCHITECTURES))
        folders = {name: self.bundles / name for name in names if (self.bundles / name).is_dir()}
        if not folders:
            raise UserMistake(f"{self.bundles}: no bundle there; not a run folder, or an incomplete one")
        return folders

    def rejected(self, architecture: str) -> Path:
        """Where files of an architecture go whose parity gate failed."""
        return rejected_files(self.path, architecture)

    # parity, scores and predictions

    def parity(self) -> dict:
        """The parity report that ended the training; {} where there is none."""
        return read_json(self.parity_report) if self.parity_report.exists() else {}

    @property
    def parity_report(self) -> Path:
        """Where the parity report that ends the training is written."""
        return self.path / PARITY

    def new_parity_check(self) -> Path:
        """Where the next of the later parity checks writes its report: a file that does not exist yet."""
        n = 1
        while (path := self.path / "parity_checks" / f"parity_{n}.json").exists():
            n += 1
        return path

    @staticmethod
    def parity_plot(report: Path, architecture: str) -> Path:
        """The plot of an architecture that goes with a parity report."""
        return report.with_name(f"{report.stem}_{architecture}.png")

    def evaluation_results(self) -> list[dict]:
        """Scores of the models on the held-out subjects, as evaluation.json has them; [] before they are scored."""
        return self.list_in(EVALUATION, "results")

    def list_in(self, name: str, field: str) -> list:
        """The list under a field of a JSON file; [] where there is no such file, UserMistake where no such list."""
        if not (self.path / name).exists():
            return []
        content = read_json(self.path / name)
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise UserMistake(f"{self.path / name}: no list {field!r} in it; remove the file, or make it anew")
        return content[field]

    def stress_results(self) -> list[dict]:
        """Results of the stress test of the run's held-out nights, as stress.json has them; [] where there is none."""
        return self.list_in(STRESS, "results")

    def predictions(self, *names: str | None) -> Path:
        """Where `predict` writes by default. names: architecture, precision and operating point, if any."""
        return predictions_of(self.path, *filter(None, names))

    def scores(self, dataset_dir: Data, precision: str) -> Path:
        """The folder where `score` writes by default."""
        return self.path / "scores" / f"{dataset_dir.resolve().name}.{precision}"

    def existing(self, name: str) -> Path:
        """The path of a file or folder of the run; UserMistake where it is missing."""
        path = self.path / name
        if not path.exists():
            raise UserMistake(f"{path}: missing{INCOMPLETE}")
        return path

    def chosen_architectures(self, requested: Sequence[str] | None) -> tuple[str, ...]:
        """The requested architectures, or all of the run; UserMistake for one that it lacks."""
        return one_of("--architectures", requested or self.options.architectures, self.options.architectures)


def rejected_files(folder: Path, architecture: str) -> Path:
    """Where rejected files of an architecture go, beside the bundles in a run folder or in another one."""
    return Path(folder) / "rejected" / architecture


def predictions_of(folder: Path, *names: str) -> Path:
    """Where a run or an evaluation keeps what a model predicted; names, put together, tell which."""
    return Path(folder) / "predictions" / ".".join([*names, "csv"])


def night_plot(folder: Path, name: str) -> Path:
    """The plot of a night in an evaluation's report: the "worst", "median" or "best" one."""
    return Path(folder) / f"night_{name}.png"


def saliency_plot(folder: Path, architecture: str) -> Path:
    """The plot of a transition that an architecture follows and of one that it misses."""
    return Path(folder) / f"saliency_{architecture}.png"


def saliency_inputs_plot(folder: Path, architecture: str) -> Path:
    """The plot of how much each input counts for each stage that an architecture predicts."""
    return Path(folder) / f"saliency_{architecture}_inputs.png"


def fold_folder(evaluation: Path, fold: str) -> Path:
    """The run folder of a fold of an evaluation, by the fold's name."""
    return Path(evaluation) / "folds" / fold


def fold_folders(evaluation: Path) -> list[Path]:
    """Run folders of all folds that were begun in the folder of an evaluation; [] where it is no evaluation."""
    return sorted(path.parent for path in Path(evaluation).glob(f"folds/*/{HPARAMS}"))


def held_out_predictions(folder: Path, architecture: str, precision: str) -> Path:
    """Where a fold of an evaluation, a run folder, keeps what a model predicted of its held-out nights."""
    return Path(folder) / "held_out" / f"{architecture}.{precision}.csv"


def inner_fold(partial: Path, first: int) -> Path:
    """Where the predictions of an inner fold are kept, named by its first member."""
    return partial / f"inner_fold_{first}.npy"


def epoch_model(partial: Path, epoch: int) -> Path:
    """Where the model as it is after a training epoch is kept, with its optimizer."""
    return partial / f"epoch_{epoch}.keras"


def stopped_runs(artifacts: Path) -> list[Path]:
    """Run folders whose training did not end, the newest last."""
    stopped = [path.parent for path in artifacts.glob(f"*/run_*/{PARTIAL}") if begun(path.parent)]
    return sorted(stopped, key=lambda folder: (folder / PARTIAL).stat().st_mtime)


def begun(path: Path) -> bool:
    """Whether a run was begun in a folder, so that it can go on."""
    return (path / HPARAMS).exists()


def clear_unbegun(path: Path) -> None:
    """Remove what a run that was killed while it began has left in a folder, so that another can begin there."""
    if not begun(path):
        with suppress(OSError):  # not there, or with something in it
            (path / PARTIAL).rmdir()
            (path / SPLITS).unlink(missing_ok=True)
