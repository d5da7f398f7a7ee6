"""The store's Lua: one file a transition, in `lua/`, with a header that says how to call it.

What a header has to look like: `tests/backends/redis/test_scripts.py` checks it for every file.
What a script uses of `lua/lib/` is found by the names in it (`lua_library.py`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from toril.backends.redis.lua_library import Library

SECTIONS = ("KEYS", "ARGV", "RETURNS", "EMITS", "COST")

_ENTRY = re.compile(r"-- {3}([^\s].*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script as it is sent, and what it has to be given."""

    name: str
    text: str = field(repr=False)
    """The Lua, with what it includes and without comments."""
    sha: str
    """Its SHA-1 as hexadecimal: its name at the server."""
    keys: tuple[str, ...]
    """What its keys are. A last name that ends in `...` stands for any number."""
    args: tuple[str, ...]
    """What its other arguments are, likewise."""
    _bounds: tuple[int, int, int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_bounds", (*_bounds(self.keys), *_bounds(self.args)))

    @property
    def makes_keys(self) -> bool:
        """Whether it uses keys that it is not given: those of a queue, made of its `meta`."""
        return self.keys[:1] in (("meta",), ("metas...",))

    def check(self, keys: int, args: int) -> None:
        """Refuse a wrong number of keys or arguments.

        Raises:
            TypeError: With what is expected.
        """
        least_keys, most_keys, least_args, most_args = self._bounds
        if not (least_keys <= keys <= most_keys and least_args <= args <= most_args):
            raise TypeError(
                f"script {self.name!r}: expected keys ({', '.join(self.keys)}) and arguments"
                f" ({', '.join(self.args)}), got {keys} and {args}"
            )


@cache
def script(name: str) -> Script:
    """Return the script of `lua/<name>.lua`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Its header cannot be read; or it uses a function that is nowhere, or files of
            the library use each other in a circle.
    """
    source = _read(name)
    sections = parse_header(name, source)
    text = library().link(name, source)
    return Script(
        name=name,
        text=text,
        sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
        keys=_names(sections["KEYS"]),
        args=_names(sections["ARGV"]),
    )


def parse_header(name: str, source: str) -> dict[str, list[str]]:
    """Return the entries of each section of a header; lines that continue one are left out.

    Raises:
        ValueError: It does not begin with the file's name, or a section is missing.
    """
    lines = source.splitlines()
    if not lines or not lines[0].startswith(f"-- {name}: "):
        raise ValueError(f"lua/{name}.lua: expected its first line to begin with '-- {name}: '")
    sections: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("--"):
            break
        if line.removeprefix("-- ") in SECTIONS:
            sections[line.removeprefix("-- ")] = []
        elif sections and (entry := _ENTRY.fullmatch(line)):
            sections[list(sections)[-1]].append(entry[1])
    missing = [section for section in SECTIONS if not sections.get(section)]
    if missing and missing != ["ARGV"]:  # a script may need no more than its keys
        raise ValueError(f"lua/{name}.lua: its header lacks {', '.join(missing)}")
    if list(sections) != list(SECTIONS):
        raise ValueError(f"lua/{name}.lua: expected the sections {', '.join(SECTIONS)} in order")
    return sections


@cache
def library() -> Library:
    """Return the files of `lua/lib/`.

    Raises:
        ValueError: Two of them make the same name.
    """
    names = (path.name for path in (_folder() / "lib").iterdir())
    return Library(
        {
            name.removesuffix(".lua"): _read(f"lib/{name.removesuffix('.lua')}")
            for name in sorted(names)
            if name.endswith(".lua")
        }
    )


def _folder() -> Traversable:
    return files("toril.backends.redis") / "lua"


def _read(name: str) -> str:
    return (_folder() / f"{name}.lua").read_text("utf-8")


def _names(entries: list[str]) -> tuple[str, ...]:
    return tuple(entry.split()[0] for entry in entries)


def _bounds(names: tuple[str, ...]) -> tuple[int, int]:
    if names and names[-1].endswith("..."):
        return len(names) - 1, 1 << 30
    return len(names), len(names)
