"""The service behind the page, for programs too: nights, predictions, live sessions, sleep statistics and exports.

Everything is of one run folder. Bodies are those of watch_sim.service.requests; a body that is wrong is answered with
{"detail": [{"field", "message"}]} and a 4xx status. /openapi.json describes the service.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click
import numpy as np
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pipeline.align import CHANNELS_OF_SENSOR
from pipeline.constants import CHANNELS, GRACE_S, LONGEST_NIGHT_S, STAGES
from pipeline.data_sets import Data
from pipeline.errors import UserMistake
from scoring.sleep_statistics import UNITS, hypnogram, sleep_table
from watch_sim.service import night_files
from watch_sim.service.requests import Export, Feed, Hypnogram, Model, Opening, Prediction
from watch_sim.service.run import ServedRun, sensors_as_dict, unprocessable
from watch_sim.service.sessions import Answer, Sessions
from watch_sim.watch import Watch

PAGE = Path(__file__).parents[1] / "page"
LIBRARY = Path(__file__).parents[2] / "apps" / "javascript"  # with which the page plays a bundle
MOST_BYTES = 2**26  # of a body
MOST_ERRORS = 20  # that an answer names
CONTENT_POLICY = (  # the browser fetches from this server, or not at all
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(run: Path, dataset_dir: Data | None = None, hosts: Sequence[str] = ("*",)) -> FastAPI:
    """The app of a run folder.

    Args:
        run: Folder of the run.
        dataset_dir: Recordings to play; by default those of the run.
        hosts: Names that it answers to, so that no other site can pose as it.

    Raises:
        UserMistake: The run has no whole bundles, or the data set no recordings.
    """
    served = ServedRun(run, dataset_dir)
    sessions = Sessions()
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app = FastAPI(title="Wristsleep", docs_url=None, redoc_url=None, max_body_size=MOST_BYTES, middleware=[guard])
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(UserMistake, answer_mistake)
    for router in (nights_router(served), live_router(served, sessions), exports_router(served)):
        app.include_router(router, prefix="/api")
    for name, folder in served.folders.items():
        app.mount(f"/bundles/{name}", StaticFiles(directory=folder))
    app.mount("/sleep-stager", StaticFiles(directory=LIBRARY))
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def answer_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """HTTP 422 by field; without the values themselves, as NaN is no JSON."""
    detail = []
    for finding in error.errors()[:MOST_ERRORS]:
        path = [] if finding["type"] == "json_invalid" else finding["loc"][1:]
        message = finding["msg"].removeprefix("Value error, ")
        detail.append({"field": ".".join(map(str, path)) or "body", "message": message})
    return JSONResponse({"detail": detail}, 422)


def answer_mistake(request: Request, mistake: UserMistake) -> JSONResponse:
    """HTTP 409: files may change under a running service."""
    return JSONResponse({"detail": mistake.message}, 409)


def nights_router(served: ServedRun) -> APIRouter:
    """Routes of the run's models, the data set's nights and their predictions."""
    router = APIRouter()

    @router.get("/bundles")
    def bundles():
        """The run's models: what they were trained on and take, precisions, operating points, the unknown rule."""
        models = [
            {
                "architecture": name,
                "precisions": served.sizes(name),
                "operating_points": {k: point.model_dump() for k, point in served.operating_points(name).items()},
            }
            for name in served.contracts
        ]
        contract = served.contract.document()
        return {
            "run": served.run.path.resolve().name,
            "training_data": served.contract.training_data.model_dump(),
            "stages": contract["stages"],
            "seconds": contract["seconds"],
            "channels": contract["channels"],
            "unknown": served.contract.unknown.model_dump(),
            "bundles": models,
            "sensors": sensor_ranges(),
            "grace_seconds": GRACE_S,
            "longest_night_seconds": LONGEST_NIGHT_S,
        }

    @router.get("/nights")
    def nights():
        """The data set's nights. part: what the run used a night for; null: it never saw it."""
        entries = [{"id": name, "part": served.parts.get(name), **served.files(name)} for name in served.subjects]
        return {"dataset_dir": str(served.dataset_dir), "nights": entries}

    @router.get("/nights/{subject}")
    def night(subject: str):
        """A night's windows as the aligner gives them, channel by channel: ends (s), scored stages, coverage, and where
        the stage is unknown.
        """
        return served.night(subject)

    @router.post("/predict")
    def predict(request: Prediction):
        """Stages, probabilities and coverage of a night, through the watch, with what it dropped and its findings."""
        model = request.model_dump(include={*Model.model_fields})
        return {**model, "seconds": served.options.stride, **as_json(Answer.of(*served.predict(request)))}

    return router


def sensor_ranges() -> dict[str, dict]:
    """{sensor: {"range": [low, high]}}; a value outside counts as not sensed."""
    first = {sensor: CHANNELS[names[0]] for sensor, names in CHANNELS_OF_SENSOR.items()}
    return {sensor: {"range": [channel.low, channel.high]} for sensor, channel in first.items()}


