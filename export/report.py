"""report.json, report.md and MODEL_CARD.md of a bundle: cost of its files, and their accuracy on held-out nights."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from export.arenas import measured_arenas
from export.bundle import record_files
from export.cadence import Cadence
from export.calls import Calls
from export.card import model_card, stress_results
from export.contract import Contract, Precision, stager_path
from export.cost import cost_of
from export.latency import latencies
from export.pages import has_scores, report_page
from export.runtimes import MICRO, refusal
from pipeline.align import Night
from pipeline.constants import HOUR_S, PRECISIONS
from pipeline.files import write_json, write_whole
from pipeline.run_folder import RunFolder
from scoring import plots
from scoring.metrics import VIEWS, calibration, confusion, plain, scores

SCORES = ("accuracy", "kappa", "macro_f1", "majority_accuracy", "recall", "precision")  # in the report
PLOTS = ("confusion.png", "reliability.png", "parity.png")
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


def figures(nights: Sequence[Night], probabilities: Sequence[np.ndarray]) -> dict:
    """Scores of one file's probabilities on some nights.

    Args:
        nights: Scored or not.
        probabilities: [windows, 5] for each night.

    Returns:
        {"windows", "scored", "views": {"5": {name of SCORES}, ...}, "confusion": {"5": counts, ...}, "calibration"};
        only the first two if no night is scored or a probability is not finite.
    """
    stages, p = np.concatenate([night.stages for night in nights]), np.concatenate(probabilities)
    out: dict = {"windows": len(stages), "scored": int((stages >= 0).sum())}
    if out["scored"] and np.isfinite(p).all():
        views = scores(stages, p)
        out |= {
            "views": {view: {name: views[view][name] for name in SCORES} for view in VIEWS},
            "confusion": {view: confusion(stages, p, view) for view in VIEWS},
            "calibration": calibration(stages, p),
        }
    return plain(out)


def measurements(bundle: Path, plan: Calls, nights: Sequence[Night], probabilities: Sequence[np.ndarray]) -> dict:
    """What parity.json stores for one precision.

    Args:
        bundle: Folder of the bundle.
        plan: The contract's entry of the precision.
        nights: The held-out nights.
        probabilities: [windows, 5] for each night.

    Returns:
        `figures`, and "files": the digests of the files measured.
    """
    return figures(nights, probabilities) | {"files": digests(bundle, plan)}


def digests(bundle: Path, plan: Calls) -> dict[str, str]:
    """{file: SHA-256 without the embedded contract} of a precision's calls."""
    names = [call.file for call in plan.calls]
    return {name: cost_of((Path(bundle) / name).read_bytes())["lean_sha256"] for name in names}


def write_report(bundle: Path, run: RunFolder) -> None:
    """Write report.json, report.md, MODEL_CARD.md, cadence.json and plots into a bundle, from it and its run alone.

    If parity.json has no figures, or figures for other files, the report leaves them out and says so.

    Args:
        bundle: Folder of the bundle.
        run: Its run.
    """
    bundle = Path(bundle)
    document = report_document(bundle, run)
    captions = draw_plots(bundle, run, document)
    write_json(bundle / "report.json", document)
    write_whole(bundle / "report.md", report_page(document, captions))
    write_whole(bundle / "MODEL_CARD.md", model_card(document, captions, run))
    Cadence.of(stress_results(run, document["architecture"])).write(bundle)
    record_files(bundle)


def report_document(bundle: Path, run: RunFolder) -> dict:
    """Contents of report.json."""
    contract = Contract.read(bundle)
    architecture = contract.architecture
    calls = contract.files()
    per_hour_of = contract.calls_per_hour()
    arenas = measured_arenas(bundle / name for name, call in calls.items() if not refusal(call.runtimes, MICRO))
    latency = latencies(bundle, {name: call.signature for name, call in calls.items()})
    files: dict[str, dict] = {}
    for name in calls:
        cost = cost_of((bundle / name).read_bytes())
        per_hour = {f"{key}_per_hour": cost[key] * per_hour_of[name] for key in ("macs", "multiplications")}
        files[name] = cost | {"latency_us": latency[name], "micro_arena": arenas.get(name)} | per_hour
    parity = run.parity() or {"models": []}
    rows = {row["precision"]: row for row in parity["models"] if row["architecture"] == architecture}
    measured = [row["measured"] for row in rows.values() if "measured" in row]
    seen = run.all_trained_on
    counts = {name: measured[0][name] for name in ("windows", "scored")} if measured else {}
    return {
        "format": "wristsleep-report/1",
        "architecture": architecture,
        "data": data_entry(run),
        "compared_on": parity.get("nights", []),
        "held_out": {"nights": [] if seen else parity.get("nights", [])} | ({} if seen else counts),
        "channels": [channel.name for channel in contract.channels],
        "stride_seconds": contract.seconds.stride,
        "windows_per_hour": HOUR_S // contract.seconds.stride,
        "precisions": {
            name: precision_entry(plan, stager_path(Path(), architecture, name).name, files, rows.get(name), seen)
            for name, plan in contract.precisions.items()
        },
        "rejected": [name for name in PRECISIONS if name in rows and name not in contract.precisions],
        "preprocessing": [call.file for plan in contract.preprocessing.values() for call in plan.calls],
        "files": files,
        "published": PUBLISHED,
    }


