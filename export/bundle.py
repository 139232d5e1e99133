"""A bundle: the folder handed to a mobile developer for one model. Made here, and read back, digests checked."""

import shutil
from pathlib import Path

import numpy as np

from export.apps import write_apps
from export.contract import GATES, every_call, make_contract, rewrite, sha256, with_digests
from export.form import check_form
from pipeline.files import read_json, write_json, write_whole
from pipeline.options import PROBABILITIES, STAGES, UserMistake, one_of


def floats(values):
    """float32 values as the shortest decimals that give them back."""
    return [float(str(x)) for x in np.asarray(values, np.float32).ravel()]


def golden(night, channels, options, probabilities):
    """golden.json: one whole night of inputs, the Keras model's probabilities [windows, 5], and the tolerances."""
    inputs = {name: night.window(name, options) for name in channels}
    windows = [
        {name: floats(x[i]) for name, x in inputs.items()}
        | {PROBABILITIES: floats(p), "stage": STAGES[stage] if stage >= 0 else None}
        for i, (p, stage) in enumerate(zip(probabilities, night.stages, strict=True))
    ]
    return {"night": night.subject, "tolerance": GATES, "windows": windows}


def finish(made, run, architecture, precisions):
    """Make a folder of converted files a bundle, but for its golden night."""
    write_whole(Path(made) / "labels.txt", "\n".join(STAGES) + "\n")
    points = run.operating_points(architecture)
    seal(made, make_contract(architecture, run.options, run.channels, made, precisions, points))


def put(made, folder):
    """Put a bundle in its place, whole, instead of what stands there."""
    beside = Path(folder).with_name(f".{Path(folder).name}.beside")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(made, beside)
    beside.chmod(0o755)  # a temporary folder is its owner's alone
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def seal(folder, contract):
    """Put the contract into each file, and beside them, with their digests, itself and the app code made from it."""
    for name in {call["file"] for call in every_call(contract)}:
        path = Path(folder) / name
        write_whole(path, rewrite(path.read_bytes(), contract))
    contract = with_digests(contract, folder)
    write_json(Path(folder) / "contract.json", contract)
    write_apps(folder, contract)


def reject(folder, precisions, rejected):
    """Take precisions out of a bundle: their stager files go to `rejected`, the contract keeps the rest. A bundle that
    has none left goes.
    """
    folder, rejected = Path(folder), Path(rejected)
    contract = read_json(folder / "contract.json")
    rejected.mkdir(parents=True, exist_ok=True)
    for precision in precisions:
        for call in contract["precisions"].pop(precision)["calls"]:
            if precision in call["file"]:
                (folder / call["file"]).replace(rejected / call["file"])
    if not contract["precisions"]:
        shutil.rmtree(folder)
        return
    for call in every_call(contract):
        del call["sha256"]
    seal(folder, contract)


def read_contract(folder, precisions=None):
    """The contract of a bundle. Raises UserMistake where it or a file of the precisions is missing or altered."""
    path = Path(folder) / "contract.json"
    contract = read_json(path, ": no bundle here")
    check_form(contract, path)
    asked = one_of(f"{folder}: precision", precisions or list(contract["precisions"]), contract["precisions"])
    for call in every_call(contract, asked):
        file = Path(folder) / call["file"]
        if not file.is_file():
            raise UserMistake(f"{file}: missing, though contract.json names it")
        if sha256(file) != call["sha256"]:
            raise UserMistake(
                f"{file}: its SHA-256 is not the one in contract.json; the file was altered or is not whole"
            )
    return contract
