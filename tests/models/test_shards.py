"""Features in shards: what is read is what was measured, training does not notice, and a stopped writing goes on."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import models.shards
from models.sensing import Sensing
from models.shards import AS_RECORDED, Row, Stored, index_of, read_record, write_shards
from models.train_run import features_of_parts
from models.training import train_network
from pipeline.augment import night_variants
from pipeline.errors import UserMistake
from pipeline.modality_dropout import only_channels

VARIANTS = 2
ROWS = [Row(0), Row(1), Row(2), *(Row(i, v) for i in (0, 2) for v in range(VARIANTS)), Row(1, shown=("activity",))]


@pytest.fixture
def some(small, monkeypatch):
    """Nights, four nights and variants a shard, so that one night's are in two shards."""
    monkeypatch.setattr(models.shards, "NIGHTS_AT_ONCE", 4)
    return small.parts["train"][:3], small.run.options


def write(folder, nights, options, progress=lambda what: None):
    places, moments = write_shards(folder, nights, ROWS, VARIANTS, options, progress)
    return places, list(moments)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_read_is_what_was_measured(some, tmp_path):
    nights, options = some
    places, moments = write(tmp_path, nights, options)
    assert [*places] == ROWS
    assert len(moments) == len(nights)
    sensing = Sensing(options, options.channels)
    for (i, variant, shown), place in places.items():
        night = nights[i]
        if variant != AS_RECORDED:
            night = night_variants(night, options, [options.seed, i], VARIANTS)[variant]
        if shown:
            night = only_channels(night, shown)
        (values,), (available,) = sensing.measure_nights([night])
        read = read_record(place)
        assert np.allclose(read[0], values, atol=1e-4)
        assert np.array_equal(read[1], available)
        assert np.array_equal(read[2], night.stages)
        assert place.windows == len(night)
    sensing.fit_moments(moments)
    again = Sensing(options, options.channels)
    again.fit(*zip(*[read_record(places[Row(i)])[:2] for i in range(3)], strict=True))
    assert sensing.scaler == again.scaler
    (features, _), _ = Stored([places[Row(0)], places[Row(1)]], sensing.scaler)
    assert np.array_equal(features, sensing.scale(*read_record(places[Row(0)])[:2]))


def test_any_tfrecord_reader_can_read_them(some, tmp_path):
    import tensorflow as tf

    places, _ = write(tmp_path, *some)
    files = sorted(map(str, tmp_path.glob("*.tfrecord")))
    read = [tf.train.Example.FromString(x.numpy()) for x in tf.data.TFRecordDataset(files)]
    assert [len(x.features.feature["stages"].bytes_list.value[0]) for x in read] == [
        place.windows for place in sorted(places.values(), key=lambda place: (place.path, place.offset))
    ]


def test_whole_shards_are_kept_and_others_made_again(some, tmp_path):
    write(tmp_path, *some)
    expected = content(tmp_path)
    written = []
    write(tmp_path, *some, written.append)
    assert not written
    first, second = sorted(tmp_path.glob("*.tfrecord"))
    damaged = bytearray(first.read_bytes())
    damaged[100] ^= 1
    for spoil in (
        lambda: first.write_bytes(damaged),
        lambda: first.write_bytes(damaged[:-1]),
        lambda: index_of(first).unlink(),
        lambda: index_of(first).write_text("{}"),
        lambda: second.unlink(),
    ):
        spoil()
        written.clear()
        write(tmp_path, *some, written.append)
        assert written == ["features: 1 of 1 shards"]
        assert content(tmp_path) == expected


@pytest.mark.parametrize("change", ["stages", "seed", "order"])
def test_shards_of_other_nights_or_options_are_not_taken(some, tmp_path, change):
    nights, options = some
    write(tmp_path, nights, options)
    written = []
    if change == "stages":
        nights = [*nights[:2], replace(nights[2], stages=np.roll(nights[2].stages, 1))]
    elif change == "order":
        nights = nights[::-1]
    else:
        options = replace(options, seed=1)
    write(tmp_path, nights, options, written.append)
    assert len(written) == 2


def test_a_damaged_record_is_named(some, tmp_path):
    places, _ = write(tmp_path, *some)
    place = places[Row(1)]
    damaged = bytearray(place.path.read_bytes())
    damaged[place.offset + place.length // 2] ^= 1
    place.path.write_bytes(damaged)
    with pytest.raises(UserMistake, match=r"features-000000\.tfrecord: .*checksum"):
        read_record(place)
    read_record(places[Row(0)])
    place.path.unlink()
    with pytest.raises(UserMistake, match=r"features-000000\.tfrecord"):
        read_record(place)


def test_training_from_shards_and_from_memory_gives_the_same_weights(small, new_run, tmp_path):
    run = new_run(tmp_path / "run", small.parts)
    stored = features_of_parts(run, small.parts)["train"]
    weights = []
    for nights in (stored, [list(variants) for variants in stored]):
        last = keras.callbacks.Callback()
        train_network("gru", {"train": nights}, run.options, [], None, lambda row: None, [last])
        weights.append([x.tobytes() for x in last.model.get_weights()])
    assert weights[0] == weights[1]


def test_a_full_disk_is_one_line_and_the_shards_are_written_later(some, tmp_path, full_disk):
    nights, options = some
    with full_disk(), pytest.raises(UserMistake, match=r"features-000000\.tfrecord: cannot be written \(.+\)$"):
        write(tmp_path, nights, options)
    assert not [*tmp_path.iterdir()]
    assert [*write(tmp_path, nights, options)[0]] == ROWS
