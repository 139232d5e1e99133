"""The service's description, /openapi.json: request bodies with working examples, and pages that show it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from export.contract import Contract
from pipeline.constants import STAGES
from watch_sim.service.admission import CONTENT_POLICY
from watch_sim.service.requests import Export, Hypnogram, LiveStep, PlainNight, Prediction
from watch_sim.service.responses import Problem
from watch_sim.service.run import ServedRun

PAGES = Path(__file__).parent / "docs"
FILES = Path(fastapi_offline.__file__).parent / "static"  # Swagger UI and ReDoc
BODIES = (PlainNight, Prediction, LiveStep, Hypnogram, Export)
REF = "#/components/schemas/{model}"
TITLE = "Wristsleep"
ABOUT = """Sleep stages from heart rate and movement. `POST /predict` takes a whole night as rows; `POST /live` takes a
night step by step, continued with a token; the WebSocket `/live` takes the same messages. For research and
development; not a medical device."""

MESSAGES = {
    400: "Unknown Host name",
    401: "Missing or wrong bearer token",
    404: "Not found",
    408: "The body did not arrive in time",
    409: "Files have changed while the service was running, or the token is from another model",
    410: "The token is too old",
    413: "The body is too large or too deeply nested",
    415: "The Content-Type is not JSON",
    422: "A field is invalid",
    429: "Too many requests",
    503: "The service is busy or stopping",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses other than 2xx of an operation, including those common to all operations."""
    every = (400, 401, 429, 503)
    return {status: {"model": Problem, "description": MESSAGES[status]} for status in sorted({*every, *statuses})}


OF_BODIES = problems(408, 409, 413, 415, 422)


def takes(body: type[BaseModel]) -> dict[str, Any]:
    """The description of an operation's body."""
    schema = {"$ref": REF.format(model=body.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


LIVE_LINKS = {  # OpenAPI links: how a client uses a response
    "next": {
        "operationId": "live",
        "requestBody": {"token": "$response.body#/token", "samples": [], "now": 60},
        "description": "The next step of the night",
    }
}


def examples(served: ServedRun) -> dict[str, dict]:
    """{body: an example that works with this run}."""
    architecture, contract = next(iter(served.contracts.items()))
    precision = next(iter(contract.precisions))
    model = {"architecture": architecture, "precision": precision}
    samples = [
        {"sensor": "heart_rate", "t": 4.5, "value": 58},
        {"sensor": "motion", "t": 5.0, "value": [0.01, -0.02, 0.99]},
        {"sensor": "heart_rate", "t": 31, "value": 57},
    ]
    stages = ["Wake"] * 2 + ["N1", "N2", "N2", "N3", "REM"]
    probabilities = [[0.6 if stage == name else 0.1 for name in STAGES] for stage in stages]
    start = {"start": "2026-01-31T23:10:00", "zone": "Europe/Berlin"}
    return {
        "PlainNight": {"model_type": architecture.upper(), **plain_lists(contract)},
        "Prediction": {
            **model,
            "events": {"heart_rate": {"t": [2, 7, 12, 33], "value": [61, 60, 60, 58]}},
        },
        "LiveStep": {"open": model, "samples": samples, "now": 60},
        "Hypnogram": {"stages": [*stages, None, "Unknown"]},
        "Export": {
            "stages": stages,
            "probabilities": probabilities,
            **start,
            "subject": "example",
            "model": architecture,
        },
    }


def plain_lists(contract: Contract) -> dict[str, list[float]]:
    """One window of every channel of a model."""
    typical = {"heart_rate": 60, "motion_z": 1, "motion_magnitude": 1}
    return {entry.name: [typical.get(entry.name, 0)] * entry.values_per_window for entry in contract.channels}


def describe(app: FastAPI, served: ServedRun, guarded: bool) -> Callable[[], dict[str, Any]]:
    """A function that returns an app's description.

    Args:
        app: The app with all its routes.
        served: The run, for the examples.
        guarded: Whether a token is required.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app, served, guarded)
        return app.openapi_schema

    return openapi


def described(app: FastAPI, served: ServedRun, guarded: bool) -> dict[str, Any]:
    """The description of an app; arguments as in `describe`."""
    document = get_openapi(title=TITLE, version="2", description=ABOUT, routes=app.routes)
    schemas = document["components"]["schemas"]
    _, definitions = models_json_schema([(body, "validation") for body in BODIES], ref_template=REF)
    schemas |= definitions["$defs"]
    for name in ("Opening", "Prediction"):
        schemas[name]["properties"]["architecture"] |= {"enum": [*served.contracts]}
    for name, example in examples(served).items():
        schemas[name]["examples"] = [example]
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "subject" and served.subjects:
                    parameter["example"] = served.subjects[0]
            if guarded and not operation.pop("x-open", False):
                operation["security"] = [{"bearer": []}]
            operation.pop("x-open", None)
    if guarded:
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return document


def add_pages(app: FastAPI) -> None:
    """Add /docs (Swagger UI) and /redoc, served entirely from local files."""
    styled = {"Content-Security-Policy": f"{CONTENT_POLICY}; style-src 'self' 'unsafe-inline'"}  # needed by ReDoc
    for path, page, headers in (("/docs", "swagger.html", {}), ("/redoc", "redoc.html", styled)):
        app.add_api_route(path, FileResponsePage(PAGES / page, headers), include_in_schema=False)
    app.mount("/docs-files", StaticFiles(directory=FILES))
    app.mount("/docs-pages", StaticFiles(directory=PAGES))


class FileResponsePage:
    """A route that answers with a file."""

    def __init__(self, path: Path, headers: dict[str, str]):
        self.path, self.headers = path, headers

    async def __call__(self) -> FileResponse:
        """Return the file."""
        return FileResponse(self.path, headers=self.headers)
