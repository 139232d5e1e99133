"""Shows the service's description, /openapi.json, as a page with every operation and schema."""

import json
import re
import sys
from pathlib import Path
from typing import Any

PAGE = "service_api.md"
ROOT = Path(__file__).resolve().parents[1]
LIST_OF_NUMBERS = re.compile(r"\[[^][{}]*\]")
REFERENCE = "#/components/schemas/"
LIMITS = {
    "minimum": "≥ {:,g}",
    "exclusiveMinimum": "> {:,g}",
    "maximum": "≤ {:,g}",
    "maxLength": "at most {:,} characters",
}


def on_page_markdown(markdown: str, page, config, files) -> str:
    """The text of service_api.md, followed by the operations and schemas of a service of bundles/gru-int8."""
    if page.file.src_path != PAGE:
        return markdown
    sys.path.insert(0, str(ROOT))
    from watch_sim.service.app import create_app
    from watch_sim.service.settings import Settings

    return f"{markdown}\n{as_markdown(create_app(Settings(ROOT / 'bundles' / 'gru-int8')).openapi())}"


def as_markdown(document: dict[str, Any]) -> str:
    """An OpenAPI description as headings, tables and examples."""
    schemas = document["components"]["schemas"]
    parts = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += [f"## {method.upper()} {path}", operation["description"], *of_operation(operation, schemas)]
    parts.append("## Schemas")
    for name, schema in sorted(schemas.items()):
        parts += [f"### {name}", schema.get("description", ""), fields(schema)]
    return "\n\n".join(parts)


def of_operation(operation: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    """An operation's parameters, body with example, and responses."""
    parts = []
    if parameters := operation.get("parameters"):
        rows = [(f"`{p['name']}`", p["in"], type_of(p["schema"])) for p in parameters]
        parts.append(table(("parameter", "in", "type"), rows))
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = schemas[schema["$ref"].removeprefix(REFERENCE)]
        parts += [f"**Body**: {type_of(schema)}. {body['description']}", fields(body)]
        parts += [f"```json\n{one_line_lists(example)}\n```" for example in body["examples"]]
    answers = dict(operation["responses"])
    for content_type, content in answers.pop("200")["content"].items():
        schema = content["schema"]
        parts.append(f"**Answer**: 200, `{content_type}`: {type_of(schema)}")
        item = schema.get("items", schema).get("$ref", "").removeprefix(REFERENCE)
        parts += [fields(schemas[item])] if item else []
    rows = []
    for status, answer in sorted(answers.items()):
        rows.append((status, answer["description"], type_of(answer["content"]["application/json"]["schema"])))
    return [*parts, table(("status", "meaning", "answer"), rows)]


def fields(schema: dict[str, Any]) -> str:
    """Table of an object's fields; for a body, with their defaults."""
    needed, body = schema.get("required", []), schema.get("additionalProperties") is False
    rows = []
    for name, field in schema["properties"].items():
        default = "required" if name in needed else f"`{json.dumps(field.get('default'))}`"
        rows.append((f"`{name}`", type_of(field), *([default] if body else [])))
    return table(("field", "type", *(["default"] if body else [])), rows)


def type_of(schema: dict[str, Any]) -> str:
    """The type of a value in words, with its limits and a link to its schema."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(type_of, schema["anyOf"]))
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return ", ".join(f"`{value}`" for value in values)
    if schema.get("type") == "array":
        return list_type(schema)
    if isinstance(schema.get("additionalProperties"), dict):
        keys = type_of(schema["propertyNames"]) if "propertyNames" in schema else "name"
        return f"{type_of(schema['additionalProperties'])} by {keys}"
    return {"binary": "bytes"}.get(schema.get("format", ""), schema["type"]) + limits(schema)


def list_type(schema: dict[str, Any]) -> str:
    """The type of a list: number and type of its items."""
    items, fewest, most = schema["items"], schema.get("minItems"), schema.get("maxItems")
    count = f"{most} " if most == fewest and most else f"at most {most:,} " if most else ""
    of = type_of(items)
    if "$ref" not in items and not items.keys() & {"anyOf", "enum"}:
        of = re.sub("^(number|integer|string|list)", r"\1s", of)
    return f"list of {count}{f'({of})' if 'anyOf' in items else of}"


def limits(schema: dict[str, Any]) -> str:
    """The limits of a value, in parentheses."""
    found = [text.format(schema[key]) for key, text in LIMITS.items() if key in schema]
    return f" ({', '.join(found)})" if found else ""


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def one_line_lists(example: Any) -> str:
    """An example as JSON, with each innermost list on one line."""
    return LIST_OF_NUMBERS.sub(lambda m: " ".join(m[0].split()), json.dumps(example, indent=2))
