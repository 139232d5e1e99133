"""The mark that tells where a data set comes from: written, read, and refused where it cannot be meant."""

import json

import pytest

from pipeline.data_sets import DataSets
from pipeline.errors import UserMistake
from pipeline.origin import (
    MARK,
    SLEEP_ACCEL,
    SURROGATE,
    SYNTHETIC,
    UNKNOWN,
    Origin,
    combined,
    read_origin,
    read_origins,
    write_origin,
)
from pipeline.synthetic import MARK as SYNTHETIC_MARK
from pipeline.synthetic import synthesize


def test_a_data_set_without_a_mark_is_unknown(tmp_path):
    assert read_origin(tmp_path) == UNKNOWN
    assert read_origin(tmp_path / "no such folder") == UNKNOWN
    assert UNKNOWN.unknown
    assert not UNKNOWN.simulated


@pytest.mark.parametrize("origin", [SLEEP_ACCEL, SYNTHETIC, Origin("mine", "2", "CC0", "quote: κ", True), UNKNOWN])
def test_the_origin_that_was_written_is_read(tmp_path, origin):
    write_origin(tmp_path, origin)
    assert read_origin(tmp_path) == origin
    assert json.loads((tmp_path / "origin.json").read_text()) == origin.as_dict()


def test_the_known_origins_say_what_their_licences_ask():
    assert not SLEEP_ACCEL.simulated
    assert not SLEEP_ACCEL.unknown
    assert SLEEP_ACCEL.version == "1.0.0"
    assert "ODC-By" in SLEEP_ACCEL.licence
    assert "10.13026/hmhs-py35" in SLEEP_ACCEL.attribution
    assert SYNTHETIC.simulated
    assert SURROGATE.simulated


def test_synthesize_leaves_the_mark(tmp_path):
    synthesize(tmp_path / "nights", subjects=1, hours=0.6, motion_hz=0)
    assert json.loads((tmp_path / "nights" / MARK).read_text())["name"] == "synthetic"
    assert read_origin(tmp_path / "nights") == SYNTHETIC


@pytest.mark.parametrize(("name", "origin"), [(SYNTHETIC_MARK, SYNTHETIC), ("motion/SURROGATE.txt", SURROGATE)])
def test_older_marks_count_where_there_is_no_newer_one(tmp_path, name, origin):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("simulated")
    assert read_origin(tmp_path) == origin
    write_origin(tmp_path, SLEEP_ACCEL)
    assert read_origin(tmp_path) == SLEEP_ACCEL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("[]", "expected an object with the fields name, version, licence, attribution, simulated"),
        ('{"name": 3}', "name: expected a str, not 3"),
        ('{"name": "a", "simulated": "no"}', "simulated: expected a bool, not 'no'"),
        ('{"name": "a", "license": "CC0"}', "license: not a field of an origin"),
    ],
)
def test_a_mark_that_cannot_be_meant_is_refused_with_file_and_field(tmp_path, text, message):
    (tmp_path / MARK).write_text(text)
    with pytest.raises(UserMistake) as error:
        read_origin(tmp_path)
    assert error.value.message.startswith(f"{tmp_path / MARK}: ")
    assert message in error.value.message


def test_zone_and_converter_are_kept_and_left_out_of_marks_that_have_none(tmp_path):
    origin = Origin("mine", zone="Europe/Berlin", converter="Wristsleep import 1")
    write_origin(tmp_path, origin)
    assert read_origin(tmp_path) == origin
    assert not {"zone", "converter"} & SLEEP_ACCEL.as_dict().keys()


def test_fields_that_are_left_out_have_their_defaults(tmp_path):
    (tmp_path / MARK).write_text('{"name": "mine"}')
    assert read_origin(tmp_path) == Origin("mine")


def test_several_sets_are_simulated_if_one_is_and_all_are_quoted():
    mine, other = Origin("mine", "2", "CC BY", "Me.", zone="UTC"), Origin(attribution="", zone="UTC")
    both = combined([SLEEP_ACCEL, mine])
    assert both.name == "sleep-accel 1.0.0 and mine 2"
    assert both.licence == f"sleep-accel: {SLEEP_ACCEL.licence}; mine: CC BY"
    assert both.attribution == f"{SLEEP_ACCEL.attribution} Me."
    assert (both.simulated, both.zone) == (False, "UTC")
    assert combined([mine, SURROGATE]).simulated
    assert combined([other, mine, mine]).name == "mine 2 and nights of unknown origin"
    assert combined([UNKNOWN, other]).unknown


def test_the_mark_of_each_set_is_read(tmp_path):
    for name, origin in (("a", SYNTHETIC), ("b", SLEEP_ACCEL)):
        (tmp_path / name).mkdir()
        write_origin(tmp_path / name, origin)
    sets = DataSets.of([tmp_path / "b", tmp_path / "a"])
    assert read_origins(sets) == {"a": SYNTHETIC, "b": SLEEP_ACCEL}
    assert read_origins(tmp_path / "a") == {}
    assert read_origin(sets) == combined([SYNTHETIC, SLEEP_ACCEL])
