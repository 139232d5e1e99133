"""What app code needs of a contract, as plain data that is the same in every language."""

import numpy as np

from export.calls import Calls
from export.contract import Contract
from pipeline.activity import GAP_S, HZ
from pipeline.align import CHANNELS_OF_SENSOR, REASONS
from pipeline.constants import CHANNELS, COUNT_S, GRACE_S, LEAD_S, LONGEST_NIGHT_S
from pipeline.guard import STANDARD_GRAVITY

NO_CALLS: dict = {"calls": [], "states": {}}


def app_constants(contract: Contract) -> dict:
    """The constants of app code.

    Args:
        contract: With digests.

    Returns:
        Dicts and lists with the names of contract.json, and "sensors" {name: {"range", "value", "channels"}}.
        "activity" has no calls where the contract has no preprocessing.

    Raises:
        ValueError: A tensor is not float32.
    """
    document = contract.document()
    motion = {"hz": HZ, "missing": CHANNELS["motion_z"].missing, "grace_seconds": GRACE_S, "gap_seconds": GAP_S}
    preprocessing = contract.preprocessing.get("activity")
    if preprocessing:
        motion = {name: getattr(preprocessing, name) for name in motion}
    calls = calls_and_states(preprocessing) if preprocessing else NO_CALLS
    sensors = {}
    for sensor, names in CHANNELS_OF_SENSOR.items():
        channel = CHANNELS[names[0]]
        value = "sum" if channel.bins else "mean"
        sensors[sensor] = {"range": [channel.low, channel.high], "value": value, "channels": list(names)}
    return {
        "architecture": contract.architecture,
        "stages": document["stages"],
        "seconds": document["seconds"],
        "grace_seconds": GRACE_S,
        "longest_seconds": LONGEST_NIGHT_S + LEAD_S,
        "sensors": sensors,
        "channels": document["channels"],
        "operating_points": document.get("operating_points", {}),
        "unknown": contract.unknown.model_dump(),
        "input_guard": contract.input_guard.model_dump() | {"standard_gravity": STANDARD_GRAVITY},
        "reasons": list(REASONS),
        "activity": motion | {"bin_seconds": COUNT_S} | calls,
        "precisions": {
            name: calls_and_states(plan) | {"probabilities": plan.probabilities}
            for name, plan in contract.precisions.items()
        },
    }


def calls_and_states(plan: Calls) -> dict:
    """The calls and states of a plan. A state's initial values are a flat list, of one number if all are alike."""
    for call in plan.calls:
        for side in ("inputs", "outputs"):
            if any(tensor.dtype != "float32" for tensor in getattr(call, side)):
                raise ValueError(f"{call.file}: {side} are not all float32, which app code is written for")
    calls = plan.model_dump(by_alias=True, exclude_unset=True)["calls"]
    tensors = [tensor for call in calls for tensor in (*call["inputs"], *call["outputs"])]
    for tensor in tensors:
        del tensor["dtype"]
    states = {
        name: {"shape": state.shape, "initial": np.ravel(state.initial).tolist()} for name, state in plan.states.items()
    }
    return {"calls": calls, "states": states}
