"""Templates: a value that is missing is an error, never an empty place."""

import pytest
from jinja2 import UndefinedError

from export.rendering import TEMPLATES, render


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*/*.jinja")), ids=lambda path: path.name)
def test_nothing_is_left_out_in_silence(path):
    with pytest.raises(UndefinedError):
        render(str(path.relative_to(TEMPLATES)).removesuffix(".jinja"))
