"""/openapi.json: everything is typed, every example runs, and answers are as described; its pages ask nobody else."""

import jsonschema
import pytest


@pytest.fixture(scope="module")
def document(reference):
    return reference.get("/openapi.json").json()


def operations(document):
    return {f"{method} {path}": o for path, item in document["paths"].items() for method, o in item.items()}


def schema_of(document, schema):
    return {**schema, "components": document["components"]}


def test_every_operation_is_described(document):
    assert {*operations(document)} == {
        "get /healthz", "get /readyz", "get /metrics", "post /predict", "post /live", "get /api/bundles",
        "get /api/nights", "get /api/nights/{subject}", "post /api/predict", "post /api/statistics",
        "post /api/export/{kind}",
    }  # fmt: skip
    for name, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            for content_type, content in answer["content"].items():
                assert content["schema"], (name, status, content_type)
        assert operation["summary"] and operation["description"]


def test_refusals_are_those_described(document, reference):
    refusal = reference.post("/predict", json={}).json()
    schema = operations(document)["post /predict"]["responses"]["422"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Problem"}
    jsonschema.validate(refusal, schema_of(document, schema))
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_example_runs_and_its_answer_is_as_described(document, reference):
    run = 0
    for name, operation in operations(document).items():
        method, path = name.split()
        kinds = [None]
        for parameter in operation.get("parameters", []):
            kinds = parameter["schema"].get("enum") or [parameter["example"]]
        bodies = [None]
        if "requestBody" in operation:
            reference_to = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schema = document["components"]["schemas"][reference_to.rpartition("/")[2]]
            bodies = schema["examples"]
            for body in bodies:
                jsonschema.validate(body, schema_of(document, schema))
        for kind in kinds:
            for body in bodies:
                address = path.replace("{subject}", str(kind)).replace("{kind}", str(kind))
                answer = reference.request(method, address, json=body)
                assert answer.status_code == 200, (name, answer.text)
                content_type = answer.headers["content-type"].partition(";")[0]
                if content_type == "application/json":
                    schema = operation["responses"]["200"]["content"][content_type]["schema"]
                    jsonschema.validate(answer.json(), schema_of(document, schema))
                else:
                    assert content_type in operation["responses"]["200"]["content"]
                run += 1
    assert run == 14


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_pages_are_of_this_server_alone(reference, page):
    text = reference.get(f"/{page}").text
    addresses = [part.split('"')[1] for part in text.split("<") if "src=" in part or "href=" in part]
    assert len(addresses) >= 3
    for mark in ('src="', 'href="'):
        for part in text.split(mark)[1:]:
            address = part.partition('"')[0]
            assert "//" not in address
            assert reference.get(f"/{address}").status_code == 200
    assert "<script>" not in text  # which the policy does not let run
