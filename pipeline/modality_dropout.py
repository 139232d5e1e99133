"""Modality dropout: a channel that not every data set has must not tell a network which set a night is from.

For training only, and only where sets differ. What a set's nights are like, such as how long they are awake, would
otherwise be learnt from whether heart rate is there, and be believed on the wrist whenever heart rate fails.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.align import Night
from pipeline.constants import CHANNELS
from pipeline.nights import StoredChannels


def channels_of_sets(nights: Sequence[Night], sets: Mapping[str, str], channels: Collection[str]) -> list[set[str]]:
    """Of each data set the channels that half of its nights or more have, each different collection once.

    Args:
        nights: Training nights.
        sets: {subject: data set}.
        channels: That count.
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
    """With which channels each night is shown in training, every choice equally often.

    A night is shown as it is and as a set that lacks some of its channels would have it. Where one of two sets lacks a
    channel, no more than half of what is shown of the other has it. Where nothing but steps would be left, as of sets
    with no sensor in common, the night is not shown so: such sets cannot be made alike.

    Args:
        nights: To be trained on or, in inner folds, perhaps.
        sets: {subject: data set}; {} of a single folder.
        channels: Of the run.
        trained_on: Subjects that say what the sets have.

    Returns:
        Of each night the choices: first all its channels (alone, where the sets do not differ), last the fewest.
    """
    if not sets:
        return [[{*night.channels}] for night in nights]
    usual = channels_of_sets([night for night in nights if night.subject in trained_on], sets, channels)
    choices = []
    for night in nights:
        own = {*night.channels}
        fewer = [shared for others in usual if (shared := own & others) < own & {*channels} and shared - {"steps"}]
        distinct = [shared for i, shared in enumerate(fewer) if shared not in fewer[:i]]
        choices.append([own, *sorted(distinct, key=lambda c: (-len(c), [name in c for name in CHANNELS]))])
    return choices


def only_channels(night: Night, names: Collection[str]) -> Night:
    """The night without its other channels; where they stay in the cache, so do those that are left."""
    left = [name for name in night.channels if name in names]
    if isinstance(night.channels, StoredChannels):
        return replace(night, channels=StoredChannels(night.channels.path, left))
    return replace(night, channels={name: night.channels[name] for name in left})