def precision_entry(
    plan: Precision, network: str, files: Mapping[str, dict], row: dict | None, seen: bool = False
) -> dict:
    """The report's entry for one precision.

    Args:
        plan: The contract's entry of the precision.
        network: File of the network.
        files: {file: its entry in the report}.
        row: The precision's row in parity.json, if there is one.
        seen: Whether that row is from nights that the run was trained on; then it shows agreement with the full
            model, but not accuracy.

    Returns:
        The entry, with sums over the calls of a window; if there are no figures, "figures" is None and "why_none"
        says why.
    """
    calls = [files[call.file] for call in plan.calls]
    sizes = ("bytes", "lean_bytes", "macs", "multiplications", "macs_per_hour", "multiplications_per_hour")
    entry = {name: sum(call[name] for call in calls) for name in sizes}
    entry |= {"calls": [call.file for call in plan.calls], "parameters": files[network]["parameters"]}
    entry["operations"] = sum(sum(call["operations"].values()) for call in calls)
    entry["arena_bytes"] = max(call["arena_bytes"] for call in calls)  # the calls take turns
    micro = [call["micro_arena"] for call in calls]
    measured = all(arena and "bytes" in arena for arena in micro)
    entry["micro_arena_bytes"] = max(arena["bytes"] for arena in micro) if measured else None
    entry["step_us"] = sum(call["latency_us"]["median"] for call in calls)
    if not row or "measured" not in row:
        return entry | {"figures": None, "why_none": "no parity check of this run measured it"}
    if row["measured"]["files"] != {call.file: files[call.file]["lean_sha256"] for call in plan.calls}:
        return entry | {"figures": None, "why_none": "the file was rebuilt and differs from the one measured"}
    agreement = {name: row[name] for name in ("p99_abs_dp", "max_abs_dp", "same_stage", "abs_dkappa")}
    if seen:
        return entry | {"figures": None, "agreement": agreement, "why_none": "no night was held out"}
    return entry | {"figures": row["measured"], "agreement": agreement}


def data_entry(run: RunFolder) -> dict:
    """{"origin": name of the data set, "mark": contents of origin.json, "splits": {part: subjects}}."""
    return {"origin": run.origin.name, "mark": run.origin.as_dict(), "splits": run.splits}


def draw_plots(bundle: Path, run: RunFolder, document: dict) -> dict[str, str]:
    """Draw a report's plots into the bundle, and remove those of an earlier report.

    Args:
        bundle: Folder of the bundle.
        run: Its run.
        document: Contents of report.json.

    Returns:
        {file name: caption} of the plots drawn; plots without figures are left out.
    """
    for name in PLOTS:
        (bundle / name).unlink(missing_ok=True)
    scored = {name: entry["figures"] for name, entry in document["precisions"].items() if has_scores(entry)}
    captions = {}
    if scored:
        precision = "int8" if "int8" in scored else next(iter(scored))
        shown = scored[precision]
        panels = {f"{view} classes": epochs_of(shown["confusion"][view], VIEWS[view][0]) for view in VIEWS}
        title = plots.model_name(document["architecture"], precision)
        plots.plot_confusion(panels, bundle / "confusion.png", title)
        plots.plot_reliability(shown["calibration"], bundle / "reliability.png", title)
        captions["confusion.png"] = f"Confusion matrix: scored stage (row), predicted stage (column), {precision}"
        captions["reliability.png"] = f"Reliability: share of correct predictions by predicted probability, {precision}"
    parity = run.parity_plot(run.parity_report, document["architecture"])
    if parity.exists() and any("agreement" in entry for entry in document["precisions"].values()):
        shutil.copyfile(parity, bundle / "parity.png")
        which = "night that it was trained on" if run.all_trained_on else "held-out night"
        captions["parity.png"] = (
            f"A {which}: stages scored, predicted by Keras and predicted by the watch, and their difference"
        )
    return captions


def epochs_of(counts: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """A confusion matrix expanded to the epochs it counts: (scored class [n], predicted class [n], names)."""
    matrix = np.asarray(counts)
    scored, predicted = np.indices(matrix.shape)
    return np.repeat(scored.ravel(), matrix.ravel()), np.repeat(predicted.ravel(), matrix.ravel()), names
