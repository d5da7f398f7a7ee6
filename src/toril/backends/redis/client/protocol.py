"""Packs commands and parses replies. The only module that imports `hiredis`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

try:
    import hiredis
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("the Redis backend needs hiredis", "redis") from error

Argument = str | int | float | bytes
"""A word of a command. Numbers travel as decimal text."""

ReplyError = hiredis.ReplyError
"""The server's own words for a refusal; `refusals.translate` makes an error for callers of it."""
ProtocolError = hiredis.ProtocolError
"""What arrived is not Redis' protocol."""

# Cast: hiredis types a command as a tuple of exactly one word.
pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)
"""Return a command as bytes. It takes a tuple and nothing else."""


def reader() -> Any:
    """Return a parser of replies: text as `str`, lists as `list`, errors as `ReplyError`."""
    return hiredis.Reader(encoding="utf-8", errors="replace")
