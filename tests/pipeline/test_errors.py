"""Mistakes of the user, and choices among names."""

import pytest

from pipeline.errors import UserMistake, one_of


def test_one_of_returns_the_values_as_a_tuple():
    assert one_of("--x", ["b"], ("a", "b")) == ("b",)
    assert one_of("--x", ["b", "a"], {"a": 1, "b": 2}) == ("b", "a")


def test_one_of_names_the_unknown_and_the_choices():
    with pytest.raises(UserMistake, match=r"^--x: none given; choose from a, b$"):
        one_of("--x", [], ("a", "b"))
    with pytest.raises(UserMistake, match=r"^--x: c, d; choose from a, b$"):
        one_of("--x", ["c", "a", "d"], ("a", "b"))


def test_a_mistake_ends_a_command_with_code_2(capsys):
    mistake = UserMistake("file: line 3: odd")
    assert mistake.exit_code == 2
    mistake.show()
    assert capsys.readouterr().err == "Error: file: line 3: odd\n"


def test_odd_names_do_not_break_the_line(capsys):
    UserMistake("ночь é\nx\x1b[2J\udcff: missing").show()
    assert capsys.readouterr().err == "Error: ночь é\\nx\\x1b[2J\\udcff: missing\n"


def test_a_choice_is_named_once():
    with pytest.raises(UserMistake, match=r"choose from gru, rnn$"):
        one_of("--architectures", ["x"], ["gru", "gru", "rnn"])
