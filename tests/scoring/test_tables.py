"""Markdown tables and numbers as text."""

from scoring.tables import kilobytes, markdown_rows, markdown_table, number


def test_a_table_has_a_head_and_a_row_each():
    assert markdown_table(["a", "b"], [[1, "x"], [2.5, ""]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2.5 |  |"
    assert markdown_rows([[1, "x"]]) == "| 1 | x |"


def test_a_table_without_rows_is_none():
    assert markdown_table(["a", "b"], iter([])) == ""


def test_numbers_as_text():
    assert (number(0.12345), number(-0.05, 1), number(7, 0), number(None)) == ("0.123", "-0.1", "7", "-")
    assert (kilobytes(12_345), kilobytes(0)) == ("12.3", "0.0")
