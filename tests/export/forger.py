"""A forger of contracts: every field changed to other plausible values, every digest and embedded copy made anew."""

import json
import shutil
from pathlib import Path

from export.bundle import other_files
from export.contract import FILE, Contract
from export.readme import write_readme
from export.tflite import rewrite, sha256
from pipeline.errors import UserMistake
from pipeline.files import write_json

NOT_CHANGED = ("sha256", "other_files")  # the forger makes digests anew


def leaves(value, place=()):
    """(place, value) of every value of a JSON document that is no object or list, and of every list."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, (*place, name))
    elif isinstance(value, list):
        yield place, value
        for i, part in enumerate(value):
            yield from leaves(part, (*place, i))
    else:
        yield place, value


def field_of(place):
    """Name of the field that a place is in: of an entry of a list, the list's."""
    return next(name for name in reversed(place) if isinstance(name, str))


def others(value, alike):
    """Other values that could stand in a field. alike: values of fields of the same name."""
    found = [other for other in alike if type(other) is type(value)][:6]
    if isinstance(value, bool):
        found += [not value]
    elif isinstance(value, int | float):
        found += [value + 1, 2 * value, value // 2 if isinstance(value, int) else value / 2, -value, 0]
    elif isinstance(value, str):
        found += [value + "x", value.upper(), ""]
    elif isinstance(value, list):
        found += [value[::-1], value[:-1], value[1:], value + value[-1:]]
    unlike = {json.dumps(other): other for other in found if other != value}
    return list(unlike.values())


def edits(document):
    """(place, new value; ... to remove the field) of every edit of a contract."""
    alike = {}
    for place, value in leaves(document):
        alike.setdefault(field_of(place), []).append(value)
    for place, value in leaves(document):
        if field_of(place) not in NOT_CHANGED and place[0] not in NOT_CHANGED:
            for other in others(value, alike[field_of(place)]):
                yield place, other
    yield from ((place, ...) for place in fields(document) if not {*place} & {*NOT_CHANGED})


def fields(value, place=()):
    """Places of all fields of all objects."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        if isinstance(name, str):
            yield (*place, name)
        yield from fields(part, (*place, name))


def edited(document, place, value):
    """A copy of a contract with one field changed; ... removes it."""
    copy = json.loads(json.dumps(document))
    part = copy
    for name in place[:-1]:
        part = part[name]
    if value is ...:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return copy


class Forger:
    """Writes bundles with other contracts, as one would who knows how Wristsleep writes bundles."""

    def __init__(self, bundle):
        """bundle: what is forged; without golden night. A copy's embedded contract is exchanged in place, as writing a
        file anew takes a second.
        """
        self.bundle, self.room = Path(bundle), {"": " " * 30_000}
        self.text = json.dumps(self.room, separators=(",", ":")).encode()
        self.files = {path.name: rewrite(path.read_bytes(), self.room) for path in self.bundle.glob("*.tflite")}

    def write(self, document, folder):
        """Write the bundle with a contract in place of its own, which `Contract.read` takes, into a new folder."""
        folder, contract = Path(shutil.copytree(self.bundle, folder)), Contract.model_validate(document)
        embedded = json.dumps(contract.document(digests=False)).encode().ljust(len(self.text))
        for name, content in self.files.items():
            (folder / name).write_bytes(content.replace(self.text, embedded))
        for call in contract.calls():
            call.sha256 = sha256(folder / call.file) if call.file in self.files else call.sha256
        write_readme(folder, contract, lean=True)
        contract.other_files = {name: sha256(folder / name) for name in other_files(folder, contract)}
        contract.write(folder)
        return folder


def refused_as_read(document, folder):
    """The message with which a contract is refused before any other file is looked at, or None."""
    write_json(folder / FILE, document)
    try:
        Contract.read(folder)
    except UserMistake as mistake:
        return mistake.message
    return None
