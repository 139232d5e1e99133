"""Finds transitions of the scored stage, and two of one kind to show: one that a network follows, one it misses."""

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from pipeline.align import Night
from pipeline.constants import EPOCH_S, STAGES

LASTS_S = 300  # s that the stage after a transition lasts, at the end of which it is explained
KINDS = ((2, 4), (3, 0), *permutations(range(len(STAGES)), 2))  # preferably N2 to REM, then N3 to Wake, then any


class Transition(NamedTuple):
    """A change of the scored stage that lasts."""

    night: int  # index of the night
    onset: int  # first window of the new stage
    explained: int  # window at the end of its first LASTS_S
    before: int  # stage, index into STAGES
    after: int


class Pair(NamedTuple):
    """Transitions of one kind to show, and how many of all are predicted."""

    followed: Transition | None
    missed: Transition | None
    right: int  # number of transitions whose new stage is predicted at `explained`
    total: int

    @property
    def shown(self) -> list[Transition]:
        """The transitions that exist, the followed one first."""
        return [transition for transition in (self.followed, self.missed) if transition]


def lasting_transitions(nights: Sequence[Night], stride: int, kind: tuple[int, int]) -> list[Transition]:
    """Find all transitions of a kind whose new stage lasts.

    Args:
        nights: The nights.
        stride: Seconds from one window to the next.
        kind: (stage before, stage after), indices into STAGES.
    """
    lasts = max(1, LASTS_S // max(EPOCH_S, stride))
    found = []
    for i, night in enumerate(nights):
        scored = np.flatnonzero(night.stages >= 0)
        stages = night.stages[scored]
        for at in np.flatnonzero((stages[:-1] == kind[0]) & (stages[1:] == kind[1])) + 1:
            if (stages[at : at + lasts] == kind[1]).sum() == lasts:
                found.append(Transition(i, int(scored[at]), int(scored[at + lasts - 1]), *kind))
    return found


def pair_to_show(nights: Sequence[Night], stride: int, probabilities: Sequence[np.ndarray]) -> Pair | None:
    """Choose the most clearly followed and missed transitions of the first of KINDS that has both, or else has any.

    Followed: the new stage is predicted at `explained`, but not just before its onset. Missed: it is predicted in no
    window from onset to `explained`.

    Args:
        nights: The nights.
        stride: Seconds from one window to the next.
        probabilities: Predicted probabilities of each night, [windows, 5].

    Returns:
        The transitions; None if there is no followed or missed transition that lasts.
    """
    pairs = [pair_of_kind(lasting_transitions(nights, stride, kind), probabilities) for kind in KINDS]
    any_shown = [pair for pair in pairs if pair.shown]
    return next((pair for pair in any_shown if len(pair.shown) == 2), any_shown[0] if any_shown else None)


def pair_of_kind(transitions: Sequence[Transition], probabilities: Sequence[np.ndarray]) -> Pair:
    """Choose the pair among transitions of one kind. probabilities: as for `pair_to_show`."""

    def sure(transition: Transition) -> float:
        return float(probabilities[transition.night][transition.explained, transition.after])

    followed, missed, right = [], [], 0
    for transition in transitions:
        hit = probabilities[transition.night].argmax(1) == transition.after
        right += int(hit[transition.explained])
        if hit[transition.explained] and not hit[transition.onset - 1]:
            followed.append(transition)
        if not hit[transition.onset : transition.explained + 1].any():
            missed.append(transition)
    return Pair(max(followed, key=sure, default=None), min(missed, key=sure, default=None), right, len(transitions))
