"""Reads XML that others made: as a stream, and without ever expanding an entity."""

import re
from collections.abc import Callable
from typing import IO
from xml.etree import ElementTree
from xml.parsers import expat

from pipeline.errors import UserMistake

CHUNK = 1 << 18  # bytes read at a time
LONGEST_HEAD = 1 << 20  # bytes before the first element; Apple's document type takes 10 kB
LONGEST_ELEMENT = 1 << 20  # bytes from one ">" to the next; what is longer would be held, and parsed over and over
CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))  # not allowed in XML, yet found in exports
Start = Callable[[str, dict[str, str]], object]


def _without_doctype(head, root, name):
    """The head of a file as far as read, less its document type, in which entities would be declared.

    The document type is not needed, and that of several versions of iOS is not well-formed.
    """
    begin = head.find(b"<" + root)
    prologue = head[:begin]
    if b"<!ENTITY" in prologue.upper():
        raise UserMistake(f"{name}: declares entities, which no export does; not read")
    cut = prologue.find(b"<!DOCTYPE")
    lines = prologue[cut:].count(b"\n") if cut >= 0 else 0
    return (prologue[:cut] + b"\n" * lines if cut >= 0 else prologue) + head[begin:]


def stream(
    file: IO[bytes],
    name: str,
    root: str,
    start: Start,
    progress: Callable[[int], object] = lambda read: None,
    passed_over: re.Pattern[bytes] | None = None,
) -> None:
    """Call `start(tag, attributes)` at every element of an XML file, keeping nothing.

    Args:
        file: Its bytes, UTF-8.
        name: For messages.
        root: Tag of the outermost element.
        start: Called at the begin of each element.
        progress: Told how many bytes were read.
        passed_over: Whole elements without content, each after a line break, that need not be parsed. What is cut by
            the end of a chunk is parsed all the same.

    Raises:
        UserMistake: It is not well-formed, has another root, an element of more than LONGEST_ELEMENT, or declares
            entities; says on which line.
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
        raise UserMistake(f"{name}: line {parser.CurrentLineNumber}: declares an entity; not read")

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
            parser.Parse(passed_over.sub(b"\n", data) if passed_over else data)
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
    """The tree of a small XML file without a document type.

    Raises:
        UserMistake: It is not well-formed, or has a document type.
    """
    text = data.decode("utf-8-sig", errors="replace")
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise UserMistake(f"{name}: has a document type, which these annotations do not; not read")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UserMistake(f"{name}: line {error.position[0]}: not well-formed; expected annotations in XML") from None
