"""Templates: a value that is missing is an error, never an empty place."""

import pytest
from jinja2 import FileSystemLoader, UndefinedError

from export.rendering import ENVIRONMENT, TEMPLATES, render


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*/*.jinja")), ids=lambda path: path.name)
def test_nothing_is_left_out_in_silence(path):
    with pytest.raises(UndefinedError):
        render(str(path.relative_to(TEMPLATES)).removesuffix(".jinja"))


def test_text_is_not_escaped_and_keeps_its_last_line_break(monkeypatch, tmp_path):
    (tmp_path / "page.md.jinja").write_text("{{ words }}\n")
    monkeypatch.setattr(ENVIRONMENT, "loader", FileSystemLoader(tmp_path))
    assert render("page.md", words='"<&>"') == '"<&>"\n'
