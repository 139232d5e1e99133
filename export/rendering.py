"""Text files of a bundle from their templates: README, report and model card."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"
ENVIRONMENT = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True)


def render(template: str, **values: object) -> str:
    """A template filled in.

    Args:
        template: Path below templates/, without the suffix .jinja.
        **values: By the names that the template uses.

    Returns:
        The text.

    Raises:
        jinja2.UndefinedError: A value is missing.
    """
    return ENVIRONMENT.get_template(f"{template}.jinja").render(values)
