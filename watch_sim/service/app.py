"""The service, for the page and for programs: predictions, live nights, sleep statistics, nights and exports.

It serves one run folder and keeps nothing between requests. Request bodies are in watch_sim.service.requests, responses
in watch_sim.service.responses; an invalid request gets a 4xx status and {"detail": [{"field", "message"}]}.
/openapi.json describes the service, /docs and /redoc show it.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import UserMistake
from watch_sim.service import responses
from watch_sim.service.admission import Admission, Observed
from watch_sim.service.description import LIVE_LINKS, OF_BODIES, add_pages, describe, problems, takes
from watch_sim.service.desk import NIGHT, Desk, findings_of
from watch_sim.service.exports import export_night, night_statistics
from watch_sim.service.metrics import Metrics
from watch_sim.service.requests import Export, Hypnogram, LiveStep, PlainNight, Prediction
from watch_sim.service.run import bundles_as_json, nights_as_json
from watch_sim.service.settings import Settings
from watch_sim.service.socket import converse
from watch_sim.service.stopping import stops_gently
from watch_sim.service.work import Life

PAGE = Path(__file__).parents[1] / "page"
LIBRARY = Path(__file__).parents[2] / "apps" / "javascript"  # runs the models in the page
GZIP_LEVEL = 4  # of the page's files; LiteRT.js shrinks from 9.3 MB to 3 MB in a fifth of a second
EXPORTS = {
    "text/csv": {"schema": {"type": "string"}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}


def create_app(settings: Settings) -> FastAPI:
    """The app for a run folder.

    Raises:
        UserMistake: The run has no complete bundles, or the data set no recordings.
    """
    life, metrics = Life(), Metrics()
    desk = Desk(settings, metrics, life)
    middleware = [Middleware(Observed, metrics=metrics, life=life)]
    if settings.origins:
        cors = {"allow_methods": ["GET", "POST"], "allow_headers": ["Authorization", "Content-Type", "X-Request-ID"]}
        middleware.append(Middleware(CORSMiddleware, allow_origins=settings.origins, **cors))
    middleware.append(Middleware(Admission, settings=settings, life=life))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with stops_gently(life):
            yield
        desk.close()

    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        middleware=middleware,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.desk = desk
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(AnyHTTPException, answer_refusal)
    app.add_exception_handler(UserMistake, answer_mistake)
    app.include_router(health_router(desk, life))
    app.include_router(staging_router(desk))
    app.include_router(nights_router(desk))
    app.openapi = describe(app, desk.served, bool(settings.bearers))
    add_pages(app)
    for name, folder in desk.served.folders.items():
        app.mount(f"/bundles/{name}", Files(directory=folder))
    app.mount("/sleep-stager", GZipMiddleware(Files(directory=LIBRARY), compresslevel=GZIP_LEVEL))
    page = GZipMiddleware(Files(directory=PAGE, html=True), compresslevel=GZIP_LEVEL)
    app.router.default = page_of(page)  # a mount would hide wrong methods
    return app


class Files(StaticFiles):
    """Files of a folder; there are none if the folder vanishes while the service runs, or a link leads in a circle."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The path and the properties of a file; ("", None) if there is none."""
        try:
            return super().lookup_path(path)
        except OSError:
            return "", None

    async def check_config(self) -> None:
        """Skip the check, which would make a missing folder an internal error."""


