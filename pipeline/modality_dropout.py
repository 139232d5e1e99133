"""Modality dropout: a channel that some data sets lack must not tell a network which set a night is from.

For training only, and only if sets differ. A network would otherwise learn a set's traits, such as long wakefulness,
from the absence of heart rate, and predict them on the wrist whenever heart rate fails.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.align import Night
from pipeline.constants import CHANNELS
from pipeline.nights import StoredChannels


def channels_of_sets(nights: Sequence[Night], sets: Mapping[str, str], channels: Collection[str]) -> list[set[str]]:
    """For each data set, the channels that at least half of its nights have, without duplicates.

    Args:
        nights: Training nights.
        sets: {subject: data set}.
        channels: Channels to consider.
    """
    found: list[set[str]] = []
    for name in sorted({sets[night.subject] for night in nights}):
        members = [night for night in nights if sets[night.subject] == name]
        usual = {c for c in channels if 2 * sum(c in night.channels for night in members) >= len(members)}
        found += [usual] if usual not in found else []
    return found


def channel_choices(
    nights: Sequence[Night], sets: Mapping[str, str], channels: Sequence[str], trained_on: Collection[str]
) -> list[list[set[str]]]:
    """The sets of channels with which each night is shown in training, all equally often.

    A night is shown with all its channels, and with only those it shares with each set that lacks some of them. If one
    of two sets lacks a channel, at most half of the variants of the other have it. A choice that leaves only steps is
    left out: sets without a common sensor cannot be made alike.

    Args:
        nights: Nights that may be trained on, also in inner folds.
        sets: {subject: data set}; {} for a single folder.
        channels: Channels of the run.
        trained_on: Training subjects, whose nights determine each set's channels.

    Returns:
        The choices of each night: first all its channels (the only choice if sets do not differ), last the fewest.
    """
    if not sets:
        return [[{*night.channels}] for night in nights]
    usual = channels_of_sets([night for night in nights if night.subject in trained_on], sets, channels)
    choices = []
    for night in nights:
        present = {*night.channels}
        fewer = [
            shared for others in usual if (shared := present & others) < present & {*channels} and shared - {"steps"}
        ]
        distinct = [shared for i, shared in enumerate(fewer) if shared not in fewer[:i]]
        choices.append([present, *sorted(distinct, key=lambda c: (-len(c), [name in c for name in CHANNELS]))])
    return choices


def only_channels(night: Night, names: Collection[str]) -> Night:
    """The night with only these channels; channels in the cache stay there."""
    left = [name for name in night.channels if name in names]
    if isinstance(night.channels, StoredChannels):
        return replace(night, channels=StoredChannels(night.channels.path, left))
    return replace(night, channels={name: night.channels[name] for name in left})