def live_router(served: ServedRun, sessions: Sessions) -> APIRouter:
    """Routes of live sessions."""
    router = APIRouter(prefix="/live")

    @router.post("", status_code=201)
    def open_session(request: Opening):
        """Open a live session: a watch to be fed. A bounded number; those long idle are closed for new ones."""
        bundle = served.bundle(request)
        with served.busy:
            watch = Watch(bundle, request.precision, request.start, request.counts, request.operating_point)
        session = sessions.open(watch)
        if session is None:
            raise HTTPException(429, f"{sessions.most} sessions are open; close one first")
        return {"session": session, "seconds": served.options.stride}

    @router.post("/{session}")
    def feed_session(session: str, request: Feed):
        """Feed samples and the clock; the epochs that they close, what the night has dropped so far, and findings."""
        samples = [(sample.sensor, sample.t, sample.value) for sample in request.samples]
        try:
            return as_json(sessions.feed(session, samples, request.now))
        except KeyError:
            raise HTTPException(404, "no such session") from None
        except ValueError as error:
            raise unprocessable("samples", str(error)) from None

    @router.delete("/{session}", status_code=204)
    def close_session(session: str):
        """End a live session."""
        try:
            sessions.close(session)
        except KeyError:
            raise HTTPException(404, "no such session") from None

    return router


def exports_router(served: ServedRun) -> APIRouter:
    """Routes of a night's sleep statistics and of its files."""
    router = APIRouter()
    stride = served.options.stride

    @router.post("/statistics")
    def sleep_statistics(request: Hypnogram):
        """Sleep statistics of a hypnogram (yasa, AASM definitions); null where there is none, as REM latency. Unknown
        epochs are time in bed, and neither sleep nor wake.
        """
        index = [STAGES.index(stage) if stage in STAGES else -1 for stage in request.stages]
        if max(index) < 0:
            raise unprocessable("stages", "none is scored or predicted")
        values = sleep_table({"": hypnogram(index, stride)}).iloc[0]
        return [
            {"name": name, "unit": unit, "value": None if np.isnan(values[name]) else round(float(values[name]), 2)}
            for name, unit in UNITS.items()
        ]

    @router.post("/export/{kind}")
    def export(kind: str, request: Export):
        """A night as a file. kind: edf (EDF+), csv, healthkit or health_connect (JSON)."""
        stages = request.stages
        probabilities = request.probabilities
        start = request.instant()
        if kind == "edf":
            content = night_files.edf(stages, probabilities, stride, start, request.subject, request.model)
            return Response(content, media_type="application/octet-stream")
        if kind == "csv":
            return Response(night_files.table(stages, probabilities, stride, start), media_type="text/csv")
        if not {*STAGES}.intersection(stages):
            raise unprocessable("stages", "all are unknown: a health store has nothing to take")
        if kind == "healthkit":
            return night_files.healthkit(stages, stride, start, served.contract)
        if kind == "health_connect":
            return night_files.health_connect(stages, stride, start, served.contract)
        raise HTTPException(404, "exports are edf, csv, healthkit and health_connect")

    return router


def as_json(answer: Answer) -> dict:
    """A watch's answer for JSON; the probabilities of an unknown epoch are null."""
    epochs = [
        {
            "time": epoch.time,
            "stage": epoch.stage,
            "probabilities": None if epoch.coverage.unknown else epoch.probabilities.tolist(),
            "coverage": sensors_as_dict(epoch.coverage),
        }
        for epoch in answer.epochs
    ]
    return {"epochs": epochs, "dropped": answer.dropped, "findings": answer.findings}


def serve(run: Path, dataset_dir: Data | None, host: str, port: int) -> None:
    """Serve a run until interrupted.

    Args:
        run: Folder of the run.
        dataset_dir: Recordings to play; by default those of the run.
        host: Address to listen on.
        port: 0: any that is free.

    Raises:
        UserMistake: The address cannot be listened on, or the run cannot be served.
    """
    everywhere = host in ("0.0.0.0", "::")
    ipv6 = ":" in host
    # the check of names cannot read an IPv6 address
    app = create_app(run, dataset_dir, ["*"] if everywhere or ipv6 else [host, "localhost", "127.0.0.1"])
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ipv6 else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserMistake(f"--host {host} --port {port}: cannot be listened on ({reason}); try another port") from None
    name = "localhost" if everywhere else f"[{host}]" if ipv6 else host
    click.echo(f"http://{name}:{listening.getsockname()[1]}/  (Ctrl+C ends it)")
    policy = [("Content-Security-Policy", CONTENT_POLICY)]
    config = uvicorn.Config(app, log_level="warning", access_log=False, headers=policy)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listening])
