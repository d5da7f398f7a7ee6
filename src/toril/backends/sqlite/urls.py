"""Parses the URLs of files, with the options after a `?`. Imports no SQLite."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl

from toril.core.checks import require, unknown
from toril.core.errors import InvalidOptionError

Durability = Literal["full", "normal"]
Share = Literal["owner", "group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """Options of a store's file."""

    durability: Durability = "full"
    """`full`: what was acknowledged survives a loss of power. `normal`: it survives the end of the
    process, but the last moments may be lost with the power."""
    share: Share = "owner"
    """Who may use a file that is made: `owner`, the user who makes it, or `group`, the file's group
    as well. A file that is there keeps its rights."""

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            value = getattr(self, name)
            require(value in words, name, value, " or ".join(repr(word) for word in words))


_WORDS: dict[str, tuple[str, ...]] = {
    "durability": get_args(Durability),
    "share": get_args(Share),
}


def parse(
    url: str, rest: str, *, asked: Durability | None, otherwise: FileOptions
) -> tuple[str, FileOptions]:
    """Return the path that a URL names (`:memory:` is one) and its options.

    Parameters:
        url: All of it, for messages.
        rest: What stands after `sqlite://`.
        asked: The durability that an argument asks for.
        otherwise: What holds where the URL says nothing.

    Raises:
        InvalidOptionError: It makes no sense.
    """
    rest, mark, query = rest.partition("?")
    path = ":memory:" if rest in (":memory:", "/:memory:") else rest.removeprefix("/")
    require(path != "", "url", url, "a path after 'sqlite:///'")
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _WORDS:
            raise InvalidOptionError(f"url={url!r}: {unknown('option', name, _WORDS)}")
        require(name not in options, "url", url, f"{name!r} once")
        options[name] = value
    require(
        not mark or bool(options), "url", url, "options such as 'durability=normal' after the '?'"
    )
    require(not options or path != ":memory:", "url", url, "no options for a store in memory")
    if asked is not None:
        said = options.setdefault("durability", asked)
        require(said == asked, "durability", asked, f"{said!r}, as the URL says, or no argument")
    try:
        return path, replace(otherwise, **options)
    except InvalidOptionError as error:
        raise InvalidOptionError(f"url={url!r}: {error}") from None
