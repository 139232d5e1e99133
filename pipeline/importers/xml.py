"""Reads untrusted XML as a stream, without expanding entities."""

import re
from collections.abc import Callable
from typing import IO
from xml.etree import ElementTree
from xml.parsers import expat

from pipeline.errors import UserMistake

CHUNK = 1 << 18  # bytes read at a time
LONGEST_HEAD = 1 << 20  # bytes before the first element; Apple's document type has 10 kB
LONGEST_ELEMENT = 1 << 20  # bytes from one ">" to the next; longer text would be kept and parsed again and again
CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))  # not allowed in XML, yet found in exports
Start = Callable[[str, dict[str, str]], object]


def _without_doctype(head, root, name):
    """The beginning of a file without its document type, which could declare entities.

    The document type is not needed, and that of several iOS versions is not well-formed.
    """
    begin = head.find(b"<" + root)
    prologue = head[:begin]
    if b"<!ENTITY" in prologue.upper():
        raise UserMistake(f"{name}: declares XML entities, which exports do not; not read")
    cut = prologue.find(b"<!DOCTYPE")
    lines = prologue[cut:].count(b"\n") if cut >= 0 else 0
    return (prologue[:cut] + b"\n" * lines if cut >= 0 else prologue) + head[begin:]


def stream(
    file: IO[bytes],
    name: str,
    root: str,
    start: Start,
    progress: Callable[[int], object] = lambda read: None,
    skipped: re.Pattern[bytes] | None = None,
) -> None:
    """Call `start(tag, attributes)` at every element of an XML file, without keeping the tree.

    Args:
        file: The file, UTF-8, opened for reading bytes.
        name: Name of the file, for messages.
        root: Tag of the outermost element.
        start: Called at the start of each element.
        progress: Called with the number of bytes read.
        skipped: Pattern of whole elements without content, each after a line break, that need not be parsed. Elements
            that span two chunks are parsed anyway.

    Raises:
        UserMistake: The file is not well-formed, has another root, an element longer than LONGEST_ELEMENT, or declares
            entities. The message names the line.
    """
    head = b""
    tag = root.encode()
    while b"<" + tag not in head:
        chunk = file.read(CHUNK)
        head += chunk
        if not chunk or len(head) > LONGEST_HEAD:
            what = "empty" if not head else f"no <{root}> in it"
            raise UserMistake(f"{name}: {what}; expected an export with <{root}> as its outermost element")
    parser = expat.ParserCreate("UTF-8")
    parser.StartElementHandler = start
    parser.buffer_text = True

    def refuse(*_):
        raise UserMistake(f"{name}: line {parser.CurrentLineNumber}: declares an XML entity; not read")

    parser.EntityDeclHandler = refuse
    read, data, open_for = len(head), _without_doctype(head, tag, name), 0
    try:
        while data:
            closed = data.rfind(b">")
            open_for = len(data) - closed - 1 + (open_for if closed < 0 else 0)
            if open_for > LONGEST_ELEMENT:
                where = f"{name}: after line {parser.CurrentLineNumber}"
                raise UserMistake(f"{where}: more than {LONGEST_ELEMENT >> 20} MB without a '>'; expected an export")
            data = data.translate(None, CONTROL)
            parser.Parse(skipped.sub(b"\n", data) if skipped else data)
            progress(read)
            data = file.read(CHUNK)
            read += len(data)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]:
            what = "ends too early"
        raise UserMistake(f"{name}: line {error.lineno}: {what}; expected a whole, well-formed export") from None


def small_tree(data: bytes, name: str) -> ElementTree.Element:
    """Parse a small XML file without a document type.

    Raises:
        UserMistake: The file is not well-formed, or has a document type.
    """
    text = data.decode("utf-8-sig", errors="replace")
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise UserMistake(f"{name}: has a document type, which these annotations never have; not read")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UserMistake(f"{name}: line {error.position[0]}: not well-formed; expected annotations in XML") from None
