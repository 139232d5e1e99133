"""Damages bytes, text and JSON at random."""

import json
import random

TOKENS = [
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "-1e999",
    "1e-400",
    "9" * 400,
    "-1",
    "",
    " ",
    "\t",
    ",",
    ",,",
    '"',
    "'",
    "#",
]
TOKENS += [
    "٣",
    "6_1",
    "0x1f",
    "1,5",
    "1.2.3",
    "+-1",
    "\0",
    "\x1a",
    "\ufeff",
    "\r",
    "\r\n",
    "\n\n",
    "true",
    "null",
    "é",
    "💤",
]
TOKENS += ["1e308", "-0.0", "4294967296", "9007199254740993", "2020-01-01T00:00:00Z"]
VALUES = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\0",
]
VALUES += ["../../etc/passwd", "/etc/passwd", [], {}, [[]], [None], {"": None}, "9" * 1000]


def damaged_bytes(draw: random.Random, content: bytes) -> bytes:
    """Content with bits flipped, or parts lost, repeated, moved or replaced."""
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 5, 50])):
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.choice([1, 4, 100, 5000]))
        match draw.randrange(7):
            case 0 if at < len(content):
                content[at] ^= 1 << draw.randrange(8)
            case 1:
                content[at:end] = draw.randbytes(end - at)
            case 2:
                del content[at:end]
            case 3:
                del content[at:]
            case 4:
                content[at:at] = content[at:end] * draw.choice([1, 2, 10])
            case 5:
                content[at:at] = draw.choice([b"\0", b"\xff", b"\n", b"\r\n", b"\xef\xbb\xbf"]) * draw.choice(
                    [1, 3, 1000]
                )
            case 6:
                content[at:end] = bytes(end - at)
    return bytes(content)


def damaged_lines(draw: random.Random, content: bytes) -> bytes:
    """Content with fields or lines replaced, lost, repeated or in another order."""
    lines = content.decode(errors="replace").split("\n")
    for _ in range(draw.choice([1, 1, 2, 5, 30])):
        at = draw.randrange(len(lines))
        separator = "," if "," in lines[at] else " "
        fields = lines[at].split(separator)
        match draw.randrange(8):
            case 0:
                fields[draw.randrange(len(fields))] = draw.choice(TOKENS)
            case 1:
                fields.append(draw.choice(TOKENS))
            case 2:
                fields.reverse()
            case 3:
                fields = fields[:-1]
            case 4:
                lines[at:at] = lines[at : at + draw.choice([1, 10, 500])]
                continue
            case 5:
                del lines[at + 1 : at + draw.choice([2, 10, 500])]
                continue
            case 6:
                part = lines[at : at + draw.choice([2, 20])]
                draw.shuffle(part)
                lines[at : at + len(part)] = part
                continue
            case 7:
                lines[at] = (draw.choice(TOKENS) * draw.choice([1, 1, 2, 100_000]))[:400_000]
                continue
        lines[at] = separator.join(fields)
    return draw.choice(["\n", "\n", "\n", "\r\n", "\r"]).join(lines).encode(errors="surrogatepass")


def damaged_json(draw: random.Random, content: bytes) -> bytes:
    """JSON with values or keys replaced, lost, repeated or exchanged."""
    document = json.loads(content)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        here, key = draw.choice(list(places(document)))
        match draw.randrange(4):
            case 0 if isinstance(here, dict):
                here[key + draw.choice(["x", " ", "\0"])] = here.pop(key)
            case 1 if isinstance(here, list):
                here.insert(key, draw.choice(VALUES))
            case 2:
                del here[key]
            case _:
                value = here[key]
                number = isinstance(value, int | float) and not isinstance(value, bool)
                choices = [value + 1, -value, value * 1000, value / 7, str(value)] if number else VALUES
                here[key] = draw.choice([*choices, draw.choice(VALUES)])
        if not document:
            break
    return json.dumps(document).encode()


def places(value):
    """(container, key or index) of everything in a JSON value."""
    for key in [*value] if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])
