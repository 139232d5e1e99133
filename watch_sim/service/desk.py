"""From a request to its answer: reads a bounded body, checks it, works on it in a bounded pool, answers in JSON."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fastapi import HTTPException, Request, Response
from pydantic import BaseModel, ValidationError

from watch_sim.service.live import LiveNights
from watch_sim.service.metrics import Metrics
from watch_sim.service.requests import MOST_LIVE_SAMPLES, LiveStep
from watch_sim.service.run import ServedRun
from watch_sim.service.settings import Settings
from watch_sim.service.work import Bodies, Deadline, Life, Pool, Shape

MOST_ERRORS = 20  # errors listed in an answer
SMALL_STEP = 2**17  # bytes: a token and about 2,000 samples
PLAIN = Shape()
LIVE = Shape(most=2**22, names=4 * MOST_LIVE_SAMPLES)  # a step with its token; a sample has three names
NIGHT = Shape(nested=800_000, values=3_200_000)  # motion has a list per sample

B = TypeVar("B", bound=BaseModel)


class Desk:
    """State shared by the routes of one app.

    Attributes:
        served: The run.
        live: Nights in progress.
        metrics: The app's metrics.
        bodies: Reads request bodies.
        predictions: Pool for whole nights.
        steps: Pool for live steps.
        sockets: Number of open WebSockets.
    """

    def __init__(self, settings: Settings, metrics: Metrics, life: Life):
        """Open the run. Raises UserMistake as ServedRun does."""
        self.served = ServedRun(settings.run, settings.dataset_dir)
        self.live = LiveNights(self.served, settings.key)
        self.metrics = metrics
        self.bodies = Bodies(life)
        self.predictions = Pool("predictions", *settings.predictions)
        self.steps = Pool("steps", *settings.steps)
        self.sockets = 0

    def close(self) -> None:
        """Shut the pools down."""
        self.predictions.close()
        self.steps.close()

    async def answer(
        self, request: Request, form: type[B], work: Callable[[B, Deadline], Any], shape: Shape = PLAIN
    ) -> Response:
        """Check a body against a form and answer with the work's result, as JSON unless it is a Response."""
        deadline = Deadline(self.predictions)

        def answer(body: bytes) -> Response:
            given = work(checked(form, body), deadline)
            return given if isinstance(given, Response) else self.json(given)

        async with self.bodies.read(request, shape) as body:
            return await self.predictions.run(answer, body)

    async def step(self, request: Request) -> Response:
        """The answer to a live step."""
        async with self.bodies.read(request, LIVE) as body:
            return self.json(await self.pool_of(body).run(self.take, body))

    def pool_of(self, body: bytes) -> Pool:
        """The pool for a live step; a step with many samples must not delay small ones."""
        return self.steps if len(body) <= SMALL_STEP else self.predictions

    def take(self, body: bytes | LiveStep) -> dict:
        """Run a live step and count it in the metrics."""
        step = checked(LiveStep, body) if isinstance(body, bytes) else body
        try:
            answer = self.live.step(step)
        except HTTPException as refused:
            if refused.detail[0]["field"] == "token":
                self.metrics.refused.labels(str(refused.status_code)).inc()
            raise
        self.metrics.epochs.inc(len(answer["epochs"]))
        return answer

    @staticmethod
    def json(value: Any) -> Response:
        """A JSON response."""
        content = json.dumps(value, allow_nan=False, separators=(",", ":"))
        return Response(content, media_type="application/json")


def checked(form: type[B], body: bytes) -> B:
    """A body as an instance of a form; HTTP 422 with fields if it is invalid."""
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        findings = error.errors(include_url=False, include_context=False, include_input=False)
    raise HTTPException(422, findings_of(findings))


def findings_of(errors: Sequence[dict], skip: int = 0) -> list[dict[str, str]]:
    """Pydantic's errors as fields and messages, without the values themselves.

    Args:
        errors: Pydantic's errors.
        skip: Leading parts of each location to leave out.
    """
    found = []
    for finding in errors[:MOST_ERRORS]:
        path = [] if finding["type"] == "json_invalid" else finding["loc"][skip:]
        field = ascii(".".join(map(str, path)))[1:-1]  # a lone surrogate cannot be encoded in the answer
        found.append({"field": field[:200] or "body", "message": finding["msg"].removeprefix("Value error, ")[:300]})
    return found
