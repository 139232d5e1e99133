"""What an app ships on one platform: the .tflite files of one precision, their contract and the library to run them.

python -m export RUN --for android
"""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.python.sleep_stager import SIMULATED
from export.archive import opened_bundles
from export.bundle import LABELS, install_bundle, read_bundle, record_files
from export.cadence import Cadence
from export.contract import Contract
from export.latency import ROOT
from export.readme import RECOMMENDED, write_readme
from export.sums import write_sums
from export.tflite import rewrite, strip_contract
from pipeline.constants import STAGES
from pipeline.errors import UserMistake, one_of
from pipeline.files import SHOWN, copy_folder, read_json, write_whole
from pipeline.outputs import must_be_outside_bundles
from pipeline.run_folder import RunFolder
from pipeline.scratch import is_occupied, scratch_folder, sole_use, sole_writer, sweep
from scoring.tables import kilobytes, number

LIBRARIES = ROOT / "apps"
LEFT_OUT = ("__init__.py", "__pycache__", "build", "node_modules", "*.egg-info", ".*")  # not copied with a library
CARD = "MODEL_CARD.md"
REPORT = "report.json"


@dataclass(frozen=True)
class Platform:
    """The layout that apps of a platform expect.

    Attributes:
        library: Folder of the library in apps/; "" for none.
        models: Folder for contract.json and the .tflite files.
        arrays: Whether models are C arrays instead of .tflite files.
    """

    library: str
    models: str = ""
    arrays: bool = False


PLATFORMS = {
    "android": Platform("kotlin", "src/main/assets/bundle"),
    "ios": Platform("swift", "bundle"),
    "web": Platform("javascript"),
    "python": Platform("python"),
    "micro": Platform("micro", arrays=True),
    "any": Platform(""),
}


def hand_over(
    source: Path, platform: str, precision: str | None = None, architecture: str | None = None, out: Path | None = None
) -> tuple[Path, list[str]]:
    """Write what an app ships on a platform.

    Args:
        source: A run folder, or a bundle (folder or zip).
        platform: One of PLATFORMS; "any" has README.md and the model card instead of a library.
        precision: One of the bundle's; by default the recommended one.
        architecture: One of the run's; by default the first that has a bundle.
        out: New output folder; by default handover/<architecture>-<precision>-<platform> in the run's folder (in the
            working folder if the source is a bundle), replacing an earlier one.

    Returns:
        The folder, and lines that describe it: precision, accuracy and size.

    Raises:
        UserMistake: There is no such bundle, precision or library.
    """
    (platform,) = one_of("--for", [platform], PLATFORMS)
    with opened_bundles(source) as (bundles, run):
        (chosen_architecture,) = one_of("--architectures", [architecture or next(iter(bundles))], bundles)
        bundle = bundles[chosen_architecture]
        contract = read_bundle(bundle)
        chosen = precision or (RECOMMENDED if RECOMMENDED in contract.precisions else next(iter(contract.precisions)))
        one_of(f"{bundle}: precision", [chosen], contract.precisions)
        name = f"{contract.architecture}-{chosen}-{platform}"
        folder = Path(out or (run.path if run else Path()) / "handover" / name)
        must_be_outside_bundles("--out", folder.parent)
        if out and is_occupied(folder):
            raise UserMistake(f"--out {folder}: exists and is not empty; name another")
        prefix = f".{folder.name[:SHOWN]}.made."
        with (
            sole_use(run.path) if run and not out else nullcontext(),
            sole_writer(folder),
            scratch_folder(folder.resolve().parent, prefix) as scratch,
        ):
            sweep(scratch.parent, prefix)
            write_platform(scratch, PLATFORMS[platform], bundle, contract, chosen)
            if PLATFORMS[platform].library:  # without one it is a bundle, whose contract lists its other files
                write_sums(scratch)
            install_bundle(scratch, folder)
        why = " (recommended)" if not precision and chosen == RECOMMENDED else ""
        lines = [f"precision {chosen}{why}", f"accuracy {accuracy(bundle, run, contract.architecture, chosen)}"]
    models = [path.stat().st_size for path in folder.rglob("*.tflite")]
    if models:
        lines.append(f"size {kilobytes(sum(models))} KB in {len(models)} .tflite files")
    if contract.training_data.simulated:
        lines.append(f"warning: {SIMULATED}")
    return folder, lines


def write_platform(folder: Path, platform: Platform, bundle: Path, contract: Contract, precision: str) -> None:
    """Write what an app ships on a platform into an empty folder."""
    if platform.library:
        library = LIBRARIES / platform.library
        if not library.is_dir():
            raise UserMistake(f"{library}: missing from this checkout")
        copy_folder(library, folder, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
    if platform.arrays:
        micro_writer()(folder, contract, precision, bundle)
        return
    models = folder / platform.models
    models.mkdir(parents=True, exist_ok=True)
    only = contract.model_copy(update={"precisions": {precision: contract.precisions[precision]}}, deep=True)
    only.other_files = {}
    bare = bool(platform.library)  # a library reads contract.json, so embedded copies would only add size
    for name in only.files():
        content = (bundle / name).read_bytes()
        content = strip_contract(content) if bare else rewrite(content, only.document(digests=False))
        write_whole(models / name, content)
    only = only.with_digests(models)
    only.write(models)
    if not bare:
        write_whole(models / LABELS, "\n".join(STAGES) + "\n")
        write_readme(models, only, lean=True)
        if (bundle / CARD).is_file():
            write_whole(models / CARD, without_pictures((bundle / CARD).read_text()))
        Cadence.read(bundle).write(models)
        record_files(models)


def micro_writer() -> Callable[[Path, Contract, str, Path], None]:
    """The function that writes models as C arrays."""
    try:
        from export.micro import write_micro
    except ImportError:
        raise UserMistake("--for micro: missing from this checkout") from None
    return write_micro


def without_pictures(card: str) -> str:
    """A model card without its last section, the plots."""
    return card.partition("\n## Plots\n")[0].rstrip() + "\n"


def accuracy(bundle: Path, run: RunFolder | None, architecture: str, precision: str) -> str:
    """The measured accuracy of a precision, in words.

    Args:
        bundle: Folder of the bundle.
        run: Its run, if there is one.
        architecture: The bundle's.
        precision: One of the bundle's.

    Returns:
        Figures from report.json or the run; else a pointer to the model card, or "not measured" and why.
    """
    report: dict[str, Any] = read_json(bundle / REPORT) if (bundle / REPORT).is_file() else {}
    entry = report.get("precisions", {}).get(precision, {})
    views = (entry.get("figures") or {}).get("views")
    if views:
        nights = len(report["held_out"]["nights"])
        return f"{in_words(views['5'])} (five stages, streamed by the simulator, {nights} held-out nights)"
    wanted = architecture, "float32", "default"
    for result in run.evaluation_results() if run else []:
        if (result["architecture"], result["precision"], result["operating_point"]) == wanted:
            nights = len(result["subjects"])
            where = "inner cross-validation" if run and run.all_trained_on else "held out"
            return f"{in_words(result['scored']['all']['5'])} (five stages, full model, {nights} nights, {where})"
    if not report and (bundle / CARD).is_file():
        return f"see {bundle / CARD}"
    return f"not measured: {entry.get('why_none') or 'the bundle has no report.json with figures'}"


def in_words(five: dict) -> str:
    """Accuracy and five-stage κ, as text."""
    return f"{number(five['accuracy'])}, κ {number(five['kappa'])}"
