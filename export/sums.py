"""SHA256SUMS of what an app ships on a platform: the digests of all its files, as `sha256sum -c` reads them."""

import re
from pathlib import Path

from export.bundle import SIGNATURE
from export.tflite import sha256
from pipeline.errors import UserMistake
from pipeline.files import reading, write_whole

FILE = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS into a folder whose other files are complete."""
    write_whole(Path(folder) / FILE, _text({name: sha256(Path(folder) / name) for name in _names(folder)}))


def check_sums(folder: Path) -> None:
    """Check that a folder has the files that its SHA256SUMS lists, unaltered, and no others but a signature.

    Raises:
        UserMistake: The first file that is missing, altered or not listed.
    """
    path = Path(folder) / FILE
    with reading(path):
        text = path.read_bytes().decode()
    entries = [match for line in text.splitlines() if (match := LINE.fullmatch(line))]
    digests = {match[2]: match[1] for match in entries}
    names = _names(folder)
    for name in sorted({*digests, *names}):
        file = Path(folder) / name
        if name in digests and (name not in names or not file.is_file()):
            raise UserMistake(f"{file}: missing, though {FILE} names it")
        if name not in digests:
            raise UserMistake(f"{file}: not listed in {FILE}; remove it, or get the folder again")
        if sha256(file) != digests[name]:
            raise UserMistake(f"{file}: altered; its SHA-256 is not the one in {FILE}")
    if text != _text(digests):
        raise UserMistake(f"{path}: not as Wristsleep writes it")


def _text(digests):
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def _names(folder):
    """Names of a folder's files but for SHA256SUMS, the signature, which comes later, and hidden files.

    Links to folders count as files, as nobody looks into them; so do pipes.
    """
    paths = (path for path in Path(folder).rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder) for path in paths)
    return {name.as_posix() for name in names if name.name not in (FILE, SIGNATURE) and name.name[0] != "."}
