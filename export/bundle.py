"""A bundle: the folder handed to an app developer for one model. Completes bundles, and reads them with checks."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from export.contract import FILE, Contract
from export.contract_parts import TrainingData
from export.readme import write_readme
from export.tflite import embedded_contract, rewrite, sha256
from pipeline.constants import STAGES
from pipeline.errors import UserMistake, one_of
from pipeline.files import copy_folder, reading, write_whole
from pipeline.run_folder import RunFolder

LABELS = "labels.txt"
SIGNATURE = "contract.sig"  # see export/signature.py


def complete_bundle(folder: Path, run: RunFolder, architecture: str, precisions: Sequence[str]) -> None:
    """Turn a folder of converted files into a bundle, except for its golden night and its report.

    Args:
        folder: Holds the .tflite files.
        run: The run that they come from.
        architecture: Architecture of the networks.
        precisions: To include in the contract.
    """
    write_whole(Path(folder) / LABELS, "\n".join(STAGES) + "\n")
    points, data = run.operating_points(architecture), TrainingData.of(run.origin, run.splits)
    contract = Contract.of_files(folder, architecture, run.options, run.channels, precisions, points, data)
    seal_bundle(folder, contract)


def install_bundle(built: Path, folder: Path) -> None:
    """Replace a bundle with a newly built one, all or nothing.

    The old bundle is moved aside until the new one is in place; if the process is killed in between,
    `recover_bundle` restores it.

    Args:
        built: Folder of the new bundle, anywhere; it is copied.
        folder: Where to install it.

    Raises:
        UserMistake: A file cannot be copied there; the old bundle stays.
    """
    recover_bundle(folder)
    new, old = _new_and_old(folder)
    try:
        copy_folder(built, new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    new.chmod(0o755)  # a temporary folder is private to its owner
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover_bundle(folder: Path) -> None:
    """Restore the bundle that an interrupted `install_bundle` moved aside, and remove its remnants."""
    new, old = _new_and_old(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    for remnant in (new, old):
        shutil.rmtree(remnant, ignore_errors=True)


def _new_and_old(folder):
    """Temporary paths of the new bundle, before it is installed, and of the one that it replaces."""
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")


def seal_bundle(folder: Path, contract: Contract) -> None:
    """Embed the contract in each file, and write contract.json with the files' digests, and README.md."""
    for name in contract.files():
        path = Path(folder) / name
        write_whole(path, rewrite(path.read_bytes(), contract.document(digests=False)))
    contract = contract.with_digests(folder)
    contract.write(folder)
    write_readme(folder, contract)
    record_files(folder)


def record_files(folder: Path) -> None:
    """Add the digests of all files that no call names to contract.json, once a bundle is complete.

    An earlier signature is removed, as it no longer matches.
    """
    (Path(folder) / SIGNATURE).unlink(missing_ok=True)
    contract = Contract.read(folder)
    contract.other_files = {name: sha256(Path(folder) / name) for name in other_files(folder, contract)}
    contract.write(folder)


def other_files(folder: Path, contract: Contract) -> list[str]:
    """Names of a bundle's files except contract.json, its signature, the files of calls, and hidden files."""
    left_out = {FILE, SIGNATURE, *contract.files()}
    names = (path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
    return sorted(name for name in names if name not in left_out and not name.rpartition("/")[2].startswith("."))


def reject_precisions(folder: Path, precisions: Sequence[str], rejected: Path) -> None:
    """Take precisions out of a bundle; a bundle with none left is removed.

    Args:
        folder: The bundle.
        precisions: To take out.
        rejected: Folder to move their networks to.
    """
    folder, rejected = Path(folder), Path(rejected)
    contract = Contract.read(folder)
    rejected.mkdir(parents=True, exist_ok=True)
    left = {name: plan for name, plan in contract.precisions.items() if name not in precisions}
    shared = {call.file for plan in left.values() for call in plan.calls}
    for precision in precisions:
        for call in contract.precisions[precision].calls:
            if precision in call.file and call.file not in shared:
                (folder / call.file).replace(rejected / call.file)
    if not left:
        shutil.rmtree(folder)
        return
    seal_bundle(folder, contract.model_copy(update={"precisions": left}))


def read_bundle(folder: Path, precisions: Sequence[str] | None = None) -> Contract:
    """The contract of a bundle, after checking it and its files.

    Args:
        folder: The bundle.
        precisions: Precisions whose files are checked; by default all.

    Raises:
        UserMistake: The contract is invalid or altered, or a file of these precisions is missing or altered.
    """
    contract = Contract.read(folder)
    requested = one_of(f"{folder}: precision", precisions or list(contract.precisions), contract.precisions)
    for call in contract.calls(requested):
        file = Path(folder) / call.file
        if not os.path.isfile(file):
            raise UserMistake(f"{file}: missing, though contract.json names it")
        try:
            digest = sha256(file)
        except OSError as error:
            raise UserMistake(f"{file}: cannot be read ({error.strerror})") from None
        if digest != call.sha256:
            raise UserMistake(
                f"{file}: its SHA-256 is not the one in contract.json; the file was altered or is incomplete"
            )
        with reading(file):
            inside = embedded_contract(file)
        if inside is not None and inside != contract.document(digests=False):
            raise UserMistake(f"{file}: the contract embedded in it differs from contract.json")
    return contract
