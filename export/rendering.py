"""Text files of a bundle from their templates: README, report and model card."""

from pathlib import Path

from scoring import pages

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> str:
    """`scoring.pages.render` of a template of this folder, such as "apps/README.md"."""
    return pages.render(TEMPLATES, template, **values)


def page(name: str, **values: object) -> str:
    """`scoring.pages.page` of a template in templates/pages."""
    return pages.page(TEMPLATES, f"pages/{name}", **values)
