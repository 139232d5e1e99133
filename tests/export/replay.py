"""Replays a bundle's golden night by its contract.json alone: python replay.py BUNDLE_DIR [--precision int8,float32]

It stands for a developer who has the bundle and nothing else: numpy and the TFLite runtime, no code of this project.
Exit code 0 where every precision keeps to the contract's tolerance, else 1.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def open_call(folder, call):
    """Signature runner of one call, once the file proves to be the one that the contract describes."""
    content = (folder / call["file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != call["sha256"]:
        raise ValueError(f"{call['file']}: digest differs")
    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner(call["signature"])
    for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details())):
        details_by_name = {name: (list(d["shape"]), np.dtype(d["dtype"]).name) for name, d in details.items()}
        if details_by_name != {tensor["name"]: (tensor["shape"], tensor["dtype"]) for tensor in call[side]}:
            raise ValueError(f"{call['file']}: {side} are {details_by_name}")
    return runner


def replayed(folder, contract, precision, windows):
    """[windows, stages] probabilities of a night."""
    plan = contract["precisions"][precision]
    runners = [open_call(folder, call) for call in plan["calls"]]
    tensors = {}
    for name, state in plan["states"].items():
        tensors[f"state:{name}"] = np.broadcast_to(np.asarray(state["initial"], state["dtype"]), state["shape"])
    probabilities = []
    for window in windows:
        for channel in contract["channels"]:
            tensors[f"channel:{channel['name']}"] = np.asarray(window[channel["name"]])[None]
        after = {}
        for call, runner in zip(plan["calls"], runners, strict=True):
            inputs = {t["name"]: tensors[t["from"]].astype(t["dtype"]) for t in call["inputs"]}
            for tensor in call["inputs"]:
                if list(inputs[tensor["name"]].shape) != tensor["shape"]:
                    raise ValueError(f"{tensor['name']}: shape {inputs[tensor['name']].shape}")
            outputs = runner(**inputs)
            tensors |= {f"output:{name}": x.copy() for name, x in outputs.items()}
            after |= {t["to"]: tensors[f"output:{t['name']}"] for t in call["outputs"] if "to" in t}
        tensors |= after
        probabilities.append(tensors[f"output:{plan['probabilities']}"][0])
    return np.array(probabilities)


def within_tolerance(tolerance, expected, actual):
    """(do these probabilities keep to the tolerance, the figures in words)"""
    apart, rows, a, b = np.abs(actual - expected), np.arange(len(expected)), expected.argmax(1), actual.argmax(1)
    same = np.mean((a == b) | (expected[rows, a] - expected[rows, b] < tolerance.get("tie", 0)))
    p99, most = np.percentile(apart, 99), apart.max()
    passed = p99 <= tolerance["p99_abs_dp"] and same >= tolerance["same_stage"]
    passed = passed and most <= tolerance.get("max_abs_dp", 1)
    return passed, f"{len(actual)} windows, p99 {p99:.1e}, max {most:.1e}, same stage {same:.2%}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--precision", help="by comma; all by default")
    arguments = parser.parse_args()
    contract = json.loads((arguments.bundle / "contract.json").read_text())
    windows = json.loads((arguments.bundle / "golden.json").read_text())["windows"]
    failed = False
    for precision in arguments.precision.split(",") if arguments.precision else contract["precisions"]:
        plan = contract["precisions"].get(precision)
        try:
            expected = np.array([window[plan["probabilities"]] for window in windows])
            passed, figures = within_tolerance(
                plan["tolerance"], expected, replayed(arguments.bundle, contract, precision, windows)
            )
        except (KeyError, TypeError, ValueError) as error:
            passed, figures = False, repr(error)
        print(f"{precision}: {figures}: {'pass' if passed else 'FAIL'}")
        failed |= not passed
    sys.exit(failed)


if __name__ == "__main__":
    main()
