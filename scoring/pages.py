"""Renders jinja templates: Markdown pages and app code. A missing value is an error."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(templates: Path, name: str, **values: object) -> str:
    """Render a template.

    Args:
        templates: Folder of templates.
        name: Path of the template in the folder, without the suffix .jinja.
        **values: Values of the template's variables.

    Returns:
        The text.

    Raises:
        jinja2.UndefinedError: A value is missing.
    """
    loader = FileSystemLoader(templates)
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(f"{name}.jinja").render(values)


def page(templates: Path, name: str, **values: object) -> str:
    """Render a Markdown page: as `render`, with exactly one blank line between parts."""
    parts = render(templates, name, **values).split("\n\n")
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
