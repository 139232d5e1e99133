"""report.json and report.md of a bundle: what its files cost, and how good they are on held-out nights."""

import shutil
from pathlib import Path

import numpy as np

from evaluation import plots
from evaluation.metrics import VIEWS, calibration, confusion, scores
from evaluation.report import plain
from export.card import card
from export.contract import every_call, stager_path
from export.graph import facts
from export.latency import latencies
from export.markdown import markdown, scored_in
from pipeline.files import read_hparams, read_json, write_json, write_whole
from pipeline.options import HOUR_S, PRECISIONS

MEASURED = "measured.json"  # of a run: its parity.json as the training ended; later checks may be of other nights
KEPT = ("accuracy", "kappa", "macro_f1", "majority_accuracy", "recall", "precision")
PUBLISHED = {
    "name": "Ambiq sleepKIT, SS-5-TCN-SM",
    "source": "https://ambiqai.github.io/sleepkit/zoo/stage",
    "data": "MESA, photoplethysmography and motion of the wrist, frames of 2 hours",
    "parameters": 28_000,
    "flop_per_hour": 4.6e6,
    "arena_bytes": 50_000,
    "accuracy": 0.684,
    "average_precision": 0.741,
    "ms_per_hour": 172,
    "mj_per_hour": 1.65,
    "hardware": "Apollo4 Plus",
}
SLEEP_ACCEL = {  # subjects of PhysioNet sleep-accel 1.0.0
    "46343", "759667", "781756", "844359", "1066528", "1360686", "1449548", "1455390", "1818471", "2598705", "2638030",
    "3509524", "3997827", "4018081", "4314139", "4426783", "5132496", "5383425", "5498603", "5797046", "6220552",
    "7749105", "8000685", "8173033", "8258170", "8530312", "8686948", "8692923", "9106476", "9618981", "9961348",
}  # fmt: skip


def figures(nights, said):
    """How good probabilities are: of measured.json, one file's. nights: of pipeline.align; said: [windows, 5] of each.

    Returns {"windows", "scored", "views": {"5": {name of KEPT}, ...}, "confusion": {"5": counts, ...}, "calibration"};
    of nights without a score the first two only.
    """
    stages, p = np.concatenate([night.stages for night in nights]), np.concatenate(said)
    out = {"windows": len(stages), "scored": int((stages >= 0).sum())}
    if out["scored"] and np.isfinite(p).all():
        views = scores(stages, p)
        out["views"] = {view: {name: views[view][name] for name in KEPT} for view in VIEWS}
        out["confusion"] = {view: confusion(stages, p, view) for view in VIEWS}
        out["calibration"] = calibration(stages, p)
    return plain(out)


def measured(bundle, plan, nights, said):
    """What measured.json keeps of one precision: `figures`, and of which files (their digests without the contract).

    plan: the contract's entry of the precision.
    """
    return figures(nights, said) | {"files": digests(bundle, plan)}


def digests(bundle, plan):
    """{file: SHA-256 without the embedded contract} of a precision's calls."""
    names = [call["file"] for call in plan["calls"]]
    return {name: facts((Path(bundle) / name).read_bytes())["lean_sha256"] for name in names}


def write_report(bundle, run):
    """Write report.json, report.md, MODEL_CARD.md and their plots into a bundle, from it and its run's folder alone.

    Figures are left out, and the report says so, where measured.json lacks them or has them of other files.
    """
    bundle, run = Path(bundle), Path(run)
    document = document_of(bundle, run)
    drawn = draw(bundle, run, document)
    write_json(bundle / "report.json", document)
    write_whole(bundle / "report.md", markdown(document, drawn))
    write_whole(bundle / "MODEL_CARD.md", card(document, drawn, run))


