"""The contract: what a bundle promises, and everything needed to run it in another language.

`Contract` is its one definition. `Contract.of_files` builds it from converted files, `read` reads it from a bundle;
both check its types and whether its parts fit together.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from apps.python.sleep_stager import is_altered
from export.calls import Call, Calls, Digest, Number, Part, Size, states_of
from export.contract_parts import (
    STAGE_CODES,
    ChannelEntry,
    InputGuardRule,
    OperatingPoint,
    Seconds,
    SensorEntry,
    Stage,
    Tolerance,
    TrainingData,
    UnknownRule,
)
from export.gates import GATES
from export.how import HOW
from export.tflite import sha256
from pipeline.activity import GAP_S, HZ
from pipeline.constants import (
    ARCHITECTURES,
    CHANNELS,
    COUNT_S,
    GRACE_S,
    HOUR_S,
    LEAD_S,
    LONGEST_NIGHT_S,
    PRECISIONS,
    PROBABILITIES,
    STAGES,
)
from pipeline.errors import UserMistake
from pipeline.files import as_json, read_json, write_whole
from pipeline.options import Options

FILE = "contract.json"
FORMAT: Literal["wristsleep-contract/1"] = "wristsleep-contract/1"
DIGEST = "digest"
SENSING, ACTIVITY = "sensing.tflite", "activity.tflite"
LONGEST_S = LONGEST_NIGHT_S + LEAD_S  # a time later than this after the start is a mistake
GRID: dict[str, int | float] = {  # the grid of motion that preprocessing takes
    "hz": HZ,
    "missing": CHANNELS["motion_z"].missing,
    "grace_seconds": GRACE_S,
    "gap_seconds": GAP_S,
    "bin_seconds": COUNT_S,
}
WEIGHTS_ROUNDING = 3e-4  # how far the sum of an operating point's weights, written with four digits, may be from 1


class Preprocessing(Calls):
    """Computes the channel of its name from raw motion on an even grid of `hz`."""

    hz: Number = Field(gt=0)
    missing: Number
    grace_seconds: Number = Field(ge=0)
    gap_seconds: Number = Field(gt=0)
    bin_seconds: int = Field(COUNT_S, gt=0)
    call_seconds: Size | None = None  # seconds of motion that a call takes; None: the stride

    @classmethod
    def of_file(cls, path: Path, options: Options) -> "Preprocessing":
        """From the file of the activity call, which takes the motion of one value of the channel."""
        call = Call.of_file(path, ())
        for tensor in (*call.inputs, *call.outputs):
            if tensor.name == "motion":
                tensor.source = "sensor:motion"
            elif tensor.name == "activity":
                tensor.to = "channel:activity"
        states = states_of([call])
        states["newest"].initial = GRID["missing"]
        seconds = {"call_seconds": options.seconds_per_value("activity")}
        return cls.model_validate({"calls": [call], "states": states} | GRID | seconds)


class Precision(Calls):
    """One precision: its calls, the output that holds the probabilities, and its tolerance."""

    probabilities: str
    tolerance: Tolerance


class Contract(Part):
    """contract.json. Fields are in the order in which they are written."""

    format: Literal["wristsleep-contract/1"]
    architecture: Literal[ARCHITECTURES]  # type: ignore[valid-type]
    training_data: TrainingData = TrainingData(nights=0)
    stages: list[Stage]
    seconds: Seconds
    grace_seconds: Number = GRACE_S
    longest_seconds: Number = LONGEST_S
    delay_windows: int = Field(ge=0)
    how: dict[str, str] = Field(default_factory=dict)
    sensors: dict[str, SensorEntry] = Field(default_factory=SensorEntry.all)
    channels: list[ChannelEntry] = Field(min_length=1)
    preprocessing: dict[str, Preprocessing] = Field(default_factory=dict)
    operating_points: dict[str, OperatingPoint] = Field(default_factory=dict)
    unknown: UnknownRule = Field(default_factory=UnknownRule)
    input_guard: InputGuardRule = Field(default_factory=InputGuardRule)
    precisions: dict[Literal[PRECISIONS], Precision] = Field(min_length=1)  # type: ignore[valid-type]
    other_files: dict[str, Digest] = Field(default_factory=dict)  # digests of the bundle's other files; not embedded

    @classmethod
    def of_files(
        cls,
        folder: Path,
        architecture: str,
        options: Options,
        channels: Sequence[str],
        precisions: Iterable[str],
        points: Mapping[str, dict],
        training_data: TrainingData,
    ) -> "Contract":
        """The contract, without digests, of the converted files in a folder.

        Args:
            folder: Holds sensing.tflite, a network per precision and, with an activity channel, activity.tflite.
            architecture: Architecture of the networks.
            options: Options of the run.
            channels: Names of the channels, in order.
            precisions: To include.
            points: {operating point: {"weights": [5]}}.
            training_data: What the networks were trained on.

        Returns:
            The checked contract.
        """
        plans = {}
        for precision in precisions:
            files = (Path(folder) / SENSING, stager_path(folder, architecture, precision))
            calls = [Call.of_file(files[0], channels), Call.of_file(files[1], channels, precision)]
            gate = {name: value for name, value in GATES[precision].items() if name != "abs_dkappa"}
            plans[precision] = Precision(
                calls=calls, states=states_of(calls), probabilities=PROBABILITIES, tolerance=Tolerance(**gate)
            )
        motion = Path(folder) / ACTIVITY
        return cls(
            format=FORMAT,
            architecture=architecture,
            training_data=training_data,
            stages=[Stage(name=n, healthkit=code, health_connect=other) for n, code, other in STAGE_CODES],
            seconds=Seconds(row=options.data_alignment, window=options.window_size, stride=options.stride),
            grace_seconds=GRACE_S,  # set explicitly, as defaults are not written
            longest_seconds=LONGEST_S,
            delay_windows=0,
            how=HOW,
            sensors=SensorEntry.all(),
            channels=[ChannelEntry.of(name, options) for name in channels],
            preprocessing={"activity": Preprocessing.of_file(motion, options)} if motion.exists() else {},
            operating_points={name: OperatingPoint(**point) for name, point in points.items()},
            unknown=UnknownRule(**UnknownRule().model_dump()),
            input_guard=InputGuardRule(**InputGuardRule().model_dump()),
            precisions=plans,
        )

    @classmethod
    def read(cls, folder: Path) -> "Contract":
        """The contract of a bundle; its other files are not checked.

        Raises:
            UserMistake: The contract is missing, altered or invalid; names the file and the field.
        """
        path = Path(folder) / FILE
        try:
            document = read_json(path, "; not a bundle")
            if isinstance(document, dict):
                document.pop(DIGEST, None)  # `text` computes it
            contract = cls.model_validate(document)
            if "preprocessing" not in document:  # without it motion would not be counted
                raise UserMistake(f"{path}: preprocessing: missing")
            for place, call in contract.calls_by_place():
                if call.sha256 is None:
                    raise UserMistake(f"{path}: {place}.sha256: missing")
            if is_altered(path.read_bytes()):
                raise UserMistake(f"{path}: altered; its SHA-256 is not the one at its end")
            return contract
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            what = first["msg"].removeprefix("Value error, ")
            raise UserMistake(f"{path}: {field + ': ' if field else ''}{what}") from None

    @model_validator(mode="after")
    def _fits_together(self):
        options = self._checked_options()
        if [(stage.name, stage.healthkit, stage.health_connect) for stage in self.stages] != STAGE_CODES:
            raise ValueError(f"stages: expected {', '.join(STAGES)} with their codes, in this order")
        if len({channel.name for channel in self.channels}) < len(self.channels):
            raise ValueError("channels: duplicate name")
        for i, channel in enumerate(self.channels):
            expected = ChannelEntry.of(channel.name, options)
            for field in ChannelEntry.model_fields:
                value, constant = getattr(channel, field), getattr(expected, field)
                if value != constant:
                    raise ValueError(f"channels.{i}.{field}: {value!r}, but {channel.name} has {constant!r}")
        self._check_constants()
        for name, point in self.operating_points.items():
            if abs(sum(point.weights) - 1) > WEIGHTS_ROUNDING:
                raise ValueError(f"operating_points.{name}.weights: their sum is {sum(point.weights):g}, not 1")
        channels = {f"channel:{channel.name}": [1, channel.values_per_window] for channel in self.channels}
        for name, preprocessing in self.preprocessing.items():
            stride = self.seconds.stride
            seconds = preprocessing.call_seconds or stride
            if stride % seconds:
                raise ValueError(
                    f"preprocessing.{name}.call_seconds: {seconds}, expected a divisor of the stride, {stride}"
                )
            for field, constant in GRID.items():
                _check_constant(f"preprocessing.{name}.{field}", getattr(preprocessing, field), constant)
            points = int(preprocessing.hz * seconds)
            _check_flow(f"preprocessing.{name}", preprocessing, {"sensor:motion": [1, points, 3]})
            if f"channel:{name}" not in [t.to for call in preprocessing.calls for t in call.outputs]:
                raise ValueError(f"preprocessing.{name}.calls: no output to 'channel:{name}'")
            _check_initial(f"preprocessing.{name}", preprocessing, {"newest": GRID["missing"]})
        for name, plan in self.precisions.items():
            _check_initial(f"precisions.{name}", plan, {})
            shapes = _check_flow(f"precisions.{name}", plan, channels)
            if shapes.get(f"output:{plan.probabilities}") != [1, len(STAGES)]:
                raise ValueError(
                    f"precisions.{name}.probabilities: no output {plan.probabilities!r} of shape [1, {len(STAGES)}]"
                )
        return self

    def _check_constants(self):
        """Check values that the format fixes; the contract repeats them for readers in other languages."""
        _check_constant("grace_seconds", self.grace_seconds, GRACE_S)
        _check_constant("longest_seconds", self.longest_seconds, LONGEST_S)
        for place, rule in (("unknown", UnknownRule()), ("input_guard", InputGuardRule())):
            for field in type(rule).model_fields:
                _check_constant(f"{place}.{field}", getattr(getattr(self, place), field), getattr(rule, field))
        expected = SensorEntry.all()
        _check_constant("sensors", [*self.sensors], [*expected])
        for name, entry in expected.items():
            for field in SensorEntry.model_fields:
                _check_constant(f"sensors.{name}.{field}", getattr(self.sensors[name], field), getattr(entry, field))

    def options(self) -> Options:
        """The options that shape a window."""
        names = tuple(channel.name for channel in self.channels)
        row, window, stride = self.seconds.row, self.seconds.window, self.seconds.stride
        return Options(data_alignment=row, window_size=window, stride=stride, channels=names)

    def _checked_options(self):
        try:
            return self.options()
        except UserMistake as mistake:
            raise ValueError(f"seconds: {mistake.message}") from None

    def plans(self) -> Iterator[tuple[str, Calls]]:
        """(place in the contract, plan) for everything that has calls."""
        yield from ((f"preprocessing.{name}", plan) for name, plan in self.preprocessing.items())
        yield from ((f"precisions.{name}", plan) for name, plan in self.precisions.items())

    def calls_by_place(self) -> Iterator[tuple[str, Call]]:
        """(place in the contract, call) for every call."""
        for place, plan in self.plans():
            for i, call in enumerate(plan.calls):
                yield f"{place}.calls.{i}", call

    def calls(self, precisions: Iterable[str] | None = None) -> list[Call]:
        """The calls of preprocessing and of some precisions, by default all."""
        chosen = [self.precisions[name] for name in precisions or self.precisions]
        return [call for plan in (*self.preprocessing.values(), *chosen) for call in plan.calls]

    def calls_per_hour(self) -> dict[str, int]:
        """{file: calls per hour}: once per window, or for preprocessing once per call_seconds."""
        stride = self.seconds.stride
        counts = {call.file: HOUR_S // stride for call in self.calls()}
        for plan in self.preprocessing.values():
            counts |= {call.file: HOUR_S // (plan.call_seconds or stride) for call in plan.calls}
        return counts

    def files(self) -> dict[str, Call]:
        """{file: one of its calls}, in the order in which they are called."""
        return {call.file: call for call in self.calls()}

    def document(self, digests: bool = True) -> dict:
        """As plain JSON values. digests: False for the embedded copy, as a file cannot hold its own digest."""
        plans = {"__all__": {"calls": {"__all__": {"sha256"}}}}
        without: dict[str, Any] = {} if digests else {"preprocessing": plans, "precisions": plans}
        if not digests or not self.other_files:
            without["other_files"] = True
        return self.model_dump(by_alias=True, exclude_unset=True, mode="json", exclude=without)

    def with_digests(self, folder: Path) -> "Contract":
        """A copy with the digests of the calls' files in a folder."""
        copy = self.model_copy(deep=True)
        for call in copy.calls():
            call.sha256 = sha256(Path(folder) / call.file)
        return copy

    def text(self) -> str:
        """contract.json. Its last field is the SHA-256 of the text that has 64 zeros in its place."""
        zeros = "0" * 64
        before, _, after = as_json(self.document() | {DIGEST: zeros}).rpartition(zeros)
        return before + hashlib.sha256(f"{before}{zeros}{after}".encode()).hexdigest() + after

    def write(self, folder: Path) -> None:
        """Write contract.json into a folder."""
        write_whole(Path(folder) / FILE, self.text())


def stager_path(folder: Path, architecture: str, precision: str) -> Path:
    """Path of a bundle's network in one precision."""
    return Path(folder) / f"{architecture}.{precision}.tflite"


def _check_constant(place: str, value: Any, constant: Any) -> None:
    """Raise ValueError if a value that the format fixes differs."""
    if value != constant:
        raise ValueError(f"{place}: {value!r}, expected {constant!r}")


def _check_initial(place: str, plan: Calls, others: Mapping[str, Number]) -> None:
    """Raise ValueError if a state does not start at its value in `others`, or else at 0."""
    for name, state in plan.states.items():
        _check_constant(f"{place}.states.{name}.initial", state.initial, others.get(name, 0))


def _check_flow(place: str, plan: Calls, shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    """`Calls.check_flow`, with the plan's place in the contract added to the message."""
    try:
        return plan.check_flow(shapes)
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None
