"""Features of many nights on disk: TFRecord files, written in parallel and read one night at a time.

A shard has the features of NIGHTS_AT_ONCE nights and variants, before standardisation: the scaler, known only when all
are measured, is applied on reading. Each night is a tf.train.Example that is read by its offset and checked, so that
training can take nights in any order, with the same weights, bit for bit, as from memory. An index (JSON) has the
offsets; it is written after its shard, so a shard without an index is incomplete.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.forms import NIGHTS_AT_ONCE
from models.moments import Moments
from models.sensing import Sensing, standardised
from models.writing import tensorflow_writing
from pipeline.align import Night
from pipeline.augment import night_variants
from pipeline.errors import UserMistake
from pipeline.files import read_json, reading, write_json
from pipeline.modality_dropout import only_channels
from pipeline.nights import StoredChannels
from pipeline.options import Options
from pipeline.scratch import remove_unfinished, scratch_folder
from pipeline.workers import in_parallel

AS_RECORDED = -1  # instead of the number of a variant
WORTH_A_CHILD = 12  # shards; for more, other processes are worth the time and memory they take
HEAD_BYTES, TAIL_BYTES = 12, 4  # of a TFRecord: length and its checksum before, checksum of the data after
_CODE = b"".join(
    (Path(__file__).parent.parent / name).read_bytes()
    for name in (
        "models/columns.py",
        "models/features.py",
        "models/sensing.py",
        "models/shards.py",
        "pipeline/augment.py",
        "pipeline/modality_dropout.py",
    )
)


class Row(NamedTuple):
    """A night, or a variant of it, to be measured.

    Attributes:
        night: Number of the night.
        variant: Number of the variant, or AS_RECORDED.
        shown: Names of the channels to keep; None for all.
    """

    night: int
    variant: int = AS_RECORDED
    shown: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Place:
    """Location of the features of a night or variant.

    Attributes:
        path: The shard.
        windows: Number of windows.
        offset: Offset of the record's content, bytes.
        length: Length of the content, bytes.
        crc32: Checksum of the content.
    """

    path: Path
    windows: int
    offset: int
    length: int
    crc32: int


class Stored(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Nights or variants in shards, as pairs of features [windows, F], standardised, and stages [windows]."""

    def __init__(self, places: Sequence[Place], scaler: Mapping[str, list]):
        """The nights or variants at these places; scaler: of Sensing."""
        self.places, self.scaler = tuple(places), scaler

    @property
    def windows(self) -> list[int]:
        """Number of windows of each."""
        return [place.windows for place in self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Stored(self.places[i], self.scaler)
        values, available, stages = read_record(self.places[i])
        return standardised(values, available, self.scaler).numpy(), stages


def read_record(place: Place) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read values [windows, F] float32, available [windows, F] float32 (1 or 0) and stages [windows] int8.

    Raises:
        UserMistake: The shard is gone or damaged.
    """
    with reading(place.path):
        with place.path.open("rb") as file:
            file.seek(place.offset)
            content = file.read(place.length)
        if zlib.crc32(content) != place.crc32:
            raise ValueError("wrong checksum; --resume writes it again")
    feature = tf.train.Example.FromString(content).features.feature
    values, available, stages = (feature[name].bytes_list.value[0] for name in ("values", "available", "stages"))
    measured = np.frombuffer(values, "<f4").reshape(place.windows, -1)
    bits = np.unpackbits(np.frombuffer(available, np.uint8), count=measured.size)
    return measured, bits.reshape(measured.shape).astype(np.float32), np.frombuffer(stages, np.int8)


def _record(values, available, stages):
    """The bytes that `read_record` reads."""
    arrays = {
        "values": np.ascontiguousarray(values, "<f4"),
        "available": np.packbits(available.astype(bool)),
        "stages": stages.astype(np.int8),
    }
    feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[x.tobytes()])) for k, x in arrays.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


def digest_of_night(night: Night) -> str:
    """Digest of all that a night's features depend on; its file name in the cache, if any, stands for its channels."""
    digest = hashlib.blake2b(night.ends.tobytes() + night.stages.tobytes(), digest_size=16)
    if isinstance(night.channels, StoredChannels):
        digest.update(repr([night.channels.path.name, *night.channels]).encode())
    else:
        for name, values in sorted(night.channels.items()):
            digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=2)
def _sensing(options: Options, channels: tuple[str, ...]) -> Sensing:
    """One Sensing for all shards that a process writes, traced once."""
    return Sensing(options, channels)


