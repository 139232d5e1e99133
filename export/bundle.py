"""A bundle: the folder handed to a mobile developer for one model. Completed here, and read back, digests checked."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from export.contract import FILE, Contract
from export.contract_parts import TrainingData
from export.readme import write_readme
from export.tflite import embedded_contract, rewrite, sha256
from pipeline.constants import STAGES
from pipeline.errors import UserMistake, one_of
from pipeline.files import reading, write_whole
from pipeline.run_folder import RunFolder

LABELS = "labels.txt"
SIGNATURE = "contract.sig"  # see export/signature.py


def complete_bundle(folder: Path, run: RunFolder, architecture: str, precisions: Sequence[str]) -> None:
    """Make a folder of converted files a bundle, but for its golden night and its report.

    Args:
        folder: Holds the .tflite files.
        run: The run that they are of.
        architecture: Of the networks.
        precisions: To be in the contract.
    """
    write_whole(Path(folder) / LABELS, "\n".join(STAGES) + "\n")
    points, data = run.operating_points(architecture), TrainingData.of(run.origin, run.splits)
    contract = Contract.of_files(folder, architecture, run.options, run.channels, precisions, points, data)
    seal_bundle(folder, contract)


def install_bundle(built: Path, folder: Path) -> None:
    """Put a bundle in its place, whole, instead of the one that stands there.

    The old bundle is moved aside, not removed, until the new one is in place: `recover_bundle` puts right what a kill
    in between leaves.

    Args:
        built: Folder of the new bundle, anywhere; it stays.
        folder: Where it goes.
    """
    recover_bundle(folder)
    new, old = _new_and_old(folder)
    shutil.copytree(built, new)
    new.chmod(0o755)  # a temporary folder is its owner's alone
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover_bundle(folder: Path) -> None:
    """Put back the bundle that an interrupted `install_bundle` moved aside, and remove what else it left."""
    new, old = _new_and_old(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    for remnant in (new, old):
        shutil.rmtree(remnant, ignore_errors=True)


def _new_and_old(folder):
    """Where a bundle stands before it is in its place, and where the one that it replaces goes."""
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")


def seal_bundle(folder: Path, contract: Contract) -> None:
    """Put the contract into each file, and beside them itself, with their digests, and README.md."""
    for name in contract.files():
        path = Path(folder) / name
        write_whole(path, rewrite(path.read_bytes(), contract.document(digests=False)))
    contract = contract.with_digests(folder)
    contract.write(folder)
    write_readme(folder, contract)
    record_files(folder)


def record_files(folder: Path) -> None:
    """Put the digests of the files that no call names into contract.json, when a bundle is complete.

    A signature of the contract before goes.
    """
    (Path(folder) / SIGNATURE).unlink(missing_ok=True)
    contract = Contract.read(folder)
    contract.other_files = {name: sha256(Path(folder) / name) for name in other_files(folder, contract)}
    contract.write(folder)


def other_files(folder: Path, contract: Contract) -> list[str]:
    """Names of a bundle's files but for contract.json, its signature, those of calls, and hidden ones."""
    left_out = {FILE, SIGNATURE, *contract.files()}
    names = (path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
    return sorted(name for name in names if name not in left_out and not name.rpartition("/")[2].startswith("."))


def reject_precisions(folder: Path, precisions: Sequence[str], rejected: Path) -> None:
    """Take precisions out of a bundle; one that has none left is removed.

    Args:
        folder: The bundle.
        precisions: To be taken out.
        rejected: Folder that their networks go to.
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
    """The contract of a bundle, once it and its files are checked.

    Args:
        folder: The bundle.
        precisions: Whose files must be whole; by default all.

    Raises:
        UserMistake: The contract is wrong, or a file of the precisions is missing or altered.
    """
    contract = Contract.read(folder)
    requested = one_of(f"{folder}: precision", precisions or list(contract.precisions), contract.precisions)
    for call in contract.calls(requested):
        file = Path(folder) / call.file
        if not file.is_file():
            raise UserMistake(f"{file}: missing, though contract.json names it")
        if sha256(file) != call.sha256:
            raise UserMistake(
                f"{file}: its SHA-256 is not the one in contract.json; the file was altered or is not whole"
            )
        with reading(file):
            inside = embedded_contract(file)
        if inside is not None and inside != contract.document(digests=False):
            raise UserMistake(f"{file}: the contract embedded in it is not contract.json")
    return contract
