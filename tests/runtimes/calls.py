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
from replay import opened, replayed


def activity(bundle, plan, strides):
    """{output: [strides, ...]} of the activity call."""
    (call,) = plan["calls"]
    runner = opened(bundle, call)
    known = {f"state:{name}": np.full(s["shape"], s["initial"], s["dtype"]) for name, s in plan["states"].items()}
    said = []
    for stride in strides:
        known["sensor:motion"] = stride[None]
        said.append({k: x.copy() for k, x in runner(**{t["name"]: known[t["from"]] for t in call["inputs"]}).items()})
        known |= {t["to"]: said[-1][t["name"]] for t in call["outputs"] if "to" in t}
    return {name: np.concatenate([each[name] for each in said]) for name in said[0]}


def main(bundle, motion, out):
    bundle = Path(bundle)
    contract = json.loads((bundle / "contract.json").read_text())
    windows = json.loads((bundle / "golden.json").read_text())["windows"]
    said = {}
    for precision in contract["precisions"]:
        try:
            said[f"golden.{precision}"] = replayed(bundle, contract, precision, windows)
        except (RuntimeError, ValueError) as error:
            said[f"error.{precision}"] = np.array(str(error))
    plan = contract.get("preprocessing", {}).get("activity")
    if plan:
        made = activity(bundle, plan, np.load(motion))
        said |= {f"activity.{name}": x for name, x in made.items()}
    np.savez(out, **said)


if __name__ == "__main__":
    main(*sys.argv[1:])