def index_of(path: Path) -> Path:
    """Path of a shard's index."""
    return path.with_suffix(".json")


def write_shard(
    path: Path, key: str, rows: Sequence[Row], nights: Mapping[int, Night], options: Options, variants: int
) -> None:
    """Measure nights and variants and write them, then their index.

    Args:
        path: The shard.
        key: Digest of its content, for the index.
        rows: Nights and variants to write, in order.
        nights: {number: night} of the nights in `rows`; the number seeds the variants.
        options: Options of the run, with the models' channels filled in.
        variants: Number of variants of each night.
    """
    sensing = _sensing(options, options.channels)
    varied = {
        number: night_variants(night, options, [options.seed, number], variants)
        for number, night in nights.items()
        if any(row.night == number and row.variant != AS_RECORDED for row in rows)
    }
    selected = []
    for number, variant, shown in rows:
        night = nights[number] if variant == AS_RECORDED else varied[number][variant]
        selected.append(night if shown is None else only_channels(night, shown))
    values, available = sensing.measure_nights(selected)
    contents = [_record(*row, night.stages) for *row, night in zip(values, available, selected, strict=True)]
    records = [HEAD_BYTES + len(content) + TAIL_BYTES for content in contents]
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path.parent, f".{path.stem}.") as scratch:
        with tensorflow_writing(path), tf.io.TFRecordWriter(str(Path(scratch, path.name))) as writer:
            for content in contents:
                writer.write(content)
        os.replace(Path(scratch, path.name), path)
    moments = [
        Moments.of_night(*measured).as_lists() if row == Row(row.night) else None
        for row, *measured in zip(rows, values, available, strict=True)
    ]
    index = {
        "key": key,
        "blake2b": _digest_of_file(path),
        "windows": [len(x) for x in values],
        "offsets": (HEAD_BYTES + np.cumsum([0, *records[:-1]])).tolist(),
        "lengths": [len(content) for content in contents],
        "crc32": [zlib.crc32(content) for content in contents],
        "moments": moments,
    }
    write_json(index_of(path), index)


def shard_is_whole(path: Path, key: str) -> bool:
    """Whether a shard exists with this key and is undamaged."""
    try:
        index = read_json(index_of(path))
        return index["key"] == key and index["blake2b"] == _digest_of_file(path)
    except (UserMistake, OSError, KeyError, TypeError):
        return False


def _digest_of_file(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def write_shards(
    folder: Path,
    nights: Sequence[Night],
    rows: Sequence[Row],
    variants: int,
    options: Options,
    progress: Callable[[str], object] = lambda what: None,
) -> tuple[dict[Row, Place], Iterator[Moments]]:
    """Write the features of nights and their variants to shards; complete ones from a stopped run are kept.

    Args:
        folder: Folder of the shards.
        nights: All nights.
        rows: Nights and variants to measure.
        variants: Number of variants of each night that has any.
        options: Options of the run, with the models' channels filled in.
        progress: Called with a description of the current step.

    Returns:
        ({row: its place}, moments of each night as recorded, in the order of the rows).
    """
    digests = [digest_of_night(night) for night in nights]
    shape = hashlib.blake2b(_CODE + repr((options.alignment, options.channels, options.seed, variants)).encode())
    shards, missing = [], []
    for begin in range(0, len(rows), NIGHTS_AT_ONCE):
        members = rows[begin : begin + NIGHTS_AT_ONCE]
        path = folder / f"features-{begin // NIGHTS_AT_ONCE:06}.tfrecord"
        key = shape.copy()
        key.update(repr([(digests[row.night], *row) for row in members]).encode())
        shards.append((path, members))
        if not shard_is_whole(path, key.hexdigest()):
            of_members = {row.night: nights[row.night] for row in members}
            missing.append((path, key.hexdigest(), members, of_members, options, variants))
    written = in_parallel(write_shard, missing, ordered=False, worth_a_child=len(missing) > WORTH_A_CHILD)
    for done, _ in enumerate(written, 1):
        progress(f"features: {done} of {len(missing)} shards")
    remove_unfinished(folder)  # of workers that were killed
    places = {row: Place(path, *at) for path, rows in shards for row, *at in zip(rows, *_places(path), strict=True)}
    recorded = (read_json(index_of(path))["moments"] for path, _ in shards)
    return places, (Moments.of_lists(saved) for of_shard in recorded for saved in of_shard if saved)


def _places(path):
    """Fields of Place, except the path, of the records in a shard."""
    index = read_json(index_of(path))
    return [index[name] for name in ("windows", "offsets", "lengths", "crc32")]
