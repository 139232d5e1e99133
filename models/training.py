"""Training one network on whole nights."""

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models.forms import predicted_nights, sequence_form
from models.registry import NETWORKS
from pipeline.batches import batches
from pipeline.budget import Budget, budget
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.run_folder import epoch_model
from scoring.metrics import kappa

WEIGHT_DECAY = 0.02  # of AdamW
WARM_UP = 0.1  # of all steps, in which the learning rate rises
WARM_UP_RISE = 10  # times that it rises, to --lr
DECAY_TO = 0.01  # of --lr, at the last step
CLIP_NORM = 1.0  # of each weight's gradient
LEAST_PROBABILITY = 1e-7  # in the loss, as Keras clips it
LOGGED_NIGHTS = 32  # of a part are scored after each epoch; of more, so many, evenly chosen

Nights = Sequence[tuple[np.ndarray, np.ndarray]]  # per night features [windows, F], stages [windows], -1 unscored


class SeedNoise(keras.callbacks.Callback):
    """Seeds input noise and dropout by seed and epoch: a training that goes on draws what it would have drawn."""

    def __init__(self, seed: int):
        """A callback of one training."""
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Seed every layer that draws numbers, each in its own way."""
        for i, layer in enumerate(self.model.layers):
            if getattr(layer, "seed_generator", None) is not None:
                layer.seed_generator.state.assign([self.seed, epoch * len(self.model.layers) + i])


class StopDiverged(keras.callbacks.Callback):
    """Ends a training whose loss is no longer a number."""

    def __init__(self, architecture: str):
        """A callback of one training."""
        super().__init__()
        self.architecture = architecture

    def on_epoch_end(self, epoch, logs=None):
        """Raise UserMistake."""
        if not np.isfinite(logs["loss"]):
            what = f"{self.architecture}: the training has diverged in epoch {epoch + 1}"
            raise UserMistake(f"{what}; start anew with a lower --lr")


class LogEpochs(keras.callbacks.Callback):
    """After each epoch: scores it, keeps its model, and only then has its row written down, so that both are there."""

    def __init__(self, rows: list, parts: Mapping[str, Nights], partial: Path, after_epoch: Callable):
        """Append to `rows`; the rest is as `train_network` takes it. parts: the nights to be scored."""
        super().__init__()
        self.rows, self.parts, self.partial = rows, parts, partial
        self.after_epoch = after_epoch

    def on_epoch_end(self, epoch, logs=None):
        """Row, model, log; then the model of the epoch before is no longer needed."""
        row = {"epoch": epoch + 1, "train_accuracy": float(logs["accuracy"])} | scores(self.model, self.parts)
        self.rows.append(row)
        self.model.save(epoch_model(self.partial, epoch + 1))
        self.after_epoch(row)
        epoch_model(self.partial, epoch).unlink(missing_ok=True)


def scores(model: keras.Model, parts: Mapping[str, Nights]) -> dict[str, float]:
    """{"<part>_accuracy", "<part>_kappa", "<part>_loss"} of a model, sequence form, on the scored windows of parts."""
    if not parts:
        return {}
    some = {part: list(nights[:: -(-len(nights) // LOGGED_NIGHTS)]) for part, nights in parts.items()}
    predicted = predicted_nights(model, (features for nights in some.values() for features, _ in nights))
    row = {}
    for part, nights in some.items():
        scored = np.concatenate([stages for _, stages in nights])
        p = np.concatenate([next(predicted) for _ in nights])[scored >= 0]
        scored = scored[scored >= 0]
        row[f"{part}_accuracy"] = float((p.argmax(1) == scored).mean())
        row[f"{part}_kappa"] = kappa(scored, p.argmax(1))
        likelihood = np.maximum(p[np.arange(len(scored)), scored], LEAST_PROBABILITY)
        row[f"{part}_loss"] = float(-np.log(likelihood).mean())
    return row


def whole_model(path: Path) -> bool:
    """Whether there is a saved Keras model, an archive, with all of its bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        return False


def first_late_epoch(options: Options) -> int:
    """The first epoch, from 1, of the last third, when the learning rate is low."""
    return options.epochs * 2 // 3 + 1


def train_network(
    architecture: str,
    data: Mapping[str, Sequence],
    options: Options,
    rows: list[dict],
    partial: Path | None,
    after_epoch: Callable[[dict], None],
    callbacks: Sequence[keras.callbacks.Callback] = (),
    stop_after: int | None = None,
) -> Path | None:
    """Train a network, or go on with a training that was stopped.

    Args:
        architecture: A name of models.registry.
        data: "train": per night a list of (features [windows, F], stages [windows]), itself and its variants;
            "inner_validation" and "validation", which are only scored: per night one such pair; either may be left out
            or empty.
        options: Options of the run.
        rows: Of the epochs that were trained before; the new ones are appended. Cleared, and all trained again, where
            the model of the last of them is damaged.
        partial: The folder of what is under way, with the models of these epochs; None to keep and score no epoch.
        after_epoch: Called with the row of each epoch: "epoch", from 1, "train_accuracy" and what `scores` returns.
        callbacks: Further Keras callbacks.
        stop_after: Train this many epochs of the schedule only, and keep the last.

    Returns:
        Path of the last epoch's model, in `partial`, if that is given. The last, as choosing one by the inner nights
        gains nothing on new subjects and, on degraded nights, loses to it: the learning rate has not settled before.

    Raises:
        UserMistake: The training has diverged.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    planned = budget(options, len(data["train"]))
    if rows and partial and whole_model(epoch_model(partial, len(rows))):
        model = keras.models.load_model(epoch_model(partial, len(rows)))
    else:
        rows.clear()
        model = new_model(architecture, data["train"][0][0][0].shape[1], options, planned)
    parts = {part: data[part] for part in ("inner_validation", "validation") if data.get(part)}
    last = stop_after or options.epochs
    log = [LogEpochs(rows, parts, partial, after_epoch)] if partial else []
    model.fit(
        batches(data["train"], options, first_step=len(rows) * planned.steps),
        epochs=last,
        initial_epoch=len(rows),
        steps_per_epoch=planned.steps,
        callbacks=[SeedNoise(options.seed), StopDiverged(architecture), *log, *callbacks],
        shuffle=False,
        verbose=0,
    )
    return epoch_model(partial, last) if partial else None


def new_model(architecture: str, features: int, options: Options, planned: Budget) -> keras.Model:
    """An untrained network in sequence form, ready to fit: AdamW, with warm-up and cosine decay.

    Args:
        architecture: A name of models.registry.
        features: F, the number of features.
        options: Options of the run.
        planned: Of the training.
    """
    model = sequence_form(NETWORKS[architecture](features, options.hidden_dim))
    steps = planned.steps * options.epochs
    warm_up = max(1, int(WARM_UP * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        planned.lr / WARM_UP_RISE,
        max(1, steps - warm_up),
        alpha=DECAY_TO,
        warmup_target=planned.lr,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, clipnorm=CLIP_NORM)
    model.compile(optimizer, "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return model
