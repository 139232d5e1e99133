"""From a request to its answer: reads a bounded body, checks it, works on it in a bounded pool, answers in JSON."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from fastapi import HTTPException, Request, Response
from pydantic import BaseModel, ValidationError

from watch_sim.service.live import LiveNights
from watch_sim.service.metrics import Metrics
from watch_sim.service.requests import MOST_LIVE_SAMPLES, LiveStep
from watch_sim.service.run import NotLoaded, ServedRun
from watch_sim.service.settings import Settings
from watch_sim.service.tokens import NightUnderWay
from watch_sim.service.work import Bodies, Deadline, Life, Pool, Shape

MOST_ERRORS = 20  # errors listed in an answer
BRIEF_STEP = 2**14  # bytes: a token and about 200 samples
BRIEF_WINDOWS = 10
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
            return self.json(await self.stage(body, partial(checked, LiveStep)))

    async def stage(self, body: bytes, read: Callable[[bytes], LiveStep]) -> dict:
        """Run a live step.

        A brief one runs at once on the event loop: handing it to a thread costs as much as the step itself, as both
        threads then compete for the interpreter. One with many samples must not delay small ones.

        Args:
            body: The step's text.
            read: Checks it.
        """
        if len(body) > BRIEF_STEP:
            pool = self.steps if len(body) <= SMALL_STEP else self.predictions
            return await pool.run(lambda: self.take(*self.begin(read(body))))
        async with self.steps.turn():
            step, night = self.begin(read(body))
            if self.live.windows(step, night) <= BRIEF_WINDOWS:
                with suppress(NotLoaded):  # loading would block the event loop
                    return self.take(step, night, load=False)
        return await self.steps.run(self.take, step, night)

    def begin(self, step: LiveStep) -> tuple[LiveStep, NightUnderWay | None]:
        """A live step with the night of its token."""
        with self.tokens_counted():
            return step, self.live.night(step)

    def take(self, step: LiveStep, night: NightUnderWay | None, load: bool = True) -> dict:
        """Run a live step and count its epochs in the metrics; arguments and errors as of LiveNights.step."""
        with self.tokens_counted():
            answer = self.live.step(step, night, load)
        self.metrics.epochs.inc(len(answer["epochs"]))
        return answer

    @contextmanager
    def tokens_counted(self) -> Iterator[None]:
        """Context manager that counts a refused token in the metrics."""
        try:
            yield
        except HTTPException as refused:
            if refused.detail[0]["field"] == "token":
                self.metrics.refused.labels(str(refused.status_code)).inc()
            raise

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
