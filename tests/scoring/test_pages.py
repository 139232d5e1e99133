"""Pages: a value that is missing is an error, never an empty place; parts that are left out leave no blank lines."""

import pytest
from jinja2 import UndefinedError

from scoring.pages import page, render


@pytest.fixture
def templates(tmp_path):
    (tmp_path / "page.md.jinja").write_text("# {{ title }}\n\n{% if more %}{{ more }}{% endif %}\n\n{{ last }}\n\n")
    return tmp_path


def test_parts_that_are_left_out_leave_no_blank_lines(templates):
    assert page(templates, "page.md", title="A <b>", more="", last="z") == "# A <b>\n\nz\n"
    assert page(templates, "page.md", title="A", more="m", last="z") == "# A\n\nm\n\nz\n"


def test_a_template_is_filled_in_as_it_is(templates):
    assert render(templates, "page.md", title="A", more="", last="z") == "# A\n\n\n\nz\n\n"


def test_a_missing_value_is_an_error(templates):
    with pytest.raises(UndefinedError):
        page(templates, "page.md", title="A", more="")
