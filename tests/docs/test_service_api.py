"""The page of the service's API: every operation, field, status and example is on it, and its links lead somewhere."""

import json
import re

import pytest

from docs.service_api import as_markdown, type_of
from tests.docs.blocks import ROOT
from watch_sim.service.app import create_app
from watch_sim.service.settings import Settings


@pytest.fixture(scope="module")
def document():
    return create_app(Settings(ROOT / "bundles" / "gru-int8")).openapi()


@pytest.fixture(scope="module")
def text(document):
    return as_markdown(document)


def test_everything_of_the_description_is_on_the_page(document, text):
    operations = dict(re.findall(r"^## (\w+ /[^\n]*)\n\n(.*?)(?=^## )", text, re.M | re.S))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found = operations.pop(f"{method.upper()} {path}")
            assert operation["description"] in found
            assert {*re.findall(r"^\| (\d+) \|", found, re.M)} == operation["responses"].keys() - {"200"}
    assert not operations
    for name, schema in document["components"]["schemas"].items():
        section = text.partition(f"### {name}\n")[2].partition("###")[0]
        assert [*schema["properties"]] == re.findall(r"^\| `(\w+)` \|", section, re.M)


def test_examples_are_those_of_the_description(document, text):
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.S)]
    schemas = document["components"]["schemas"].values()
    given = [example for schema in schemas for example in schema.get("examples", [])]
    assert len(shown) == len(given) == 5
    assert all(example in shown for example in given)


def test_links_lead_to_schemas(document, text):
    assert {*re.findall(r"\]\(#(\w+)\)", text)} <= {name.lower() for name in document["components"]["schemas"]}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array", "items": {"type": "number"}, "maxItems": 9}, "list of at most 9 numbers"),
        (
            {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 5, "maxItems": 5},
            "list of 5 numbers (≥ 0)",
        ),
        ({"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]}, "`a`, `b` or null"),
        ({"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Epoch"}}, "[Epoch](#epoch) by name"),
    ],
)
def test_types_in_words(schema, words):
    assert type_of(schema) == words