def document_of(bundle, run):
    """What report.json holds."""
    contract = read_json(bundle / "contract.json", ": no bundle here")
    architecture, calls = contract["architecture"], {call["file"]: call for call in every_call(contract)}
    taken = latencies(bundle, {name: call["signature"] for name, call in calls.items()})
    files = {name: facts((bundle / name).read_bytes()) | {"latency_us": taken[name]} for name in calls}
    hour = HOUR_S // contract["seconds"]["stride"]
    for each in files.values():
        each |= {f"{key}_per_hour": each[key] * hour for key in ("macs", "multiplications")}
    parity = read_json(run / MEASURED) if (run / MEASURED).exists() else {"models": []}
    rows = {row["precision"]: row for row in parity["models"] if row["architecture"] == architecture}
    plans = contract["precisions"]
    precisions = {
        name: entry(plan, stager_path("", architecture, name).name, files, rows.get(name))
        for name, plan in plans.items()
    }
    known = [row["measured"] for row in rows.values() if "measured" in row]
    return {
        "format": "wristsleep-report/1",
        "architecture": architecture,
        "data": data(run),
        "held_out": {"nights": parity.get("nights", [])}
        | ({k: known[0][k] for k in ("windows", "scored")} if known else {}),
        "channels": [channel["name"] for channel in contract["channels"]],
        "stride_seconds": contract["seconds"]["stride"],
        "windows_per_hour": hour,
        "precisions": precisions,
        "rejected": [name for name in PRECISIONS if name in rows and name not in plans],
        "preprocessing": [c["file"] for plan in contract.get("preprocessing", {}).values() for c in plan["calls"]],
        "files": files,
        "published": PUBLISHED,
    }


def entry(plan, network, files, row):
    """What the report says of one precision. network: its file. row: of measured.json, or None."""
    own = [files[call["file"]] for call in plan["calls"]]
    out = {name: sum(each[name] for each in own) for name in ("bytes", "lean_bytes", "macs", "multiplications")}
    out |= {f"{name}_per_hour": sum(each[f"{name}_per_hour"] for each in own) for name in ("macs", "multiplications")}
    out |= {"calls": [call["file"] for call in plan["calls"]], "parameters": files[network]["parameters"]}
    out["operations"] = sum(sum(each["operations"].values()) for each in own)
    out["arena_bytes"] = max(each["arena_bytes"] for each in own)  # the calls take turns
    out["step_us"] = sum(each["latency_us"]["median"] for each in own)
    now = {call["file"]: files[call["file"]]["lean_sha256"] for call in plan["calls"]}
    if not row or "measured" not in row:
        return out | {"figures": None, "why_none": "no parity check of this run measured it"}
    if row["measured"]["files"] != now:
        return out | {"figures": None, "why_none": "the file was built anew and differs from the one measured"}
    agreement = {name: row[name] for name in ("p99_abs_dp", "max_abs_dp", "same_stage", "abs_dkappa")}
    return out | {"figures": row["measured"], "agreement": agreement}


def data(run):
    """{"origin": "synthetic", "sleep-accel" or "other", "splits": {part: subjects}} of a run's nights."""
    hparams, _ = read_hparams(run)
    splits = read_json(run / "splits.json")
    if hparams.get("synthetic"):
        origin = "synthetic"
    else:
        origin = "sleep-accel" if all(SLEEP_ACCEL.issuperset(part) for part in splits.values()) else "other"
    return {"origin": origin, "splits": splits}


def draw(bundle, run, document):
    """Draw what is known into the bundle: {file name: caption}. Plots of an earlier report go."""
    for name in ("confusion.png", "reliability.png", "parity.png"):
        (bundle / name).unlink(missing_ok=True)
    known = {name: of for name, of in document["precisions"].items() if scored_in(of)}
    out = {}
    if known:
        shown = "int8" if "int8" in known else next(iter(known))
        own = known[shown]["figures"]
        panels = {f"{view} classes": pairs(own["confusion"][view], VIEWS[view][0]) for view in VIEWS}
        plots.plot_confusion(panels, bundle / "confusion.png")
        plots.plot_reliability(own["calibration"], bundle / "reliability.png")
        out["confusion.png"] = f"How the epochs of each scored stage (row) were said, {shown}"
        out["reliability.png"] = f"Reliability: how often a stage said with some probability is right, {shown}"
    parity = run / f"parity_{document['architecture']}.png"
    if parity.exists() and any(of["figures"] for of in document["precisions"].values()):
        shutil.copyfile(parity, bundle / "parity.png")
        out["parity.png"] = "A held-out night: scored, as Keras says, as the watch says, and how far the watch is off"
    return out


def pairs(counts, names):
    """A confusion matrix as the epochs it counts: (scored class [n], said class [n], names)."""
    counts = np.asarray(counts)
    true, said = np.indices(counts.shape)
    return np.repeat(true.ravel(), counts.ravel()), np.repeat(said.ravel(), counts.ravel()), names
