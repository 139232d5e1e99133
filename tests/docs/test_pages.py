"""What the documentation says exists: commands and their options, pages, links, pictures."""

import importlib
import re

import click
import pytest
import yaml

from tests.docs.blocks import PAGES, ROOT, blocks, commands

COMMANDS = commands()
OURS = ("train.py", "pipeline", "models", "export", "watch_sim", "evaluation", "benchmarks")


def click_command(words):
    """(the click command, its arguments) of `python train.py …` or `python -m module …`; None for other commands."""
    if not words[0].endswith("python"):
        return None
    name, arguments = (words[2], words[3:]) if words[1] == "-m" else (words[1], words[2:])
    if not name.startswith(OURS):
        return None
    if name == "train.py":
        module = importlib.import_module("train")
    else:
        try:
            module = importlib.import_module(f"{name}.__main__")
        except ModuleNotFoundError:
            module = importlib.import_module(name)
    command = module.main
    while isinstance(command, click.Group):
        command, arguments = command.resolve_command(click.Context(command), [*arguments])[1:]
    return command, [*arguments]


@pytest.mark.parametrize("command", [c for c in COMMANDS if click_command(c.words)], ids=str)
def test_commands_have_the_options_that_pages_give_them(command, tmp_path, monkeypatch):
    for name in ("RUN", "EVALUATION", "NIGHTS", "FOLD"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    parsed, arguments = click_command(command.words)
    parsed.make_context(str(command), arguments)


def test_most_commands_are_run_and_the_others_have_a_reason():
    run = [command for command in COMMANDS if not command.why]
    assert len(run) > 12
    assert all(len(command.why) > 8 for command in COMMANDS if command.why)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_blocks_that_are_tested(page):
    """A command in a block of no language would never be tried."""
    for text, _ in blocks(page, ""):
        assert not re.search(r"^(\.venv/bin/)?(python|make|docker|conda) ", text, re.M), text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation():
    def paths(entries):
        for entry in entries:
            for value in entry.values():
                yield from [value] if isinstance(value, str) else paths(value)

    listed = [*paths(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])]
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]}
    assert pages <= {*listed} and len(listed) == len({*listed})


def test_the_readme_takes_a_minute():
    assert len((ROOT / "README.md").read_text().split()) <= 900
