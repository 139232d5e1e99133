"""Several data sets in one training: the set and the person of each night.

A set is named after its folder, and its nights `<set>.<id>`. A single folder is a plain Path, and its nights keep their
ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserMistake
from pipeline.files import read_json

WEARERS = "wearers.json"  # {night: person}, for persons with several nights


@dataclass(frozen=True)
class DataSets:
    """Two or more folders of recordings.

    Attributes:
        folders: {name: folder}, in the order of the names.
    """

    folders: dict[str, Path]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> "DataSets":
        """The data sets in some folders, in any order.

        Raises:
            UserMistake: A folder is given twice, or the nights of two folders could have the same names.
        """
        named: dict[str, Path] = {}
        for folder in folders:
            name, path = (folder if folder.name.strip(".") else folder.resolve()).name, folder.resolve()
            if path in named.values():
                raise UserMistake(f"--dataset_dir {folder}: given twice")
            if name in named:
                hint = "data sets need different folder names: rename one, or link to it under another name"
                raise UserMistake(f"--dataset_dir: {named[name]} and {path} are both named {name}; {hint}")
            named[name] = path
        for name, other in ((name, other) for name in named for other in named if other.startswith(f"{name}.")):
            hint = f"nights of both could be named {other}.<id>: rename one, or link to it under another name"
            raise UserMistake(f"--dataset_dir: {named[name]} and {named[other]}: {hint}")
        return cls(dict(sorted(named.items())))

    def __str__(self) -> str:
        return ",".join(map(str, self.folders.values()))

    @property
    def name(self) -> str:
        """A name for all of them, for reports."""
        return "+".join(self.folders)

    def resolve(self) -> "DataSets":
        """Itself: the folders are already resolved. For use like Path.resolve."""
        return self

    def set_of(self, subject: str) -> str:
        """Name of the set that a subject is in.

        Raises:
            UserMistake: The subject's name has none of the sets' prefixes.
        """
        for name in self.folders:
            if subject.startswith(f"{name}."):
                return name
        raise UserMistake(f"{self}: no recording of {subject}; its name must begin with {' or '.join(self.folders)}")


Data = Path | DataSets


def data_of(text: str) -> Data:
    """The folder, or the comma-separated data sets, that a text names. Raises UserMistake as `DataSets.of`."""
    parts = [Path(part.strip()) for part in text.split(",") if part.strip()]
    if len(parts) < 2 or Path(text).exists():
        return parts[0] if len(parts) == 1 else Path(text)
    return DataSets.of(parts)


def data_as_json(data: Data) -> str | dict[str, str]:
    """The folder, or {name: folder}, for JSON; the inverse of `data_from_json`."""
    if isinstance(data, DataSets):
        return {name: str(folder) for name, folder in data.folders.items()}
    return str(data)


def data_from_json(value: str | Mapping[str, str]) -> Data:
    """The folder or data sets that `data_as_json` turned into JSON."""
    return Path(value) if isinstance(value, str) else DataSets({name: Path(path) for name, path in value.items()})


def located(data: Data, subject: str) -> tuple[Path, str]:
    """The folder that a subject's recording is in, and the subject's id there."""
    if isinstance(data, DataSets):
        name = data.set_of(subject)
        return data.folders[name], subject.removeprefix(f"{name}.")
    return Path(data), subject


def sets_of(data: Data, subjects: Sequence[str]) -> dict[str, str]:
    """{subject: name of its set}; {} for a single folder."""
    return {subject: data.set_of(subject) for subject in subjects} if isinstance(data, DataSets) else {}


def read_wearers(folder: Path) -> dict[str, str]:
    """{night: person} from the folder's wearers.json; {} if there is none.

    Raises:
        UserMistake: The file is not a JSON object of night and person.
    """
    path = Path(folder) / WEARERS
    if not path.exists():
        return {}
    wearers = read_json(path)
    if not isinstance(wearers, dict) or not all(isinstance(person, str) and person for person in wearers.values()):
        raise UserMistake(f'{path}: expected an object of night and person, such as {{"01_4": "01"}}')
    return wearers


def people(data: Data, subjects: Sequence[str]) -> dict[str, str]:
    """The person of each night.

    Args:
        data: The folder or folders.
        subjects: Subjects of the data.

    Returns:
        {subject: person}. A night that wearers.json does not list counts as a separate person. In several sets persons
        are named `<set>.<person>`, unless wearers.json already names a person of another set in this way.

    Raises:
        UserMistake: A wearers.json is invalid.
    """
    if not isinstance(data, DataSets):
        wearers = read_wearers(data)
        return {subject: wearers.get(subject, subject) for subject in subjects}
    by_set = {name: read_wearers(folder) for name, folder in data.folders.items()}
    found = {}
    for subject in subjects:
        name, night = data.set_of(subject), located(data, subject)[1]
        found[subject] = _in_set(by_set[name].get(night, night), name, data.folders)
    return found


def _in_set(person: str, name: str, names: Sequence[str] | Mapping[str, Path]) -> str:
    """A person's name among several sets: with this set's prefix, unless it already has another's."""
    named = any(person.startswith(f"{other}.") for other in names if other != name)
    return person if named else f"{name}.{person}"


def identities(data: Data, persons: Mapping[str, str], other: Data) -> dict[str, set[str]]:
    """Names of nights and persons that can be compared with those of other data.

    Args:
        data: The folder or folders.
        persons: {subject: person}, as `people` returns it.
        other: The data to compare with. A folder that has different names in the two gets the first of these in both.
            If both are a single folder, equal ids also match, because one may be a copy of the other.

    Returns:
        {subject: names}.
    """
    other_folders = other.folders if isinstance(other, DataSets) else {other.resolve().name: other}
    folders = data.folders if isinstance(data, DataSets) else {data.resolve().name: data}
    other_names = {folder.resolve(): name for name, folder in other_folders.items()}
    common = {name: min(name, other_names.get(folder.resolve(), name)) for name, folder in folders.items()}

    def among_sets(text):
        if not isinstance(data, DataSets):
            return _in_set(text, common[data.resolve().name], other_folders)
        name = next((name for name in folders if text.startswith(f"{name}.")), None)
        return common[name] + text.removeprefix(name) if name else text

    single = not isinstance(data, DataSets) and not isinstance(other, DataSets)
    return {
        subject: {among_sets(subject), among_sets(person)} | ({subject, person} if single else set())
        for subject, person in persons.items()
    }
