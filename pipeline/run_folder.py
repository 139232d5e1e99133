"""The run folder: every file of a run is named, written and read here. No TensorFlow."""

import os
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
from pipeline.nights import channels_used, load_night, read_night, write_night
from pipeline.options import Options
from pipeline.origin import SYNTHETIC, UNKNOWN, combined, parse_origin, read_origin, read_origins
from pipeline.recordings import subjects
from pipeline.repeats import Repeats
from pipeline.splits import split_subjects
from pipeline.versions import commit, package_versions

HPARAMS = "hparams.json"  # written last when a run begins: if it exists, the run was begun
SPLITS = "splits.json"
SCALER = "scaler.json"
MODELS = {
    "lstm": "LSTM_best_model.keras",
    "gru": "GRU_best_model.keras",
    "rnn": "RNN_best_model.keras",
    "transformer": "Transformer_best_model.keras",
}
PARTIAL = "partial"  # folder of unfinished work
ACCURACIES = "model_accuracies.csv"
OPERATING_POINTS = "operating_points.json"
GOLDEN = ("golden.npz", "golden_2.npz", "golden_3.npz")
CALIBRATION = "calibration.npz"
BUNDLES = "bundles"
FINDINGS = "data_check_failures.txt"
VALIDATION_SAMPLE = "validation_sample.csv"
PARITY = "parity.json"
MODELS_PLOT = "models.png"  # agreement of the exported files against their size and time
# files of evaluations, in a run folder or in a separate one
EVALUATION, EVALUATION_PAGE = "evaluation.json", "report.md"
CONFUSION, CONFUSION_VIEWS = "confusion.png", "confusion_views.png"
RELIABILITY, BY_HOUR, BLAND_ALTMAN = "reliability.png", "by_hour.png", "bland_altman.png"
SUBJECTS_PLOT = "subjects.png"
PREDICTIONS = "predictions.csv"  # of the first result; all are in the folder of the same name
PROTOCOL = "protocol.json"  # settings of an evaluation
STRESS, STRESS_PAGE, STRESS_PLOT = "stress.json", "stress.md", "stress.png"
SALIENCY = "saliency.json"
TABLES = (  # files of a run or an evaluation that other commands read
    HPARAMS, SPLITS, SCALER, ACCURACIES, OPERATING_POINTS, VALIDATION_SAMPLE, PARITY, EVALUATION, PREDICTIONS, PROTOCOL,
    STRESS, SALIENCY,
)  # fmt: skip

INCOMPLETE = ": an incomplete run folder (train.py --resume --out finishes a stopped run)"
DEFAULT_ARCHITECTURE = "gru"  # of commands that use one bundle


