"""Text files from jinja templates: Markdown pages, app code. A value that is missing is an error."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(templates: Path, name: str, **values: object) -> str:
    """A template filled in.

    Args:
        templates: Folder of templates.
        name: Path below it, without the suffix .jinja.
        **values: By the names that the template uses.

    Returns:
        The text.

    Raises:
        jinja2.UndefinedError: A value is missing.
    """
    loader = FileSystemLoader(templates)
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(f"{name}.jinja").render(values)


def page(templates: Path, name: str, **values: object) -> str:
    """A Markdown page: as `render`, with one blank line between its parts, whatever parts are left out."""
    parts = render(templates, name, **values).split("\n\n")
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