def page_of(files: ASGIApp) -> ASGIApp:
    """The app for paths without a route: the page's files, or 404 for a WebSocket."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(JSONResponse({"detail": []}, 404))
            return
        await files(scope, receive, send)

    return answer


def answer_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """HTTP 422 by field, for errors outside the body."""
    return JSONResponse({"detail": findings_of(error.errors(), skip=1)}, 422)


def answer_refusal(request: Request, refusal: AnyHTTPException) -> JSONResponse:
    """A refusal in the common form."""
    detail = refusal.detail
    if isinstance(detail, str):
        detail = [{"field": "path", "message": detail}]
    return JSONResponse({"detail": detail}, refusal.status_code, refusal.headers)


def answer_mistake(request: Request, mistake: UserMistake) -> JSONResponse:
    """HTTP 409: files may change while the service runs."""
    return JSONResponse({"detail": [{"field": "service", "message": mistake.message}]}, 409)


def health_router(desk: Desk, life: Life) -> APIRouter:
    """Routes for operating the service."""
    router = APIRouter()
    anyone = {"x-open": True}

    @router.get("/healthz", response_model=responses.Health, responses=problems(), openapi_extra=anyone)
    async def healthz():
        """Whether the service is alive."""
        return {"status": "ok"}

    not_ready = {**problems(), 503: {"model": responses.Health, "description": "Not ready"}}

    @router.get("/readyz", response_model=responses.Health, responses=not_ready, openapi_extra=anyone)
    async def readyz():
        """Whether the service is ready for requests: it is not stopping, and its bundles exist."""
        if life.stopping:
            return JSONResponse({"status": "stopping"}, 503)
        contracts = [folder / "contract.json" for folder in desk.served.folders.values()]
        if not all(os.path.isfile(file) and os.access(file, os.R_OK) for file in contracts):
            return JSONResponse({"status": "no bundle"}, 503)
        return {"status": "ok"}

    text = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @router.get("/metrics", response_class=Response, responses={**problems(), **text})
    async def metrics():
        """Metrics for Prometheus."""
        content, content_type = desk.metrics.text()
        return Response(content, media_type=content_type)

    return router


def staging_router(desk: Desk) -> APIRouter:
    """Routes for staging: whole nights, and live nights."""
    router = APIRouter()
    linked = {200: {"links": LIVE_LINKS}}

    @router.post(
        "/predict", response_model=responses.PlainPredicted, responses=OF_BODIES, openapi_extra=takes(PlainNight)
    )
    async def predict_plain(request: Request):
        """Stages of one window or of a whole night, from rows by channel; a channel that is not given is missing."""
        return await desk.answer(request, PlainNight, desk.served.predict_plain)

    @router.post(
        "/live",
        response_model=responses.LiveStaged,
        responses={**linked, **problems(408, 409, 410, 413, 415, 422)},
        openapi_extra=takes(LiveStep),
    )
    async def live(request: Request):
        """A step of a live night: opens the night, or continues it from the last answer's token, on any replica."""
        return await desk.step(request)

    @router.websocket("/live")
    async def live_socket(socket: WebSocket):
        await converse(socket, desk)

    return router


def nights_router(desk: Desk) -> APIRouter:
    """Routes for the run's models and nights, and for the page's exports."""
    router = APIRouter(prefix="/api")
    served = desk.served

    @router.get("/bundles", response_model=responses.Bundles, responses=problems())
    async def bundles():
        """The run's models: training data, channels, precisions, operating points, and the rule for unknown stages."""
        return desk.json(bundles_as_json(served))

    @router.get("/nights", response_model=responses.Nights, responses=problems())
    async def nights():
        """The data set's nights. part: how the run used a night; null: not at all."""
        return desk.json(await desk.predictions.run(nights_as_json, served))

    @router.get("/nights/{subject}", response_model=responses.NightWindows, responses=problems(404, 409, 422))
    async def night(subject: str):
        """A night's aligned windows, by channel, with their ends (s), scored stages, coverage, and whether the stage is
        unknown.
        """
        return await desk.predictions.run(lambda: desk.json(served.night(subject)))

    @router.post("/predict", response_model=responses.Predicted, responses=OF_BODIES, openapi_extra=takes(Prediction))
    async def predict(request: Request):
        """Stages, probabilities and coverage of a night as on the watch, with dropped samples and findings."""
        return await desk.answer(request, Prediction, served.predict, NIGHT)

    @router.post(
        "/statistics", response_model=list[responses.Statistic], responses=OF_BODIES, openapi_extra=takes(Hypnogram)
    )
    async def statistics(request: Request):
        """Sleep statistics of a hypnogram (yasa, AASM definitions); null if undefined, such as REM latency without REM.
        Unknown epochs count as time in bed, but as neither sleep nor wake.
        """
        return await desk.answer(request, Hypnogram, lambda body, _: night_statistics(body, served))

    @router.post(
        "/export/{kind}",
        response_model=responses.HealthKit | responses.HealthConnect,
        responses={**OF_BODIES, 200: {"content": EXPORTS}},
        openapi_extra=takes(Export),
    )
    async def export(kind: Literal["edf", "csv", "healthkit", "health_connect"], request: Request):
        """A night as a file. kind: edf (EDF+), csv, healthkit or health_connect (JSON)."""
        return await desk.answer(request, Export, lambda body, _: export_night(kind, body, served), NIGHT)

    return router
