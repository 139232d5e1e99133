"""Training one network on whole nights."""

import shutil

import keras
import numpy as np
import tensorflow as tf

from evaluation.metrics import kappa
from models.assemble import padded, sequence_form
from models.registry import NETWORKS
from pipeline.windows import batches

WEIGHT_DECAY = 0.02
WARM_UP = 0.1  # of all steps


class Assess(keras.callbacks.Callback):
    """After each epoch: accuracy and kappa on the inner validation subjects (and, only written down, on the held-out).

    The model of the best late epoch is kept as best.keras.
    """

    def __init__(self, parts, rows, partial, options, done):
        super().__init__()
        self.parts, self.rows, self.partial, self.options, self.done = parts, rows, partial, options, done
        self.batch = padded([x for part in parts.values() for x, _ in part])

    def on_epoch_begin(self, epoch, logs=None):
        for i, layer in enumerate(self.model.layers):  # noise by seed and epoch: a training that goes on has the same
            if getattr(layer, "seed_generator", None) is not None:
                layer.seed_generator.state.assign([self.options.seed, epoch * len(self.model.layers) + i])

    def on_epoch_end(self, epoch, logs=None):
        said = iter(self.model.predict_on_batch(self.batch))
        row = {"epoch": epoch + 1, "train_accuracy": float(logs["accuracy"])}
        for part, nights in self.parts.items():
            true = np.concatenate([stages for _, stages in nights])
            p = np.concatenate([next(said)[: len(stages)] for _, stages in nights])[true >= 0]
            true = true[true >= 0]
            row[f"{part}_accuracy"] = float((p.argmax(1) == true).mean())
            row[f"{part}_kappa"] = kappa(true, p.argmax(1))
            row[f"{part}_loss"] = float(-np.log(np.maximum(p[np.arange(len(true)), true], 1e-7)).mean())
        self.rows.append(row)
        self.model.save(kept_epoch(self.partial, epoch + 1))  # before the row is written down, so that both are there
        if best_epoch(self.rows, self.options) is row:
            shutil.copyfile(kept_epoch(self.partial, epoch + 1), self.partial / "best.keras")
        self.done(row)
        kept_epoch(self.partial, epoch).unlink(missing_ok=True)


def kept_epoch(partial, epoch):
    """Where the model as it is after an epoch is kept, with its optimizer."""
    return partial / f"epoch_{epoch}.keras"


def best_epoch(rows, options):
    """The row of the epoch whose model is kept: of the last third the best kappa on inner validation, of equals
    the last.

    Before, the learning rate is still high and the figures of a few nights jump: the best of all epochs would be luck.
    (Not the least loss: on few nights one that is far off decides it.) None until the last third begins.
    """
    late = [row for row in rows if row["epoch"] > options.epochs * 2 // 3]
    return max(late, key=lambda row: (row["inner_validation_kappa"], row["epoch"]), default=None)


def train(architecture, data, options, rows, partial, done):
    """Train a network; returns the path of the best epoch's model, in the folder `partial`.

    data: of "inner_validation" and "validation" per night (features [windows, F], stages [windows]); of "train" per
    night a list of such, itself and its variants. rows: what earlier epochs gave, where a stopped training goes on from
    what it kept in `partial`. done(row): after each epoch.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    steps = -(-len(data["train"]) // options.batch_size)
    if rows:
        model = keras.models.load_model(kept_epoch(partial, len(rows)))
    else:
        model = sequence_form(NETWORKS[architecture](data["train"][0][0][0].shape[1], options.hidden_dim))
        warm = max(1, int(WARM_UP * steps * options.epochs))
        rate = keras.optimizers.schedules.CosineDecay(
            options.lr / 10,
            max(1, steps * options.epochs - warm),
            alpha=0.01,
            warmup_target=options.lr,
            warmup_steps=warm,
        )
        optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, clipnorm=1.0)
        model.compile(optimizer, "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    watched = {part: data[part] for part in ("inner_validation", "validation")}
    assess = Assess(watched, rows, partial, options, done)
    shown = batches(data["train"], options, first_epoch=len(rows))
    known = {"epochs": options.epochs, "initial_epoch": len(rows), "steps_per_epoch": steps}
    model.fit(shown, **known, callbacks=[assess], shuffle=False, verbose=0)
    return partial / "best.keras"
