"""Live staging without sessions: each request sends the night's token and gets the next one back."""

from itertools import groupby
from math import ceil

from pipeline.constants import GRACE_S, LEAD_S, LONGEST_NIGHT_S
from watch_sim.service.refusals import refusal, unprocessable
from watch_sim.service.requests import LiveStep, Model, Sample
from watch_sim.service.run import ServedRun, staged_as_json
from watch_sim.service.tokens import NightUnderWay, TokenRefused, Tokens
from watch_sim.watch import Epoch, Watch

TIE = 1e-6  # strides


class LiveNights:
    """Steps of nights in progress.

    Attributes:
        served: The run.
        tokens: Issues and reads the tokens that carry the nights.
    """

    def __init__(self, served: ServedRun, key: bytes):
        """Create it.

        Args:
            served: The run.
            key: Key that signs the tokens.
        """
        self.served = served
        self.tokens = Tokens(key, served.digests)

    def night(self, request: LiveStep) -> NightUnderWay | None:
        """The night of a step's token; None if the step opens one.

        Raises:
            HTTPException: 409, 410 or 422: the token cannot be continued from.
        """
        try:
            return None if request.token is None else self.tokens.read(request.token)
        except TokenRefused as refused:
            raise refusal(refused.status, "token", refused.message) from None

    def windows(self, request: LiveStep, night: NightUnderWay | None) -> float:
        """About how many windows a step closes."""
        start = request.open.start if night is None else night.arrays["aligner.start"]
        closed = 0 if night is None else night.arrays["aligner.closed"]
        last = max((sample.t for sample in request.samples), default=start)
        last = last if request.now is None else max(last, request.now)
        return (last - start) / self.served.options.stride - closed

    def step(self, request: LiveStep, night: NightUnderWay | None, load: bool = True) -> dict:
        """Feed samples to a night and then advance its clock.

        Args:
            request: The step.
            night: Its night from `night`.
            load: Whether to load the model if none is idle.

        Returns:
            A LiveStaged, for JSON.

        Raises:
            HTTPException: 409, 410 or 422: the token cannot be continued from, or the samples are invalid. Nothing is
                lost, as the previous token is still valid.
            NotLoaded: No model is idle, and none may be loaded; nothing was done.
        """
        try:
            if night is None:
                return self._step(request, request.open, None, load)
            model = Model.model_construct(
                architecture=night.architecture, precision=night.precision, operating_point=night.operating_point
            )
            return self._step(request, model, night, load)
        except TokenRefused as refused:
            raise refusal(refused.status, "token", refused.message) from None

    def _step(self, request, model, night, load):
        with self.served.watch(model, load) as watch:
            if night is None:
                watch.begin(model.start, model.counts, model.operating_point)
            else:
                watch.weigh_for(model.operating_point)
                try:
                    watch.resume(night.arrays, signed=True)
                except Exception:  # signed by us, so it comes from another version
                    raise TokenRefused(409, "is from another version of this service") from None
            before = sum_of_dropped(watch)
            epochs = feed(watch, request.samples, request.now)
            answer = staged_as_json(watch, epochs)
            if lost := sum_of_dropped(watch) - before:
                answer["findings"].append(f"{lost} of these {len(request.samples)} samples were dropped; see dropped")
            state = NightUnderWay(model.architecture, model.precision, model.operating_point, watch.state())
            return {**answer, "seconds": watch.options.stride, "token": self.tokens.issue(state)}


def sum_of_dropped(watch: Watch) -> int:
    """Number of samples of the night that were not used."""
    return sum(sum(reasons.values()) for reasons in watch.dropped.values())


def feed(watch: Watch, samples: list[Sample], now: float | None) -> list[Epoch]:
    """Feed samples to a watch as if one by one, and then advance its clock.

    Consecutive samples of one sensor that are in order and close the same windows are fed at once, with bit-identical
    results and much faster.

    Returns:
        The epochs that they close.

    Raises:
        HTTPException: 422 if a time is more than a night after the start; nothing was fed.
    """
    start, stride = watch.aligner.start, watch.options.stride
    last = max([sample.t for sample in samples], default=start)
    for field, t in (("samples", last), ("now", start if now is None else now)):
        if t - start > LONGEST_NIGHT_S + LEAD_S:
            raise unprocessable(field, f"t={t:g} s is more than a night after the start, {start:g} s")

    def batch(numbered):
        i, sample = numbered
        ordered[0] += i > 0 and sample.t < samples[i - 1].t
        strides = (max(sample.t, start - stride) - start - GRACE_S) / stride
        tie = abs(strides - round(strides)) < TIE  # fed alone, so that the watch decides which window it is in
        return sample.sensor, ceil(strides), ordered[0], i if tie else None

    ordered = [0]  # how often time has gone back so far
    epochs = []
    for (sensor, *_), group in groupby(enumerate(samples), batch):
        fed = [sample for _, sample in group]
        epochs += watch.feed(sensor, [sample.t for sample in fed], [sample.value for sample in fed])
    return epochs + (watch.advance(now) if now is not None else [])
