"""The service behind the page, for programs too: nights, predictions, live sessions, sleep statistics and exports.

Everything is of one run folder. Bodies are those of watch_sim.bodies; what is wrong with one is said as
{"detail": [{"field", "message"}]} with a 4xx status. /openapi.json describes it all.
"""

import socket
from contextlib import suppress
from pathlib import Path

import click
import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from evaluation.sleep import UNITS, hypnogram, sleep_table
from pipeline.options import STAGES, UserMistake
from watch_sim import exports
from watch_sim.bodies import Export, Feed, Hypnogram, Model, Opening, Prediction
from watch_sim.live import Sessions
from watch_sim.served import Served, unfit
from watch_sim.watch import Watch

PAGE = Path(__file__).with_name("page")
MOST_BYTES = 2**26  # of a body
OWN_FILES_ONLY = (  # the browser fetches from this server, or not at all
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def as_dicts(epochs):
    """Epochs for JSON."""
    return [{"time": t, "stage": stage, "probabilities": [float(x) for x in p]} for t, stage, p in epochs]


def create_app(run, dataset_dir=None, hosts=("*",)):
    """The FastAPI app of a run folder. hosts: names it answers to, so that no other site can pose as it."""
    served, sessions = Served(run, dataset_dir), Sessions()
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app = FastAPI(title="Wristsleep", docs_url=None, redoc_url=None, max_body_size=MOST_BYTES, middleware=[guard])

    @app.exception_handler(RequestValidationError)
    def say_what_is_wrong(request, error):  # without the values themselves: NaN is no JSON
        found = []
        for each in error.errors()[:20]:
            path = [] if each["type"] == "json_invalid" else each["loc"][1:]
            said = each["msg"].removeprefix("Value error, ")
            found.append({"field": ".".join(map(str, path)) or "body", "message": said})
        return JSONResponse({"detail": found}, 422)

    @app.exception_handler(UserMistake)
    def say_what_is_not_there(request, mistake):  # files may change under a running service
        return JSONResponse({"detail": mistake.message}, 409)

    @app.get("/api/bundles")
    def bundles():
        """The run's models, with their precisions, operating points and channels."""
        models = [
            {
                "architecture": name,
                "precisions": {
                    precision: sum((served.folders[name] / call["file"]).stat().st_size for call in plan["calls"])
                    for precision, plan in contract["precisions"].items()
                },
                "operating_points": served.points(name),
            }
            for name, contract in served.contracts.items()
        ]
        common = {key: served.contract[key] for key in ("stages", "seconds", "channels")}
        return {"run": served.run.resolve().name, **common, "bundles": models}

    @app.get("/api/nights")
    def nights():
        """The data set's nights. part: what the run used a night for; null: it never saw it."""
        found = [{"id": name, "part": served.parts.get(name), **served.files(name)} for name in served.nights]
        return {"dataset_dir": str(served.dataset_dir), "nights": found}

    @app.get("/api/nights/{subject}")
    def night(subject: str):
        """A night's windows as the aligner gives them, channel by channel, its ends (s) and its true stages."""
        return served.night(subject)

    @app.post("/api/predict")
    def predict(asked: Prediction):
        """Stages and probabilities of a night, through the watch."""
        said = as_dicts(served.predict(asked))
        return {**asked.model_dump(include={*Model.model_fields}), "seconds": served.options.stride, "epochs": said}

    @app.post("/api/live", status_code=201)
    def open_session(asked: Opening):
        """Open a live session: a watch to be fed. A bounded number; those long idle are closed for new ones."""
        folder = served.check(asked)
        with served.busy:
            watch = Watch(folder, asked.precision, asked.start, asked.counts, asked.operating_point)
        session = sessions.open(watch)
        if session is None:
            raise HTTPException(429, f"{sessions.most} sessions are open; close one first")
        return {"session": session, "seconds": served.options.stride}

    @app.post("/api/live/{session}")
    def feed_session(session: str, asked: Feed):
        """Feed samples and the clock; the epochs that they close."""
        try:
            fed = [(sample.sensor, sample.t, sample.value) for sample in asked.samples]
            return {"epochs": as_dicts(sessions.feed(session, fed, asked.now))}
        except KeyError:
            raise HTTPException(404, "no such session") from None
        except ValueError as error:
            raise unfit("samples", str(error)) from None

    @app.delete("/api/live/{session}", status_code=204)
    def close_session(session: str):
        """End a live session."""
        try:
            sessions.close(session)
        except KeyError:
            raise HTTPException(404, "no such session") from None

    @app.post("/api/statistics")
    def sleep_statistics(asked: Hypnogram):
        """Sleep statistics of a hypnogram (yasa, AASM definitions); null where there is none, as REM latency."""
        index = [STAGES.index(stage) if stage else -1 for stage in asked.stages]
        if max(index) < 0:
            raise unfit("stages", "none is scored")
        said = sleep_table({"": hypnogram(index, served.options.stride)}).iloc[0]
        return [
            {"name": name, "unit": unit, "value": None if np.isnan(said[name]) else round(float(said[name]), 2)}
            for name, unit in UNITS.items()
        ]

    @app.post("/api/export/{kind}")
    def export(kind: str, asked: Export):
        """A night to take home. kind: edf (EDF+), csv, healthkit or health_connect (JSON)."""
        night = asked.stages, served.options.stride, asked.instant()
        scored = asked.stages, asked.probabilities, served.options.stride, asked.instant()
        if kind == "edf":
            return Response(exports.edf(*scored, asked.subject, asked.model), media_type="application/octet-stream")
        if kind == "csv":
            return Response(exports.table(*scored), media_type="text/csv")
        if kind in ("healthkit", "health_connect"):
            return getattr(exports, kind)(*night, served.contract)
        raise HTTPException(404, "exports are edf, csv, healthkit and health_connect")

    for name, folder in served.folders.items():
        app.mount(f"/bundles/{name}", StaticFiles(directory=folder))
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def serve(run, dataset_dir, host, port):
    """Serve a run until interrupted. port 0: any that is free. Raises UserMistake where the address cannot be had."""
    everywhere = host in ("0.0.0.0", "::")
    # the check of names cannot read an IPv6 address
    app = create_app(run, dataset_dir, ["*"] if everywhere or ":" in host else [host, "localhost", "127.0.0.1"])
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        raise UserMistake(f"--host {host} --port {port}: cannot be listened on ({said}); try another port") from None
    name = f"[{host}]" if ":" in host else host
    click.echo(f"http://{'localhost' if everywhere else name}:{listening.getsockname()[1]}/  (Ctrl+C ends it)")
    policy = [("Content-Security-Policy", OWN_FILES_ONLY)]
    config = uvicorn.Config(app, log_level="warning", access_log=False, headers=policy)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listening])
