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


def opened(folder, call):
    """Signature runner of one call, once the file proves to be the one that the contract describes."""
    content = (folder / call["file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != call["sha256"]:
        raise ValueError(f"{call['file']}: digest differs")
    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner(call["signature"])
    for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details())):
        there = {name: (list(d["shape"]), np.dtype(d["dtype"]).name) for name, d in details.items()}
        if there != {tensor["name"]: (tensor["shape"], tensor["dtype"]) for tensor in call[side]}:
            raise ValueError(f"{call['file']}: {side} are {there}")
    return runner


def replayed(folder, contract, precision, windows):
    """[windows, stages] probabilities of a night."""
    plan = contract["precisions"][precision]
    runners = [opened(folder, call) for call in plan["calls"]]
    known = {}
    for name, state in plan["states"].items():
        known[f"state:{name}"] = np.broadcast_to(np.asarray(state["initial"], state["dtype"]), state["shape"])
    said = []
    for window in windows:
        for channel in contract["channels"]:
            known[f"channel:{channel['name']}"] = np.asarray(window[channel["name"]])[None]
        after = {}
        for call, runner in zip(plan["calls"], runners, strict=True):
            inputs = {t["name"]: known[t["from"]].astype(t["dtype"]) for t in call["inputs"]}
            for tensor in call["inputs"]:
                if list(inputs[tensor["name"]].shape) != tensor["shape"]:
                    raise ValueError(f"{tensor['name']}: shape {inputs[tensor['name']].shape}")
            outputs = runner(**inputs)
            known |= {f"output:{name}": x.copy() for name, x in outputs.items()}
            after |= {t["to"]: known[f"output:{t['name']}"] for t in call["outputs"] if "to" in t}
        known |= after
        said.append(known[f"output:{plan['probabilities']}"][0])
    return np.array(said)


def kept_to(tolerance, wanted, said):
    """(do these probabilities keep to the tolerance, the figures in words)"""
    apart, rows, a, b = np.abs(said - wanted), np.arange(len(wanted)), wanted.argmax(1), said.argmax(1)
    same = np.mean((a == b) | (wanted[rows, a] - wanted[rows, b] < tolerance.get("tie", 0)))
    p99, most = np.percentile(apart, 99), apart.max()
    kept = p99 <= tolerance["p99_abs_dp"] and same >= tolerance["same_stage"]
    kept = kept and most <= tolerance.get("max_abs_dp", 1)
    return kept, f"{len(said)} windows, p99 {p99:.1e}, max {most:.1e}, same stage {same:.2%}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--precision", help="by comma; all by default")
    asked = parser.parse_args()
    contract = json.loads((asked.bundle / "contract.json").read_text())
    windows = json.loads((asked.bundle / "golden.json").read_text())["windows"]
    failed = False
    for precision in asked.precision.split(",") if asked.precision else contract["precisions"]:
        plan = contract["precisions"].get(precision)
        try:
            wanted = np.array([window[plan["probabilities"]] for window in windows])
            kept, words = kept_to(plan["tolerance"], wanted, replayed(asked.bundle, contract, precision, windows))
        except (KeyError, TypeError, ValueError) as error:
            kept, words = False, repr(error)
        print(f"{precision}: {words}: {'pass' if kept else 'FAIL'}")
        failed |= not kept
    sys.exit(failed)


if __name__ == "__main__":
    main()
