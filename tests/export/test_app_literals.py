"""Constants as source text; what the languages make of them is tested in test_app_code.py."""

import json

from export.app_literals import KOTLIN, SWIFT, json_text, lay_out, prefix


def test_text_is_broken_over_lines_where_it_is_too_long():
    short, long = ("[", ["1", "2"], "]"), ("f(", ["x" * 60, ("[", ["y" * 59], "]")], ")")
    assert lay_out(short, 4) == "[1, 2]"
    assert lay_out(long, 4) == f"f(\n    {'x' * 60},\n    [{'y' * 59}]\n)"


def test_what_follows_counts_too():
    text = ("[", ["x" * 58, "y" * 58], "]")  # 120 characters with its brackets and comma
    assert lay_out(text, 4, trailing=0) == f"[{'x' * 58}, {'y' * 58}]"
    assert lay_out(text, 4, trailing=1).count("\n") == 3


def test_json_text_is_json():
    value = {"a": [1, 2.5, "x"], "b": {"c": []}, "long": ["y" * 70, "z" * 70]}
    text = lay_out(json_text(value), 2)
    assert json.loads(text) == value
    assert text.count("\n") > 3


def test_a_prefix_stands_before_the_first_line():
    assert lay_out(prefix("a = ", ("[", ["1"], "]")), 4) == "a = [1]"
    assert prefix("a = ", "1") == "a = 1"


def literal(text):
    return lay_out(text, 4)


def test_kotlin():
    assert literal(KOTLIN.map_of({"a": KOTLIN.floats([1, 0.1])})) == 'mapOf("a" to floatArrayOf(1.0f, 0.1f))'
    assert literal(KOTLIN.map_of({})) == "mapOf()"
    assert literal(KOTLIN.instance("Stage", name='"N1"', code="3")) == 'Stage("N1", 3)'
    assert (KOTLIN.name("IN_INT8"), KOTLIN.shape([1, 5])) == ("IN_INT8", "1, 5")


def test_swift():
    assert literal(SWIFT.map_of({"a": SWIFT.floats([1, 0.1])})) == '["a": [1.0, 0.1]]'
    assert literal(SWIFT.map_of({})) == "[:]"
    assert literal(SWIFT.instance("Stage", name='"N1"', code="3")) == 'Stage(name: "N1", code: 3)'
    assert (SWIFT.name("IN_INT8"), SWIFT.shape([1, 5])) == ("inInt8", "[1, 5]")
