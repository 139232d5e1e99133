"""Runs a bundle in the TFLite runtime of whichever Python runs this file: python calls.py BUNDLE MOTION.npy OUT.npz

Writes what it says: `golden.<precision>` probabilities [windows, 5] of the golden night and `degraded.<precision>` of
the same as a worse watch would have given it, or `error.<precision>` the reason why there are none;
`activity.<output>` [calls, ...] of the activity call for MOTION [calls, points, 3].
Only numpy and ai-edge-litert, tflite-runtime or tflite-micro are needed.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

if find_spec("tflite_micro"):
    import micro

    sys.modules["ai_edge_litert"] = sys.modules["ai_edge_litert.interpreter"] = micro
elif find_spec("ai_edge_litert") is None:  # the same classes by their old name
    import tflite_runtime.interpreter

    sys.modules["ai_edge_litert"] = tflite_runtime
    sys.modules["ai_edge_litert.interpreter"] = tflite_runtime.interpreter
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "export"))
from replay import open_call, replayed

HOLE = 20  # windows
HOLES, NOISE_BPM, STILL = 0.3, 3.0, slice(240, 360)  # share of windows without heart rate; without movement


def degraded(contract, windows):
    """Windows with noisy heart rate, holes in it, and an hour without movement."""
    rng, worse = np.random.default_rng(0), [dict(window) for window in windows]
    lost = np.repeat(rng.random(len(windows) // HOLE + 1) < HOLES, HOLE)
    for channel in contract["channels"]:
        name, missing, (low, high) = channel["name"], channel["missing"], channel["range"]
        for i, window in enumerate(worse):
            x = np.asarray(window[name], np.float32)
            if name == "heart_rate":
                noisy = np.clip(x + rng.normal(0, NOISE_BPM, x.shape), low, high)
                x = np.where(lost[i] | (x == missing), missing, noisy)
            elif i in range(len(worse))[STILL]:
                x = np.full_like(x, missing)
            window[name] = x.astype(np.float32)
    return worse


def activity(bundle, plan, strides):
    """{output: [calls, ...]} of the activity call."""
    (call,) = plan["calls"]
    runner = open_call(bundle, call)
    tensors = {f"state:{name}": np.full(s["shape"], s["initial"], s["dtype"]) for name, s in plan["states"].items()}
    steps = []
    for stride in strides:
        tensors["sensor:motion"] = stride[None]
        steps.append(
            {k: x.copy() for k, x in runner(**{t["name"]: tensors[t["from"]] for t in call["inputs"]}).items()}
        )
        tensors |= {t["to"]: steps[-1][t["name"]] for t in call["outputs"] if "to" in t}
    return {name: np.concatenate([outputs[name] for outputs in steps]) for name in steps[0]}


def main(bundle, motion, out):
    bundle = Path(bundle)
    contract = json.loads((bundle / "contract.json").read_text())
    windows = json.loads((bundle / "golden.json").read_text())["windows"]
    results = {}
    for precision in contract["precisions"]:
        try:
            results[f"golden.{precision}"] = replayed(bundle, contract, precision, windows)
            results[f"degraded.{precision}"] = replayed(bundle, contract, precision, degraded(contract, windows))
        except (RuntimeError, ValueError) as error:
            results[f"error.{precision}"] = np.array(str(error))
    plan = contract.get("preprocessing", {}).get("activity")
    if plan:
        outputs = activity(bundle, plan, np.load(motion))
        results |= {f"activity.{name}": x for name, x in outputs.items()}
    np.savez(out, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
