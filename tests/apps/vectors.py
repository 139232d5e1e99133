"""The test vectors, for the runner of any language: which there are, and a copy of the bundle that one opens."""

import json
import shutil
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
REFERENCE = FOLDER.parents[1] / "bundles"
VECTORS = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def read_vector(name):
    return json.loads(VECTORS[name].read_text())


def bundle_of(vector, scratch):
    """The folder of a vector's bundle; where it is to be altered, an altered copy in the folder scratch."""
    folder = FOLDER / "bundles" / vector["bundle"]
    folder = folder if folder.exists() else REFERENCE / vector["bundle"]
    alteration = vector.get("open", {}).get("alter")
    if not alteration:
        return folder
    copy = Path(shutil.copytree(folder, Path(scratch) / folder.name))
    file = copy / alteration["file"]
    if alteration.get("delete"):
        file.unlink()
    elif "flip_byte" in alteration:
        content = bytearray(file.read_bytes())
        content[alteration["flip_byte"]] ^= 0xFF
        file.write_bytes(content)
    elif "end" in alteration:
        file.write_bytes(file.read_bytes().removesuffix(b"\n}\n") + alteration["end"].encode())
    else:
        document = json.loads(file.read_text())
        for place, value in alteration.get("json", {}).items():
            part, key = parent_and_key(document, place)
            part[key] = value
        if "remove" in alteration:
            part, key = parent_and_key(document, alteration["remove"])
            del part[key]
        file.write_text(json.dumps(document))
    return copy


def parent_and_key(document, place):
    """(the object or list, key or index) of a place such as precisions.int8.calls.1.file."""
    *parents, last = place.split(".")
    for name in parents:
        document = document[int(name) if isinstance(document, list) else name]
    return document, int(last) if isinstance(document, list) else last