class RunFolder:
    """The folder that a training writes, and that export, parity, prediction and evaluation read.

    Attributes:
        path: The folder.
        hparams: Contents of hparams.json: options, data and versions of the run.
        requested_options: Options of the run as given by the user.
        options: The same options, with the models' channels filled in.
        channels: Names of the models' channels, in order.
        dataset_dir: Folder of the recordings it was trained on, or several sets.
        origin: Origin of the recordings; of several sets, their combined origin.
        origins: {set: origin}; {} for a single folder.
        people: {subject: person}, only where they differ.
    """

    def __init__(self, path: Path):
        """Open an existing run folder.

        Args:
            path: The folder.

        Raises:
            UserMistake: The folder does not exist, or its hparams.json is missing or invalid.
        """
        self.path = Path(path)
        try:
            os.listdir(path)
        except (FileNotFoundError, NotADirectoryError):
            raise UserMistake(f"{path}: no such run folder") from None
        except OSError as error:
            raise UserMistake(f"{path}: cannot be read ({error.strerror})") from None
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
        """Split the nights' subjects, `create` the run, and write the findings.

        Args: as `create`.
            findings: Findings of all nights.

        Raises:
            UserMistake: As `create` and `split_subjects`.
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
        """Write hparams.json, splits.json and the folder of unfinished work.

        Args:
            path: The folder; it may hold the same run, stopped.
            nights: All usable nights.
            splits: {"train", "inner_validation", "validation"} -> subjects.
            options: Options of the run.
            dataset_dir: Folder of the recordings, or several sets.

        Raises:
            UserMistake: No training night has a requested channel; or the folder was begun with another split, so that
                its models may have been trained on nights now held out. In both cases nothing is written.
        """
        path = Path(path)
        channels = channels_used([night for night in nights if night.subject in splits["train"]], options)
        origins = read_origins(dataset_dir)
        origin = combined([*origins.values()]) if origins else read_origin(dataset_dir)
        persons = people(dataset_dir, [night.subject for night in nights])
        if begun(path) and (path / SPLITS).exists() and read_json(path / SPLITS) != splits:
            raise UserMistake(f"{path}: was begun with other nights or another split; start a new run")
        hparams = {
            "options": options.as_dict(),
            "dataset_dir": data_as_json(dataset_dir),
            "channels": channels,
            "origin": origin.as_dict(),
            "synthetic": SYNTHETIC.name in {origin.name, *(part.name for part in origins.values())},
            "seed": options.seed,
            "versions": package_versions(),
            "commit": commit(),
        }
        if origins:
            hparams["origins"] = {name: part.as_dict() for name, part in origins.items()}
        if differing := {subject: person for subject, person in persons.items() if person != subject}:
            hparams["people"] = differing
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
        """Subjects to check parity on: unseen ones, or those of the golden nights if the run was trained on all."""
        if self.all_trained_on and folder.resolve() == self.dataset_dir.resolve():
            return [night.subject for night in self.golden_nights()]
        return self.unseen_subjects(folder, "; name some with --nights")

    def unseen_subjects(self, folder: Data, hint: str = "") -> list[str]:
        """Subjects of a data set, or of several, that the run was not trained on with any night of the same person.

        A night that repeats one of the run's training nights under another id is left out, too, as long as the run's
        own recordings are still there.

        Args:
            folder: Folder of the data set, or several sets.
            hint: Added to the message.

        Raises:
            UserMistake: There are none.
        """
        trained_on = [*self.splits["train"], *self.splits["inner_validation"]]
        persons = {subject: self.people.get(subject, subject) for subject in trained_on}
        seen = set().union(*identities(self.dataset_dir, persons, folder).values())
        given = identities(folder, people(folder, subjects(folder)), self.dataset_dir)
        unseen = [subject for subject, names in given.items() if not names & seen]
        unseen = self._without_repeats(folder, unseen, trained_on)
        if not unseen:
            raise UserMistake(f"{folder}: the run was trained on every night in it{hint}")
        return unseen

    def _without_repeats(self, folder, unseen, trained_on):
        """Those of a folder's subjects whose values are not those of a training night."""
        same = folder.resolve() == self.dataset_dir.resolve()
        held_out = {*self.splits["validation"]} if same else set()  # compared when the run began
        new = [subject for subject in unseen if subject not in held_out]
        if not new:
            return unseen
        repeats = Repeats()
        with suppress(UserMistake):  # the folder is gone: names are all that there is to compare
            for subject in sorted({*trained_on} & {*subjects(self.dataset_dir)}):
                if night := load_night(self.dataset_dir, subject, self.options)[0]:
                    repeats.finding(subject, night.fingerprint)
        if not repeats.sizes:
            return unseen
        again = set()
        for subject in new:
            night, _ = load_night(folder, subject, self.options)
            if night and repeats.repeated(night.fingerprint):
                again.add(subject)
        return [subject for subject in unseen if subject not in again]

    def write_findings(self, findings: Sequence[Finding]) -> None:
        """Write data_check_failures.txt."""
        write_findings(self.path / FINDINGS, findings)

    def write_validation_sample(self, night: Night) -> None:
        """Write the middle window of a night as the models' input: a column per channel, a line per value."""
        middle = len(night) // 2
        columns = {name: pd.Series(night.values(name, self.options)[middle]) for name in self.channels}
        write_whole(self.path / VALIDATION_SAMPLE, pd.DataFrame(columns).to_csv(index=False))

    @cached_property
    def scaler(self) -> dict[str, list]:
        """Standardisation of features by the training nights: {"features": names, "mean": [F], "spread": [F]}."""
        scaler = read_json(self.path / SCALER, INCOMPLETE)
        with reading(self.path / SCALER):
            return {"features": scaler["features"]} | {n: [float(x) for x in scaler[n]] for n in ("mean", "spread")}

    def write_scaler(self, features: Sequence[str], scaler: Mapping[str, list]) -> None:
        """Write scaler.json.

        Args:
            features: Names of the features, [F].
            scaler: {"mean": [F], "spread": [F]}.
        """
        write_json(self.path / SCALER, {"features": list(features), **scaler})

    # models, and unfinished work while they are trained

    def model_path(self, architecture: str) -> Path:
        """Path of an architecture's trained Keras model."""
        return self.path / MODELS[architecture]

    def partial(self, architecture: str = "") -> Path:
        """Folder of unfinished work of one architecture, or of the run; it exists until the run is complete."""
        return self.path / PARTIAL / architecture

    @property
    def features(self) -> Path:
        """Folder of the nights' features, in shards; deleted when the run is complete."""
        return self.partial("features")

    def accuracy_log(self, architecture: str) -> Path:
        """Path of an architecture's accuracies so far: JSON, a row per training epoch."""
        return self.partial(architecture) / "accuracies.json"

    @property
    def stopped(self) -> bool:
        """Whether the run is unfinished."""
        return self.partial().exists()

    def finish(self) -> None:
        """Mark the run as complete: delete the folder of unfinished work."""
        if self.stopped:  # renamed first: a run could not resume from a half-deleted folder
            shutil.rmtree(self.partial().rename(self.path / f".{PARTIAL}{UNFINISHED}"))

    @property
    def accuracies_plot(self) -> Path:
        """Path of the plot of the accuracies."""
        return self.path / "model_accuracies_plot.png"

    def accuracies(self) -> pd.DataFrame:
        """Read the accuracies per training epoch and architecture."""
        return pd.read_csv(self.path / ACCURACIES)

    def write_accuracies(self, rows: pd.DataFrame) -> None:
        """Write model_accuracies.csv."""
        write_whole(self.path / ACCURACIES, rows.to_csv(index=False))

    def operating_points(self, architecture: str) -> dict[str, dict]:
        """Operating points of a model, {name: {"weights": [5]}}."""
        points = read_json(self.path / OPERATING_POINTS, INCOMPLETE)
        if not isinstance(points, dict) or architecture not in points:
            raise UserMistake(f"{self.path / OPERATING_POINTS}: lacks {architecture}")
        return points[architecture]

    def left_out_points(self, architecture: str) -> dict[str, str]:
        """Operating points of a model that were left out because they change nothing, {name: reason}."""
        return read_json(self.path / OPERATING_POINTS, INCOMPLETE).get("left_out", {}).get(architecture, {})

    def write_operating_points(self, points: dict[str, dict], left_out: dict[str, dict]) -> None:
        """Write operating_points.json.

        Args:
            points: {architecture: {name: {"weights": [5]}}}.
            left_out: {architecture: {name: why it was left out}}.
        """
        write_json(self.path / OPERATING_POINTS, points | {"left_out": left_out})

    def out_of_fold(self, architecture: str) -> Path:
        """Path of the predictions of every training and inner validation night by a network not trained on it."""
        return self.path / "out_of_fold" / f"{architecture}.csv"

    # what export reads

    @property
    def trained(self) -> bool:
        """Whether all networks are trained: calibration.npz is the last file that a training writes."""
        return (self.path / CALIBRATION).exists()

    def calibration(self, architecture: str) -> dict[str, np.ndarray]:
        """Read windows of training nights for quantization: {"features": [windows, F], state: [windows, ...]}."""
        path = self.existing(CALIBRATION)
        prefix = f"{architecture}."
        with reading(path), np.load(path, allow_pickle=False) as saved:
            states = {k.removeprefix(prefix): saved[k] for k in saved.files if k.startswith(prefix)}
            return {"features": saved["features"], **states}

    def write_calibration(self, features: np.ndarray, states: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Write calibration.npz.

        Args:
            features: Features of the windows, [windows, F].
            states: {architecture: {state: [windows, ...]}}, the states before these windows.
        """
        arrays: dict[str, Any] = {
            f"{architecture}.{name}": x for architecture, by_name in states.items() for name, x in by_name.items()
        }
        write_whole(self.path / CALIBRATION, lambda file: np.savez_compressed(file, features=features, **arrays))

    def golden_nights(self) -> list[Night]:
        """Read the candidates for a bundle's golden night: held-out nights, the one with most data first."""
        nights = []
        for name in [GOLDEN[0], *(name for name in GOLDEN[1:] if (self.path / name).exists())]:
            with reading(path := self.existing(name)):
                night, _ = read_night(path)
                if night is None:
                    raise ValueError("no night in it")
                nights.append(night)
        return nights

    def write_golden_nights(self, nights: Sequence[Night]) -> None:
        """Write the first nights, as many as GOLDEN has names."""
        for name, night in zip(GOLDEN, nights, strict=False):
            write_night(self.path / name, night)

    # bundles

    @property
    def bundles(self) -> Path:
        """Folder of the bundles."""
        return self.path / BUNDLES

    def bundle(self, architecture: str) -> Path:
        """Folder of an architecture's bundle; UserMistake if it is missing."""
        return self.existing(f"{BUNDLES}/{architecture}")

    def bundle_folders(self) -> dict[str, Path]:
        """{architecture: folder} of the existing bundles, the default one first; UserMistake if there is none."""
        names = dict.fromkeys((DEFAULT_ARCHITECTURE, *ARCHITECTURES))
        folders = {name: self.bundles / name for name in names if os.path.isdir(self.bundles / name)}
        if not folders:
            raise UserMistake(f"{self.bundles}: no bundle there; not a run folder, or an incomplete one")
        return folders

    def rejected(self, architecture: str) -> Path:
        """Folder of an architecture's files that failed their parity gate."""
        return rejected_files(self.path, architecture)

    # parity, scores and predictions

    def parity(self) -> dict:
        """Read the parity report from the end of the training; {} if there is none."""
        return read_json(self.parity_report) if self.parity_report.exists() else {}

    @property
    def parity_report(self) -> Path:
        """Path of the parity report from the end of the training."""
        return self.path / PARITY

    def new_parity_check(self) -> Path:
        """Path for the report of a later parity check: a file that does not exist yet."""
        n = 1
        while (path := self.path / "parity_checks" / f"parity_{n}.json").exists():
            n += 1
        return path

    @staticmethod
    def parity_plot(report: Path, architecture: str) -> Path:
        """Path of an architecture's plot that goes with a parity report."""
        return report.with_name(f"{report.stem}_{architecture}.png")

    def evaluation_results(self) -> list[dict]:
        """Read the models' scores on the held-out subjects from evaluation.json; [] before they are scored."""
        return self.list_in(EVALUATION, "results")

    def list_in(self, name: str, field: str) -> list:
        """Read the list under a field of a JSON file; [] if there is no such file, UserMistake if no such list."""
        if not (self.path / name).exists():
            return []
        content = read_json(self.path / name)
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise UserMistake(f"{self.path / name}: no list {field!r} in it; remove the file, or create it again")
        return content[field]

    def stress_results(self) -> list[dict]:
        """Read the results of the stress test on held-out nights from stress.json; [] if there are none."""
        return self.list_in(STRESS, "results")

    def predictions(self, *names: str | None) -> Path:
        """Default output path of `predict`. names: architecture, precision and, if any, operating point."""
        return predictions_of(self.path, *filter(None, names))

    def scores(self, dataset_dir: Data, precision: str) -> Path:
        """Default output folder of `score`."""
        return self.path / "scores" / f"{dataset_dir.resolve().name}.{precision}"

    def existing(self, name: str) -> Path:
        """Path of a file or folder of the run; UserMistake if it is missing."""
        path = self.path / name
        if not path.exists():
            raise UserMistake(f"{path}: missing{INCOMPLETE}")
        return path

    def chosen_architectures(self, requested: Sequence[str] | None) -> tuple[str, ...]:
        """The requested architectures, or by default all of the run; UserMistake for one that it lacks."""
        return one_of("--architectures", requested or self.options.architectures, self.options.architectures)


def rejected_files(folder: Path, architecture: str) -> Path:
    """Folder of an architecture's rejected files, in a run folder or another output folder."""
    return Path(folder) / "rejected" / architecture


def predictions_of(folder: Path, *names: str) -> Path:
    """Path of a model's predictions in a run or an evaluation; the names identify the model."""
    return Path(folder) / "predictions" / ".".join([*names, "csv"])


def night_plot(folder: Path, name: str) -> Path:
    """Path of the plot of the "worst", "median" or "best" night in an evaluation's report."""
    return Path(folder) / f"night_{name}.png"


def saliency_plot(folder: Path, architecture: str) -> Path:
    """Path of the plot of a transition that an architecture follows and of one that it misses."""
    return Path(folder) / f"saliency_{architecture}.png"


def saliency_inputs_plot(folder: Path, architecture: str) -> Path:
    """Path of the plot of each input's contribution to each stage that an architecture predicts."""
    return Path(folder) / f"saliency_{architecture}_inputs.png"


def fold_folder(evaluation: Path, fold: str) -> Path:
    """Run folder of a fold of an evaluation, by the fold's name."""
    return Path(evaluation) / "folds" / fold


def fold_folders(evaluation: Path) -> list[Path]:
    """Run folders of all folds begun in an evaluation's folder; [] if it is not an evaluation."""
    return sorted(path.parent for path in Path(evaluation).glob(f"folds/*/{HPARAMS}"))


def held_out_predictions(folder: Path, architecture: str, precision: str) -> Path:
    """Path of a model's predictions on the held-out nights of a fold; folder: the fold's run folder."""
    return Path(folder) / "held_out" / f"{architecture}.{precision}.csv"


def inner_fold(partial: Path, first: int) -> Path:
    """Path of the predictions of an inner fold, named after its first member."""
    return partial / f"inner_fold_{first}.npy"


def epoch_model(partial: Path, epoch: int) -> Path:
    """Path of the model, with its optimizer, after a training epoch."""
    return partial / f"epoch_{epoch}.keras"


def stopped_runs(artifacts: Path) -> list[Path]:
    """Run folders whose training is unfinished, the newest last."""
    stopped = [path.parent for path in artifacts.glob(f"*/run_*/{PARTIAL}") if begun(path.parent)]
    return sorted(stopped, key=lambda folder: (folder / PARTIAL).stat().st_mtime)


def begun(path: Path) -> bool:
    """Whether a run was begun in a folder, so that it can be resumed."""
    return (path / HPARAMS).exists()


def clear_unbegun(path: Path) -> None:
    """Remove what a run that was killed while beginning left in a folder, so that another can begin there."""
    if not begun(path):
        with suppress(OSError):  # missing, or not empty
            (path / PARTIAL).rmdir()
            (path / SPLITS).unlink(missing_ok=True)
