"""Inner cross-validation: out-of-fold predictions of training subjects.

They are used to choose operating points on all training subjects rather than a few; and, if no subject is held out, to
choose the number of training epochs and for the figures in the model card.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np

from models.forms import predicted_nights
from models.training import first_late_epoch, train_network
from pipeline.batches import Variants, windows_of
from pipeline.constants import STAGES
from pipeline.files import write_whole
from pipeline.options import Options
from pipeline.run_folder import inner_fold
from pipeline.workers import in_parallel
from scoring.metrics import kappa


class PredictLateEpochs(keras.callbacks.Callback):
    """Predicts nights after each late epoch, one of which will be chosen when all folds are done."""

    def __init__(self, nights: Sequence[Variants], first: int):
        """Predict nights.

        Args:
            nights: Nights to predict; their first variant is used.
            first: First epoch to predict after, from 1.
        """
        super().__init__()
        self.nights, self.first = nights, first
        self.longest = max(windows_of(night)[0] for night in nights)
        self.predicted: list[np.ndarray] = []

    def on_epoch_end(self, epoch, logs=None):
        """Keep the probabilities [nights, windows, 5]."""
        if epoch + 1 >= self.first:
            probabilities = np.zeros((len(self.nights), self.longest, len(STAGES)), np.float32)
            nights = (night[0][0] for night in self.nights)
            for row, p in zip(probabilities, predicted_nights(self.model, nights), strict=True):
                row[: len(p)] = p
            self.predicted.append(probabilities)


def fold_members(nights: int, options: Options, people: Sequence[str] | None = None) -> list[np.ndarray]:
    """The nights that each inner fold holds out, by the run's seed: every night once, a person's nights together.

    Args:
        nights: Number of nights.
        options: Options of the run.
        people: Person of each night, [nights]; by default a different one each.

    Returns:
        Indices of the nights of each fold.
    """
    persons = np.array(people or range(nights))
    by_person = [np.flatnonzero(persons == person) for person in dict.fromkeys(persons.tolist())]
    n = len(by_person)
    order = np.random.default_rng([options.seed, n]).permutation(n)
    blocks = np.array_split(order, min(options.inner_folds, n))
    return [np.concatenate([by_person[i] for i in block]) for block in blocks]


def predict_fold(
    architecture: str, nights: Sequence[Variants], members: np.ndarray, options: Options, partial: Path, first: int
) -> np.ndarray:
    """Train on all nights except those of a fold, and predict these.

    Args:
        architecture: Architecture of the network.
        nights: The night and its variants of every training subject.
        members: Indices of the nights to hold out.
        options: Options of the run.
        partial: Folder in which finished folds are kept; one that exists there is not trained again.
        first: First epoch to predict after, from 1.

    Returns:
        Probabilities [epochs, members, longest, 5].
    """
    file = inner_fold(partial, int(members.min()))
    with suppress(OSError, ValueError, EOFError):  # missing or damaged: computed below
        return np.load(file, allow_pickle=False)
    held_out = {*members.tolist()}
    data = {"train": [night for i, night in enumerate(nights) if i not in held_out]}
    callback = PredictLateEpochs([nights[i] for i in members], first)
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
    """Predict every training night by a network that was not trained on it, `in_parallel`.

    Args:
        architecture: Architecture of the networks.
        nights: The night and its variants of every training subject.
        options: Options of the run; inner_folds networks are trained.
        partial: Folder in which folds are kept until the run is complete.
        choose_epoch: Whether to choose the late epoch with the best kappa over all nights; otherwise the last is used.
        progress: Called after each fold.
        people: Person of each night; by default a different one each.

    Returns:
        The epoch, from 1, and its probabilities of each night, [windows, 5].
    """
    folds = fold_members(len(nights), options, people)
    first = first_late_epoch(options) if choose_epoch else options.epochs
    work = ((architecture, nights, members, options, partial, first) for members in folds)
    by_night: dict[int, np.ndarray] = {}  # night -> [epochs, windows, 5]
    for members, predicted in zip(folds, in_parallel(predict_fold, work), strict=True):
        by_night |= {int(i): predicted[:, k, : windows_of(nights[i])[0]] for k, i in enumerate(members)}
        progress()
    chosen = _best_epoch(nights, by_night) if choose_epoch else 0
    return first + chosen, [by_night[i][chosen] for i in range(len(nights))]


def _best_epoch(nights: Sequence[Variants], by_night: Mapping[int, np.ndarray]) -> int:
    """Index of the late epoch with the best kappa over all nights together."""
    stages = np.concatenate([night[0][1] for night in nights])
    predicted = np.concatenate([by_night[i].argmax(2).astype(np.int8) for i in range(len(nights))], 1)  # [epochs, all]
    scored = stages >= 0
    return int(np.argmax([kappa(stages[scored], epoch[scored]) for epoch in predicted]))
