"""Inner cross-validation: what models predict of training subjects that they were not trained on.

It chooses operating points on all training subjects rather than a few, and, where no subject is held out at all, the
number of training epochs and the figures that the model card quotes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from models.forms import padded
from models.training import first_late_epoch, train_network
from pipeline.files import write_whole
from pipeline.options import Options
from pipeline.run_folder import inner_fold
from pipeline.workers import in_parallel
from scoring.metrics import kappa

Variants = Sequence[tuple[np.ndarray, np.ndarray]]  # features [windows, F] and stages [windows], the night itself first


class PredictLateEpochs(keras.callbacks.Callback):
    """Predicts some nights after each late epoch: one of these epochs will be chosen once all folds are done."""

    def __init__(self, nights: Sequence[tuple[np.ndarray, np.ndarray]], options: Options):
        """Nights to predict, (features [windows, F], stages [windows])."""
        super().__init__()
        self.batch = padded([features for features, _ in nights])
        self.first = first_late_epoch(options)
        self.predicted: list[np.ndarray] = []

    def on_epoch_end(self, epoch, logs=None):
        """Keep the probabilities [nights, windows, 5]."""
        if epoch + 1 >= self.first:
            self.predicted.append(self.model.predict_on_batch(self.batch).astype(np.float32))


def fold_members(nights: int, options: Options, people: Sequence[str] | None = None) -> list[np.ndarray]:
    """Which nights each inner fold holds out, by the run's seed; every night once, those of a person together.

    Args:
        nights: How many.
        options: Of the run.
        people: Whose each night is, [nights]; by default another's each.

    Returns:
        Indices of the nights of each fold.
    """
    whose = np.array(people or range(nights))
    by_person = [np.flatnonzero(whose == person) for person in dict.fromkeys(whose.tolist())]
    n = len(by_person)
    order = np.random.default_rng([options.seed, n]).permutation(n)
    blocks = np.array_split(order, min(options.inner_folds, n))
    return [np.concatenate([by_person[i] for i in block]) for block in blocks]


def predict_fold(
    architecture: str, nights: Sequence[Variants], members: np.ndarray, options: Options, partial: Path
) -> np.ndarray:
    """Train on all nights but those of a fold, and predict these.

    Args:
        architecture: Of the network.
        nights: Of every training subject the night and its variants.
        members: Indices of the nights held out.
        options: Of the run.
        partial: Where the fold is kept once it is done: what is there already is not trained again.

    Returns:
        Probabilities [late epochs, members, longest, 5].
    """
    file = inner_fold(partial, int(members.min()))
    if file.exists():
        return np.load(file, allow_pickle=False)
    held_out = [nights[i][0] for i in members]
    data = {"train": [night for i, night in enumerate(nights) if i not in members]}
    callback = PredictLateEpochs(held_out, options)
    train_network(architecture, data, options, [], None, lambda row: None, [callback])
    predicted = np.stack(callback.predicted)
    write_whole(file, lambda f: np.save(f, predicted))
    return predicted


def predict_out_of_fold(
    architecture: str,
    nights: Sequence[Variants],
    options: Options,
    partial: Path,
    choose_epoch: bool = False,
    progress: Callable[[], None] = lambda: None,
    people: Sequence[str] | None = None,
) -> tuple[int, list[np.ndarray]]:
    """Predict every training night by a network that was not trained on it, by the `workers` of the context.

    Args:
        architecture: Of the networks.
        nights: Of every training subject the night and its variants.
        options: Of the run; inner_folds networks are trained.
        partial: Where folds are kept until the run is complete.
        choose_epoch: Whether to choose the late epoch of the best kappa over all nights together; else it is the last.
        progress: Called after each fold.
        people: Whose each night is; by default another's each.

    Returns:
        The epoch, from 1, and its probabilities [windows, 5] of each night.
    """
    folds = fold_members(len(nights), options, people)
    work = ((architecture, nights, members, options, partial) for members in folds)
    by_night: dict[int, np.ndarray] = {}  # night -> [late epochs, windows, 5]
    for members, predicted in zip(folds, in_parallel(predict_fold, work), strict=True):
        by_night |= {int(i): predicted[:, k, : len(nights[i][0][1])] for k, i in enumerate(members)}
        progress()
    stages = np.concatenate([nights[i][0][1] for i in range(len(nights))])
    pooled = np.concatenate([by_night[i] for i in range(len(nights))], 1)  # [late epochs, windows, 5]
    scored = stages >= 0
    kappas = [kappa(stages[scored], p[scored].argmax(1)) for p in pooled]
    chosen = int(np.argmax(kappas)) if choose_epoch else len(kappas) - 1
    return first_late_epoch(options) + chosen, [by_night[i][chosen] for i in range(len(nights))]
