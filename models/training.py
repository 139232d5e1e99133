"""Trains one network on whole nights."""

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
WARM_UP = 0.1  # share of all steps in which the learning rate rises
WARM_UP_RISE = 10  # factor by which it rises, to --lr
DECAY_TO = 0.01  # share of --lr at the last step
CLIP_NORM = 1.0  # of each weight's gradient
LEAST_PROBABILITY = 1e-7  # in the loss, as Keras clips it
LOGGED_NIGHTS = 32  # most nights of a part that are scored after each epoch, evenly chosen

Nights = Sequence[tuple[np.ndarray, np.ndarray]]  # of each night features [windows, F], stages [windows], -1 unscored


class SeedNoise(keras.callbacks.Callback):
    """Seeds input noise and dropout by seed and epoch, so that a resumed training draws the same numbers."""

    def __init__(self, seed: int):
        """Callback for one training with this seed."""
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Seed every layer that draws random numbers, each with a different seed."""
        for i, layer in enumerate(self.model.layers):
            if getattr(layer, "seed_generator", None) is not None:
                layer.seed_generator.state.assign([self.seed, epoch * len(self.model.layers) + i])


class StopDiverged(keras.callbacks.Callback):
    """Ends a training whose loss is not finite."""

    def __init__(self, architecture: str):
        """Callback for the training of an architecture."""
        super().__init__()
        self.architecture = architecture

    def on_epoch_end(self, epoch, logs=None):
        """Raise UserMistake if the loss is not finite."""
        if not np.isfinite(logs["loss"]):
            what = f"{self.architecture}: the training diverged in epoch {epoch + 1}"
            raise UserMistake(f"{what}; start a new run with a lower --lr")


class LogEpochs(keras.callbacks.Callback):
    """Scores each epoch, saves its model, and only then logs its row, so that a logged epoch always has a model."""

    def __init__(self, rows: list, parts: Mapping[str, Nights], partial: Path, after_epoch: Callable):
        """Callback that appends to `rows`; parts: nights to score; the others as for `train_network`."""
        super().__init__()
        self.rows, self.parts, self.partial = rows, parts, partial
        self.after_epoch = after_epoch

    def on_epoch_end(self, epoch, logs=None):
        """Write row, model and log; then delete the model of the previous epoch."""
        row = {"epoch": epoch + 1, "train_accuracy": float(logs["accuracy"])} | scores(self.model, self.parts)
        self.rows.append(row)
        self.model.save(epoch_model(self.partial, epoch + 1))
        self.after_epoch(row)
        epoch_model(self.partial, epoch).unlink(missing_ok=True)


def scores(model: keras.Model, parts: Mapping[str, Nights]) -> dict[str, float]:
    """Score a model in sequence form on the scored windows of parts.

    Returns:
        {"<part>_accuracy", "<part>_kappa", "<part>_loss"} for each part.
    """
    if not parts:
        return {}
    chosen = {part: list(nights[:: -(-len(nights) // LOGGED_NIGHTS)]) for part, nights in parts.items()}
    predicted = predicted_nights(model, (features for nights in chosen.values() for features, _ in nights))
    row = {}
    for part, nights in chosen.items():
        scored = np.concatenate([stages for _, stages in nights])
        p = np.concatenate([next(predicted) for _ in nights])[scored >= 0]
        scored = scored[scored >= 0]
        row[f"{part}_accuracy"] = float((p.argmax(1) == scored).mean())
        row[f"{part}_kappa"] = kappa(scored, p.argmax(1))
        likelihood = np.maximum(p[np.arange(len(scored)), scored], LEAST_PROBABILITY)
        row[f"{part}_loss"] = float(-np.log(likelihood).mean())
    return row


def whole_model(path: Path) -> bool:
    """Whether a path holds a complete, undamaged Keras model file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        return False


def first_late_epoch(options: Options) -> int:
    """First epoch, from 1, of the last third of the training, in which the learning rate is low."""
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
    """Train a network, or resume a stopped training.

    Args:
        architecture: A name of models.registry.
        data: "train": for each night, a list of (features [windows, F], stages [windows]) of itself and its variants;
            "inner_validation" and "validation", which are only scored and may be missing or empty: one such pair for
            each night.
        options: Options of the run.
        rows: Rows of the epochs trained before; new ones are appended. Cleared, to train all again, if the model of the
            last epoch is damaged.
        partial: Folder of unfinished work, with the models of these epochs; None to save and score no epochs.
        after_epoch: Called with each epoch's row: "epoch", from 1, "train_accuracy" and the `scores`.
        callbacks: Further Keras callbacks.
        stop_after: Stop after this many epochs of the schedule.

    Returns:
        Path in `partial` of the last epoch's model; None without `partial`. The last epoch is used because choosing one
        on the inner nights gains nothing on new subjects, and loses on degraded nights: earlier epochs have a higher
        learning rate.

    Raises:
        UserMistake: The training diverged.
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
    """Create an untrained network in sequence form, compiled with AdamW, warm-up and cosine decay.

    Args:
        architecture: A name of models.registry.
        features: F, the number of features.
        options: Options of the run.
        planned: Budget of the training.
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
    # with its variables made now, the training step is traced once rather than twice
    optimizer.build(model.trainable_variables)
    accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    model.compile(optimizer, "sparse_categorical_crossentropy", weighted_metrics=[accuracy])
    return model
