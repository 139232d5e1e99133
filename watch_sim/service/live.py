"""Live staging without sessions: each step brings the night's token, and takes the next one home."""

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
    """Steps of nights under way.

    Attributes:
        served: The run.
        tokens: That carry the nights.
    """

    def __init__(self, served: ServedRun, key: bytes):
        """Begin.

        Args:
            served: The run.
            key: Of the tokens' signatures.
        """
        self.served = served
        self.tokens = Tokens(key, served.digests)

    def step(self, request: LiveStep) -> dict:
        """Feed a night samples and then the clock.

        Returns:
            A LiveStaged, for JSON.

        Raises:
            HTTPException: 409, 410 or 422: the token cannot be gone on from, or what is fed does not fit; nothing is
                lost, as the token before it still holds.
        """
        try:
            if request.token is None:
                return self._step(request, request.open, None)
            night = self.tokens.read(request.token)
            model = Model.model_construct(
                architecture=night.architecture, precision=night.precision, operating_point=night.operating_point
            )
            return self._step(request, model, night)
        except TokenRefused as refused:
            raise refusal(refused.status, "token", refused.message) from None

    def _step(self, request, model, night):
        with self.served.watch(model) as watch:
            if night is None:
                watch.begin(model.start, model.counts, model.operating_point)
            else:
                watch.begin(operating_point=model.operating_point)
                try:
                    watch.resume(night.arrays)
                except Exception:  # signed by us, so of other code than this
                    raise TokenRefused(409, "is of another version of this service") from None
            before = sum_of_dropped(watch)
            epochs = feed(watch, request.samples, request.now)
            answer = staged_as_json(watch, epochs)
            if lost := sum_of_dropped(watch) - before:
                answer["findings"].append(f"{lost} of these {len(request.samples)} samples were dropped; see dropped")
            state = NightUnderWay(model.architecture, model.precision, model.operating_point, watch.state())
            return {**answer, "seconds": watch.options.stride, "token": self.tokens.issue(state)}


def sum_of_dropped(watch: Watch) -> int:
    """How many samples of the night were not taken."""
    return sum(sum(reasons.values()) for reasons in watch.dropped.values())


def feed(watch: Watch, samples: list[Sample], now: float | None) -> list[Epoch]:
    """Feed a watch samples and then the clock, as if one by one.

    Samples of one sensor that follow one another in order and close the same windows are fed at once, which is the same
    to the last bit and far quicker.

    Returns:
        The epochs that they close; HTTP 422 for a time more than a night after the start, and nothing was fed.
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
        tie = abs(strides - round(strides)) < TIE  # which side it is on the watch alone decides
        return sample.sensor, ceil(strides), ordered[0], i if tie else None

    ordered = [0]  # how often time went back so far
    epochs = []
    for (sensor, *_), group in groupby(enumerate(samples), batch):
        fed = [sample for _, sample in group]
        epochs += watch.feed(sensor, [sample.t for sample in fed], [sample.value for sample in fed])
    return epochs + (watch.advance(now) if now is not None else [])
