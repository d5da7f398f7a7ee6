"""The store's Lua: one file a transition, in `lua/`, with a header that says how to call it.

What a header has to look like: `tests/backends/redis/test_scripts.py` checks it for every file.
After it come lines `-- @include lib/<name>`, and `-- @include lib/<name> rarely` for what most
calls of the script do not need: it says `rarely().<function>(…)` where it does.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

SECTIONS = ("KEYS", "ARGV", "RETURNS", "EMITS", "COST")

_INCLUDE = re.compile(r"-- @include lib/(\w+)( rarely)?")
_FUNCTION = re.compile(r"^local function (\w+)", re.MULTILINE)
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
        FileNotFoundError: There is no such file, or it includes one that is not there.
        ValueError: Its header cannot be read.
    """
    source = _read(name)
    sections = parse_header(name, source)
    text = _code(source)
    included = dict.fromkeys(_INCLUDE.findall(source))  # each once, in order
    often = [_code(_read(f"lib/{lib}")) for lib, rarely in included if not rarely]
    seldom = [_code(_read(f"lib/{lib}")) for lib, rarely in included if rarely]
    text = _made_when_used(seldom, often) + text
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
        if not line.startswith("--") or _INCLUDE.fullmatch(line):
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


def _read(name: str) -> str:
    return (files("toril.backends.redis") / "lua" / f"{name}.lua").read_text("utf-8")


def _made_when_used(seldom: list[str], often: list[str]) -> str:
    """Return the code of what a script includes.

    The server runs the whole text of a script at each call, so that each function in it is made
    each time: for one job that was a fifth of the time. Those of `seldom` are made when the script
    first says `rarely()`, which returns all of them by their names. They may use those of `often`
    that stand before the first that says so.
    """
    if not seldom:
        return "".join(often)
    first = next((place for place, text in enumerate(often) if "rarely()" in text), len(often))
    code = "".join(seldom)
    names = ", ".join(f"{name} = {name}" for name in _FUNCTION.findall(code))
    lazily = (
        "local made_rarely\n"
        "local function rarely()\n"
        "if not made_rarely then\n"
        f"{code}"
        f"made_rarely = {{ {names} }}\n"
        "end\n"
        "return made_rarely\n"
        "end\n"
    )
    return "".join((*often[:first], lazily, *often[first:]))


def _code(source: str) -> str:
    """Return the lines that are not only comment, or nothing."""
    lines = (line for line in source.splitlines() if not line.lstrip().startswith("--"))
    return "".join(f"{line}\n" for line in lines if line.strip())


def _names(entries: list[str]) -> tuple[str, ...]:
    return tuple(entry.split()[0] for entry in entries)


def _bounds(names: tuple[str, ...]) -> tuple[int, int]:
    if names and names[-1].endswith("..."):
        return len(names) - 1, 1 << 30
    return len(names), len(names)
