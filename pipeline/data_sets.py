"""Several data sets in one training: whose night is whose, by set and by person.

A set is named by its folder, its nights `<set>.<id>`. A single folder is a plain Path, and its nights have their ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserMistake
from pipeline.files import read_json

WEARERS = "wearers.json"  # {night: person}, where a person may have several nights


@dataclass(frozen=True)
class DataSets:
    """Two or more folders of recordings.

    Attributes:
        folders: {name: folder}, in the order of the names.
    """

    folders: dict[str, Path]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> "DataSets":
        """The sets of some folders; in which order they are named makes no difference.

        Raises:
            UserMistake: A folder is named twice, or names do not tell the nights apart.
        """
        named: dict[str, Path] = {}
        for folder in folders:
            name, path = (folder if folder.name.strip(".") else folder.resolve()).name, folder.resolve()
            if path in named.values():
                raise UserMistake(f"--dataset_dir {folder}: named twice")
            if name in named:
                hint = "sets are told apart by the names of their folders: rename one, or link to it by another name"
                raise UserMistake(f"--dataset_dir: {named[name]} and {path} are both named {name}; {hint}")
            named[name] = path
        for name, other in ((name, other) for name in named for other in named if other.startswith(f"{name}.")):
            hint = f"nights of both could be named {other}.<id>: rename one, or link to it by another name"
            raise UserMistake(f"--dataset_dir: {named[name]} and {named[other]}: {hint}")
        return cls(dict(sorted(named.items())))

    def __str__(self) -> str:
        return ",".join(map(str, self.folders.values()))

    @property
    def name(self) -> str:
        """A name for all of them, for what is written about them."""
        return "+".join(self.folders)

    def resolve(self) -> "DataSets":
        """The same; the folders are resolved, as Path.resolve has it."""
        return self

    def set_of(self, subject: str) -> str:
        """Name of the set that a subject is in.

        Raises:
            UserMistake: It is in none of them.
        """
        for name in self.folders:
            if subject.startswith(f"{name}."):
                return name
        raise UserMistake(f"{self}: no recording of {subject}; its name must begin with {' or '.join(self.folders)}")


Data = Path | DataSets


def data_of(text: str) -> Data:
    """The folder that a text names, or the data sets, by comma. UserMistake as for `DataSets.of`."""
    parts = [Path(part.strip()) for part in text.split(",") if part.strip()]
    if len(parts) < 2 or Path(text).exists():
        return parts[0] if len(parts) == 1 else Path(text)
    return DataSets.of(parts)


def data_as_json(data: Data) -> str | dict[str, str]:
    """For JSON: the folder, or {name: folder}; `data_from_json` gives it back."""
    if isinstance(data, DataSets):
        return {name: str(folder) for name, folder in data.folders.items()}
    return str(data)


def data_from_json(value: str | Mapping[str, str]) -> Data:
    """What `data_as_json` made a JSON value of."""
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
    """{night: person} as the folder's wearers.json has it, {} where there is none.

    Raises:
        UserMistake: The file cannot be read or is of another form.
    """
    path = Path(folder) / WEARERS
    if not path.exists():
        return {}
    wearers = read_json(path)
    if not isinstance(wearers, dict) or not all(isinstance(person, str) and person for person in wearers.values()):
        raise UserMistake(f'{path}: expected an object of night and person, such as {{"01_4": "01"}}')
    return wearers


def people(data: Data, subjects: Sequence[str]) -> dict[str, str]:
    """Whose night each is.

    Args:
        data: The folder or folders.
        subjects: Of the data.

    Returns:
        {subject: person}. A night that wearers.json does not name is a person of its own. Of several sets the person
        is `<set>.<person>`, unless the file names a person of another of the sets in this way.

    Raises:
        UserMistake: A wearers.json is no such file.
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
    """A person's name among several sets: that of this set, unless it is another's already."""
    named = any(person.startswith(f"{other}.") for other in names if other != name)
    return person if named else f"{name}.{person}"


def identities(data: Data, persons: Mapping[str, str], other: Data) -> dict[str, set[str]]:
    """Names by which nights can be compared with those of other data: of the night, and of the person.

    Args:
        data: The folder or folders.
        persons: {subject: person}, as `people` returns it.
        other: What they are compared with. A folder that they call by two names has the first of these in both; where
            both are a single folder, equal ids are equal, too, as the folder may be a copy.

    Returns:
        {subject: names}.
    """
    theirs = other.folders if isinstance(other, DataSets) else {other.resolve().name: other}
    own = data.folders if isinstance(data, DataSets) else {data.resolve().name: data}
    at = {folder.resolve(): name for name, folder in theirs.items()}
    called = {name: min(name, at.get(folder.resolve(), name)) for name, folder in own.items()}

    def among_sets(text):
        if not isinstance(data, DataSets):
            return _in_set(text, called[data.resolve().name], theirs)
        name = next((name for name in own if text.startswith(f"{name}.")), None)
        return called[name] + text.removeprefix(name) if name else text

    bare = not isinstance(data, DataSets) and not isinstance(other, DataSets)
    return {
        subject: {among_sets(subject), among_sets(person)} | ({subject, person} if bare else set())
        for subject, person in persons.items()
    }
