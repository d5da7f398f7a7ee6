"""Escapes whatever could do harm on a terminal, in any encoding.

Anybody who can add jobs chooses names, reasons and results. A control character in them could move
the cursor, retitle the terminal or type in the user's place. A mark of writing direction could show
a text in another order. Both are printed as escapes.
"""

from __future__ import annotations

import codecs
import re
import sys
from typing import TextIO

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_ERRORS = "toril-readable"
_PLAIN = {"✓": "+", "✗": "x", "×": "x", "…": "~", "—": "-", "·": "*"}
"""Our own signs, and rich's, for encodings that lack them. One character each: tables stay even."""


def write(text: str, *, end: str = "\n", err: bool = False) -> None:
    """Print a text. All output of commands goes through here.

    Only visible characters, ends of lines and colours reach the terminal.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # None: it was closed before this process began
        stream.write(harmless_output(text + end))
        stream.flush()


def printable(text: str) -> str:
    """Return a text on one line without control characters."""
    if text.isprintable():
        return str(text)
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def printable_lines(text: str) -> list[str]:
    """Return a text's lines, each without control characters."""
    return [printable(line.expandtabs(4)) for line in text.splitlines()]


def harmless_output(text: str) -> str:
    """Return a text without control characters but ends of lines and colours.

    The last check of everything that goes to a stream. Colours may pass, as they are ours: texts
    from outside went through `printable` before.
    """
    if text.replace("\n", "").isprintable():
        return text
    pieces = _COLOUR.split(text)  # every second one is a colour
    pieces[::2] = ["\n".join(map(printable, piece.split("\n"))) for piece in pieces[::2]]
    return "".join(pieces)


def harmless_json(text: str, *, ascii_only: bool = False) -> str:
    """Return a JSON text that means the same, without control characters but ends of lines.

    Parameters:
        text: A JSON text, or several on lines of their own.
        ascii_only: Escape whatever is not ASCII: for streams that cannot take it.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        each
        if each == "\n" or (each.isprintable() and (each.isascii() or not ascii_only))
        else _json_escaped(each)
        for each in text
    )


def encodes(stream: TextIO | None, text: str) -> bool:
    """Whether a stream's encoding has these characters."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def readable_streams() -> None:
    """Let stdout and stderr take any text: what their encoding lacks is shown as an escape."""
    codecs.register_error(_ERRORS, _readable)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # None: closed, or somebody's own
            reconfigure(errors=_ERRORS)


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    shown = [_PLAIN.get(each) or f"{each!a}"[1:-1] for each in lacking]
    return "".join(shown), error.end


def _escaped(character: str) -> str:
    if character.isspace():
        return " "
    return character.encode("unicode_escape", "surrogatepass").decode()


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
