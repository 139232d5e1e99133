"""docs/troubleshooting.md has every message that ends a command, and none that no command gives."""

import ast
import re

import pytest

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
DOCUMENTED = {entry for row in PAGE.splitlines() if row.startswith("| `") for entry in re.findall(r"`([^`]+)`", row)}
FOLDERS = ("pipeline", "scoring", "models", "export", "watch_sim", "evaluation")
SOURCES = [ROOT / "train.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
RAISED = {"UserMistake", "unusable"}


def template(node):
    """A message as the page writes it, with … for what is put into it."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return "…"


def messages():
    """{template: where} of each message; those put together elsewhere ("…: …") are left out."""
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            for text in map(template, node.args) if name in RAISED else ():
                if len(re.findall("[a-z]", text)) > 6:
                    found[text] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


MESSAGES = messages()


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_explained(message):
    assert message in DOCUMENTED, f"{MESSAGES[message]}: {message!r} is missing from docs/troubleshooting.md"


def test_only_messages_that_exist_are_explained():
    said = {entry for entry in DOCUMENTED if len(re.findall("[a-z]", entry)) > 6}
    also = {"tflite-micro is not installed; run make .venv-micro/ready", "…: does not run in TensorFlow Lite Micro: …"}
    assert {entry for entry in said - MESSAGES.keys() - also if ":" in entry or "…" in entry} == set()
