"""Puts a script together with the functions of `lua/lib/` that it uses.

Nobody lists them: a name that a file uses and does not declare is looked up in the library. What it
finds is included once, after everything that it uses itself.

The server runs the whole text of a script at each call, and makes each function in it anew. So what
most calls do not need is reached as `rarely().<function>(…)`: these functions, and what only they
use, are made when a call first says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|--[^\n]*"""  # texts and comments name nothing
    r"|\.{2,3}|\brarely\(\)\.(?P<rarely>\w+)|[.:]\s*\w+|\b\d\w*"  # nor do fields and numbers
    r"|\b(?P<name>[A-Za-z_]\w*)\b(?!\s*=(?!=))"  # nor what is assigned to
)
_TOP_LEVEL = re.compile(
    r"^local (?:function (?P<function>\w+)|(?P<names>\w+(?:, \w+)*)(?= =|$))", re.MULTILINE
)
_DECLARED = re.compile(
    r"\bfor (?P<loop>[\w, ]+?) (?:in|=)|\bfunction\b[^(]*\((?P<parameters>[^)]*)\)"
    r"|\blocal (?!function\b)(?P<names>\w+(?:\s*,\s*\w+)*)"
)
_COMMENT = re.compile(r"--[^\n]*")
_LANGUAGE = frozenset(
    """and break do else elseif end false for function if in local nil not or repeat return then
    true until while
    assert error ipairs next pairs pcall select tonumber tostring type unpack math string table
    cjson redis KEYS ARGV rarely""".split()
)
"""Words of Lua, and the globals that a server gives to scripts."""


@dataclass(frozen=True, slots=True)
class Part:
    """A script, or one file of the library."""

    name: str
    """`exchange`, or `lib/take`."""
    code: str
    """Its text without comments."""
    uses: tuple[str, ...]
    """The names that it uses and does not declare, in order."""
    uses_rarely: tuple[str, ...]
    """The names that it uses as `rarely().<name>`, in order."""


def part(name: str, source: str) -> Part:
    """Return what a file uses."""
    code = _without_comments(source)
    found = [match for match in _TOKEN.finditer(code) if match.lastgroup]
    own = {*_LANGUAGE, *declared(code)}
    return Part(
        name,
        code,
        uses=tuple(dict.fromkeys(one["name"] for one in found if one["name"] not in (None, *own))),
        uses_rarely=tuple(dict.fromkeys(one["rarely"] for one in found if one["rarely"])),
    )


def declared(code: str) -> set[str]:
    """Return all names that a file declares: at its top level, within functions, as parameters."""
    code = _COMMENT.sub("", code)
    names = set(re.findall(r"\blocal function (\w+)", code))
    for match in _DECLARED.finditer(code):
        text = match["loop"] or match["parameters"] or match["names"] or ""
        names.update(one.strip() for one in text.split(","))
    return names - {"", "..."}


class Library:
    """The files of `lua/lib/`."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Read the library.

        Parameters:
            sources: The text of each file, by its name.

        Raises:
            ValueError: Two files make the same name.
        """
        self._sources = sources
        self._parts: dict[str, Part] = {}
        self._makers: dict[str, str] = {}
        for name, source in sources.items():
            for made in _top_level(source):
                other = self._makers.setdefault(made, name)
                if other != name:
                    raise ValueError(
                        f"lua/lib/{other}.lua and lua/lib/{name}.lua: both make {made!r}"
                    )

    def parts(self, name: str, source: str) -> tuple[list[Part], list[Part]]:
        """Return what a script includes, in order: for every call, and for rare ones.

        Raises:
            ValueError: Nothing makes a name that is used, or files use each other in a circle.
        """
        script = part(name, source)
        often: dict[str, Part] = {}
        self._include(script, (), often, {})
        del often[name]
        seldom: dict[str, Part] = {}
        left = [script, *often.values()]
        for user in left:
            for wanted in user.uses_rarely:
                before = len(seldom)
                self._include(self._maker(user, wanted), (), seldom, often)
                left += [*seldom.values()][before:]
        return list(often.values()), list(seldom.values())

    def link(self, name: str, source: str) -> str:
        """Return the text of a script with everything that it includes, and without comments.

        Raises:
            ValueError: As `parts`.
        """
        often, seldom = self.parts(name, source)
        code = _without_comments(source)
        if not seldom:
            return "".join(lib.code for lib in often) + code
        # Whatever says `rarely()` stands below this line, and runs after the function was made.
        made = "".join(lib.code for lib in seldom)
        names = ", ".join(f"{one} = {one}" for lib in seldom for one in _functions(lib))
        return (
            "local made_rarely, rarely\n"
            f"{''.join(lib.code for lib in often)}"
            "function rarely()\n"
            "if not made_rarely then\n"
            f"{made}"
            f"made_rarely = {{ {names} }}\n"
            "end\n"
            "return made_rarely\n"
            "end\n"
            f"{code}"
        )

    def _include(
        self, user: Part, path: tuple[str, ...], into: dict[str, Part], there: Mapping[str, Part]
    ) -> None:
        """Add a part to `into`, after everything that it uses and that is not `there`."""
        if user.name in into or user.name in there:
            return
        if user.name in path:
            circle = " -> ".join((*path[path.index(user.name) :], user.name))
            raise ValueError(f"lua/{user.name}.lua: files use each other in a circle: {circle}")
        for wanted in user.uses:
            self._include(self._maker(user, wanted), (*path, user.name), into, there)
        into[user.name] = user

    def _maker(self, user: Part, wanted: str) -> Part:
        maker = self._makers.get(wanted)
        if maker is None:
            raise ValueError(
                f"lua/{user.name}.lua: uses {wanted!r}, which neither it nor a file of lua/lib/"
                " declares"
            )
        if maker not in self._parts:
            self._parts[maker] = part(f"lib/{maker}", self._sources[maker])
        return self._parts[maker]


def _top_level(source: str) -> Iterator[str]:
    """Yield the names that a file declares at its top level."""
    for match in _TOP_LEVEL.finditer(source):
        yield from (match["function"] or match["names"]).split(", ")


def _functions(lib: Part) -> Iterator[str]:
    return (match["function"] for match in _TOP_LEVEL.finditer(lib.code) if match["function"])


def _without_comments(source: str) -> str:
    """Return the lines that are not only comment, or nothing."""
    lines: Iterable[str] = (
        line for line in source.splitlines() if not line.lstrip().startswith("--")
    )
    return "".join(f"{line}\n" for line in lines if line.strip())
