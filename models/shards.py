"""Features of many nights on disk: TFRecord files, written side by side and read a night at a time.

A shard has the features of NIGHTS_AT_ONCE nights and variants, as measured: they are standardised on reading, as the
scaler is known only when all are measured. Each is a tf.train.Example, read by its offset and checked: so
training takes nights in the order that it would take them in memory, and gets the same weights to the bit. An index
(JSON) says where each is; it is written after its shard, so a shard without one is not whole.
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
from pipeline.align import Night
from pipeline.augment import night_variants
from pipeline.errors import UserMistake
from pipeline.files import read_json, reading, write_json
from pipeline.modality_dropout import only_channels
from pipeline.nights import StoredChannels
from pipeline.options import Options
from pipeline.scratch import remove_unfinished, scratch_folder
from pipeline.workers import in_parallel

AS_RECORDED = -1  # in place of a variant's number
WORTH_A_CHILD = 12  # shards; for more, other processes are worth the seconds and the memory that they take
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
    """What is measured: a night or a variant of it.

    Attributes:
        night: Its number.
        variant: Which of its variants, or AS_RECORDED.
        shown: Names of the channels that are left of it; None for all.
    """

    night: int
    variant: int = AS_RECORDED
    shown: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Place:
    """Where the features of a night or variant are.

    Attributes:
        path: The shard.
        windows: How many.
        offset: Of the record's content, in bytes.
        length: Of it, in bytes.
        crc32: Of it.
    """

    path: Path
    windows: int
    offset: int
    length: int
    crc32: int


class Stored(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Nights or variants in shards, as pairs of features [windows, F], standardised, and stages [windows]."""

    def __init__(self, places: Sequence[Place], scaler: Mapping[str, list]):
        """Those at these places; scaler: as Sensing has it."""
        self.places, self.scaler = tuple(places), scaler

    @property
    def windows(self) -> list[int]:
        """How many windows each has."""
        return [place.windows for place in self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Stored(self.places[i], self.scaler)
        values, available, stages = read_record(self.places[i])
        return standardised(values, available, self.scaler).numpy(), stages


def read_record(place: Place) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [windows, F] float32, available [windows, F] float32 (1 or 0) and stages [windows] int8.

    Raises:
        UserMistake: The shard is gone or damaged.
    """
    with reading(place.path):
        with place.path.open("rb") as file:
            file.seek(place.offset)
            content = file.read(place.length)
        if zlib.crc32(content) != place.crc32:
            raise ValueError("wrong checksum; --resume makes it anew")
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
    """What a night's features hang on: the name of its file in the cache tells its channels, or else their bytes do."""
    digest = hashlib.blake2b(night.ends.tobytes() + night.stages.tobytes(), digest_size=16)
    if isinstance(night.channels, StoredChannels):
        digest.update(repr([night.channels.path.name, *night.channels]).encode())
    else:
        for name, values in sorted(night.channels.items()):
            digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=2)
def _sensing(options: Options, channels: tuple[str, ...]) -> Sensing:
    """One for all shards that a process writes, traced once."""
    return Sensing(options, channels)


def index_of(path: Path) -> Path:
    """Where the index of a shard is."""
    return path.with_suffix(".json")


def write_shard(
    path: Path, key: str, rows: Sequence[Row], nights: Mapping[int, Night], options: Options, variants: int
) -> None:
    """Measure some nights and variants and write them, then their index.

    Args:
        path: The shard.
        key: Of what is in it, for the index.
        rows: What it is to hold, in order.
        nights: {number: night} of those in `rows`; the number seeds the variants.
        options: Of the run, with its channels by name.
        variants: Of each night.
    """
    sensing = _sensing(options, options.channels)
    varied = {
        number: night_variants(night, options, [options.seed, number], variants)
        for number, night in nights.items()
        if any(row.night == number and row.variant != AS_RECORDED for row in rows)
    }
    some = []
    for number, variant, shown in rows:
        night = nights[number] if variant == AS_RECORDED else varied[number][variant]
        some.append(night if shown is None else only_channels(night, shown))
    values, available = sensing.measure_nights(some)
    contents = [_record(*row, night.stages) for *row, night in zip(values, available, some, strict=True)]
    records = [HEAD_BYTES + len(content) + TAIL_BYTES for content in contents]
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path.parent, f".{path.stem}.") as beside:
        with tf.io.TFRecordWriter(str(Path(beside, path.name))) as writer:
            for content in contents:
                writer.write(content)
        os.replace(Path(beside, path.name), path)
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
    """Whether a shard is there with what its key stands for, byte by byte as it was written."""
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
    """Features of nights and their variants, in shards; those that a stopped run left whole are kept.

    Args:
        folder: Of the shards.
        nights: In order.
        rows: What is to be measured of them.
        variants: Of each night that has any.
        options: Of the run, with its channels by name.
        progress: Called with what is done.

    Returns:
        ({row: where it is}, moments of each night as recorded, in the order of the rows).
    """
    digests = [digest_of_night(night) for night in nights]
    shape = hashlib.blake2b(_CODE + repr((options.alignment, options.channels, options.seed, variants)).encode())
    shards, missing = [], []
    for begin in range(0, len(rows), NIGHTS_AT_ONCE):
        some = rows[begin : begin + NIGHTS_AT_ONCE]
        path = folder / f"features-{begin // NIGHTS_AT_ONCE:06}.tfrecord"
        key = shape.copy()
        key.update(repr([(digests[row.night], *row) for row in some]).encode())
        shards.append((path, some))
        if not shard_is_whole(path, key.hexdigest()):
            of_rows = {row.night: nights[row.night] for row in some}
            missing.append((path, key.hexdigest(), some, of_rows, options, variants))
    written = in_parallel(write_shard, missing, ordered=False, worth_a_child=len(missing) > WORTH_A_CHILD)
    for done, _ in enumerate(written, 1):
        progress(f"features: {done} of {len(missing)} shards")
    remove_unfinished(folder)  # of workers that were killed
    places = {row: Place(path, *at) for path, some in shards for row, *at in zip(some, *_places(path), strict=True)}
    recorded = (read_json(index_of(path))["moments"] for path, _ in shards)
    return places, (Moments.of_lists(saved) for of_shard in recorded for saved in of_shard if saved)


def _places(path):
    """Fields of Place, but for the path, of what is in a shard."""
    index = read_json(index_of(path))
    return [index[name] for name in ("windows", "offsets", "lengths", "crc32")]
