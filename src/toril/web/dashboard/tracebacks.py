"""Splits a traceback into its frames, so that a page can show the app's own first."""

from __future__ import annotations

import re

import msgspec

_FRAME = re.compile(r'^\s*File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<name>.*))?$')
_NODE = re.compile(r"^\s+at (?P<name>.*?) ?\(?(?P<file>[^()\s]+):(?P<line>\d+):\d+\)?$")
_LIBRARY = (
    "/site-packages/",
    "/dist-packages/",
    "/node_modules/",
    "node:internal",
    "/toril/engine/",
    "/toril/tasks/",
    "<frozen ",
)
_STANDARD = re.compile(r"/lib/python3\.\d+/(?!site-packages)")
MOST_LINES = 2000
"""Of a traceback; the rest is cut, and the whole is in the raw record."""


class Part(msgspec.Struct, frozen=True):
    """Lines of a traceback that belong together."""

    lines: tuple[str, ...]
    own: bool
    """They are the app's, or no frame at all: shown at once. Others are folded."""
    frames: int
    """How many frames they hold."""


def parts_of(traceback: str) -> list[Part]:
    """Return a traceback in parts: neighbouring frames of libraries are one."""
    blocks: list[tuple[list[str], bool, int]] = []
    for line in traceback.splitlines()[:MOST_LINES]:
        found = _FRAME.match(line) or _NODE.match(line)
        if found:
            own = not _is_library(found["file"])
            if blocks and blocks[-1][1] == own and blocks[-1][2]:
                block = blocks[-1]
                block[0].append(line)
                blocks[-1] = (block[0], own, block[2] + 1)
            else:
                blocks.append(([line], own, 1))
        elif blocks and blocks[-1][2] and line.startswith("    "):
            blocks[-1][0].append(line)  # the source line of the frame above
        elif blocks and not blocks[-1][2]:
            blocks[-1][0].append(line)
        else:
            blocks.append(([line], True, 0))
    return [Part(tuple(lines), own, frames) for lines, own, frames in blocks]


def _is_library(file: str) -> bool:
    path = file.replace("\\", "/")
    return any(mark in path for mark in _LIBRARY) or _STANDARD.search(path) is not None
