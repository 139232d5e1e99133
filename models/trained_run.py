"""A run folder, read back: everything that one training produced and export, parity and prediction start from."""

from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from models.assemble import padded, roll_network, sequence_form
from models.registry import NETWORKS
from models.sensing import Sensing
from pipeline.files import read_hparams, read_json, reading, write_whole
from pipeline.nights import read_night
from pipeline.options import UserMistake, one_of
from pipeline.recordings import subjects

INCOMPLETE = ": an incomplete run folder (train.py --resume --out finishes a stopped run)"
GOLDEN = ("golden.npz", "golden_2.npz", "golden_3.npz")
CALIBRATION_WINDOWS = 400  # for quantization, drawn from the training nights


class Run:
    """Reads a run folder. Raises UserMistake where a file that is asked for is missing or cannot be read."""

    def __init__(self, folder):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserMistake(f"{folder}: no such run folder")
        self.hparams, self.options = read_hparams(self.folder, INCOMPLETE)
        self.channels = tuple(self.hparams["channels"])

    def _json(self, name):
        return read_json(self.folder / name, INCOMPLETE)

    def path(self, name):
        """A file of the folder, which must be there."""
        path = self.folder / name
        if not path.exists():
            raise UserMistake(f"{path}: missing{INCOMPLETE}")
        return path

    @cached_property
    def splits(self):
        """{"train", "inner_validation", "validation"} -> subjects."""
        return self._json("splits.json")

    def held_out(self, folder, hint=""):
        """Subjects of a folder that the run was not trained on. UserMistake, with the hint, where none is left."""
        seen = {*self.splits["train"], *self.splits["inner_validation"]}
        left = [subject for subject in subjects(folder) if subject not in seen]
        if not left:
            raise UserMistake(f"{folder}: the run was trained on every night in it{hint}")
        return left

    @cached_property
    def scaler(self):
        """{"features": names, "mean": [F], "spread": [F]} of the training nights."""
        scaler = self._json("scaler.json")
        with reading(self.folder / "scaler.json"):
            return {"features": scaler["features"]} | {n: [float(x) for x in scaler[n]] for n in ("mean", "spread")}

    def sensing(self):
        """The front end with the run's scaler."""
        return Sensing(self.options, self.channels, self.scaler)

    def model(self, architecture):
        """The trained Keras model, sequence form."""
        one_of("--architectures", [architecture], self.options.architectures)
        path = self.path(model_name(architecture))
        with reading(path):
            return keras.models.load_model(path)

    def network(self, architecture):
        """The network with the trained weights in its layers, for the step form."""
        network = NETWORKS[architecture](len(self.scaler["mean"]), self.options.hidden_dim)
        weights = self.model(architecture).get_weights()
        with reading(self.path(model_name(architecture))):
            sequence_form(network).set_weights(weights)
        return network

    def operating_points(self, architecture):
        """{name: {"weights": [5]}} of a model, chosen on the inner validation subjects."""
        points = self._json("operating_points.json")
        if not isinstance(points, dict) or architecture not in points:
            raise UserMistake(f"{self.folder / 'operating_points.json'}: lacks {architecture}")
        return points[architecture]

    def calibration(self, architecture):
        """{"features" or state: [windows, ...]} of training nights."""
        path = self.path("calibration.npz")
        with reading(path), np.load(path, allow_pickle=False) as saved:
            mark = f"{architecture}."
            states = {k.removeprefix(mark): saved[k] for k in saved.files if k.startswith(mark)}
            return {"features": saved["features"], **states}

    def write_calibration(self, features):
        """Write calibration.npz: windows drawn from the training nights' features, with the states before them."""
        features = sorted(features, key=len)[-8:]
        length = min(map(len, features))
        rng = np.random.default_rng(self.options.seed)
        drawn = np.sort(
            rng.choice(len(features) * length, min(CALIBRATION_WINDOWS, len(features) * length), replace=False)
        )
        batch = np.stack([night[:length] for night in features])
        arrays = {"features": batch}
        for architecture in self.options.architectures:
            _, states = roll_network(self.network(architecture), batch)
            arrays |= {f"{architecture}.{name}": x for name, x in states.items()}
        arrays = {name: x.reshape(-1, *x.shape[2:])[drawn] for name, x in arrays.items()}
        write_whole(self.folder / "calibration.npz", lambda file: np.savez_compressed(file, **arrays))

    def golden(self):
        """The held-out nights of which one becomes a bundle's golden night, the fullest first."""
        nights = []
        for path in [self.path(name) for name in GOLDEN if name == GOLDEN[0] or (self.folder / name).exists()]:
            with reading(path):
                nights.append(read_night(path)[0])
        return nights

    def results(self, name, field):
        """The list under a field of a JSON file of the folder; [] where there is no such file."""
        if not (self.folder / name).exists():
            return []
        content = self._json(name)
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise UserMistake(f"{self.folder / name}: no list {field!r} in it; remove the file, or make it anew")
        return content[field]

    def probabilities(self, architecture, features):
        """What the full model says: [windows, 5] for each night of features [windows, F]."""
        said = self.model(architecture).predict_on_batch(padded(features))
        return [p[: len(night)] for p, night in zip(said, features, strict=True)]


def model_name(architecture):
    """File name of a trained model."""
    return f"{NETWORKS[architecture].__name__}_best_model.keras"
