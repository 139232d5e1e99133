"""Runs a bundle in the TFLite runtime of whichever Python runs this file: python calls.py BUNDLE MOTION.npy OUT.npz

Writes what it says: `golden.<precision>` probabilities [windows, 5] of the golden night, or `error.<precision>` the
reason why there are none; `activity.<output>` [strides, ...] of the activity call for MOTION [strides, points, 3].
Only numpy and ai-edge-litert or tflite-runtime are needed.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

if find_spec("ai_edge_litert") is None:  # the same classes by their old name
    import tflite_runtime.interpreter

    sys.modules["ai_edge_litert"] = tflite_runtime
    sys.modules["ai_edge_litert.interpreter"] = tflite_runtime.interpreter
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "export"))
from replay import open_call, replayed


def activity(bundle, plan, strides):
    """{output: [strides, ...]} of the activity call."""
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
        except (RuntimeError, ValueError) as error:
            results[f"error.{precision}"] = np.array(str(error))
    plan = contract.get("preprocessing", {}).get("activity")
    if plan:
        outputs = activity(bundle, plan, np.load(motion))
        results |= {f"activity.{name}": x for name, x in outputs.items()}
    np.savez(out, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
