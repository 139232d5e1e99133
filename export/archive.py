"""Bundles as reproducible zip files, and bundles opened from a folder or a zip."""

import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from export.bundle import read_bundle
from export.contract import FILE, Contract
from pipeline.errors import UserMistake
from pipeline.files import reading, write_whole
from pipeline.run_folder import RunFolder
from pipeline.scratch import sole_writer

EARLIEST = (1980, 1, 1, 0, 0, 0)  # earliest time that a zip can store; given to every file in it
MOST_BYTES = 2**27  # total size of a zip's files, unpacked
MOST_FILES = 200
LOCAL_HEADER = "<4s5H3L2H"  # before each file in a zip: its flags are field 2, CRC and sizes 6 to 8
FOLLOW = 0x08  # flag: CRC and sizes stand behind the content
FAR = 0xFFFFFFFF  # a size that stands elsewhere


def write_zip(bundle: Path, path: Path | None = None) -> Path:
    """Write a bundle as a zip whose bytes depend only on its files' names and contents.

    Names are sorted, times fixed, nothing compressed (a compressor's output depends on its version).

    Args:
        bundle: Folder of the bundle; hidden files in it are left out.
        path: Where to write the zip; by default <folder name>.zip next to the folder.

    Returns:
        Path of the zip.

    Raises:
        UserMistake: The bundle is incomplete or altered.
    """
    bundle = Path(bundle).resolve()
    inside = read_bundle(bundle).architecture  # its folder in the zip
    path = Path(path or bundle.with_name(f"{bundle.name}.zip"))
    files = sorted(file for file in bundle.rglob("*") if file.is_file() and not file.name.startswith("."))

    def write(stream):
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                entry = zipfile.ZipInfo(f"{inside}/{file.relative_to(bundle).as_posix()}", EARLIEST)
                entry.create_system = 3  # Unix, wherever it is written
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, file.read_bytes())

    with sole_writer(path):
        write_whole(path, write)
    return path


def _before(archive, entry):
    """(CRC, compressed size, size) before a file's content; the directory at the zip's end should have the same."""
    assert archive.fp is not None
    archive.fp.seek(entry.header_offset)
    fields = struct.unpack(LOCAL_HEADER, archive.fp.read(struct.calcsize(LOCAL_HEADER)))
    if fields[2] & FOLLOW or FAR in fields[7:9]:
        return entry.CRC, entry.compress_size, entry.file_size
    return fields[6:9]


@contextmanager
def opened_bundles(source: Path) -> Iterator[tuple[dict[str, Path], RunFolder | None]]:
    """Context manager for the bundles of a run folder, or for a single bundle, as a folder or a zip.

    Yields:
        ({architecture: folder}, the default architecture first; the run, or None for a single bundle).

    Raises:
        UserMistake: `source` is none of these.
    """
    source = Path(source)
    if not source.exists():
        raise UserMistake(f"{source}: no such run folder or bundle")
    if source.is_file() and not zipfile.is_zipfile(source):
        raise UserMistake(f"{source}: neither a run folder nor a bundle (folder or zip)")
    if source.is_file() or (source / FILE).is_file():
        with opened_bundle(source) as folder:
            yield {Contract.read(folder).architecture: folder}, None
    else:
        run = RunFolder(source)
        yield run.bundle_folders(), run


@contextmanager
def opened_bundle(path: Path) -> Iterator[Path]:
    """Context manager for a bundle's folder; a zip is unpacked into a temporary one.

    Raises:
        UserMistake: `path` is neither a folder nor a zip, or a zip that is not safe to unpack.
    """
    path = Path(path)
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        with reading(path), zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            names = [PurePosixPath(entry.filename) for entry in entries]
            if len(names) > len({*names}):
                raise UserMistake(f"{path}: has two entries of one name; pack the bundle again")
            if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise UserMistake(f"{path}: more than {MOST_FILES} files or {MOST_BYTES >> 20} MB; not a bundle")
            for entry in entries:
                name = PurePosixPath(entry.filename)
                if name.is_absolute() or ".." in name.parts or "\\" in entry.filename:
                    raise UserMistake(f"{path}: {entry.filename!r} would be unpacked outside its folder")
            archive.extractall(scratch)
            for entry in entries:
                if _before(archive, entry) != (entry.CRC, entry.compress_size, entry.file_size):
                    raise UserMistake(
                        f"{path}: {entry.filename!r}: the zip's directory has another size or CRC; altered"
                    )
        places = [*Path(scratch).rglob(FILE)]
        if not places:
            raise UserMistake(f"{path}: not a bundle: it has no {FILE}")
        if len(places) > 1:
            raise UserMistake(f"{path}: holds {len(places)} bundles; pack one alone")
        try:
            yield places[0].parent
        except UserMistake as mistake:  # the user has the zip, not the scratch folder
            raise UserMistake(mistake.message.replace(scratch, str(path))) from None
