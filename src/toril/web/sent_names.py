"""Lets an error name what a request sent: options of Python have other names here and there."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from toril.core.errors import InvalidOptionError

_OTHERS = {
    "cursor": "after",
    "keep": "dead_letter_keep_s",
    "max_nodes": "limit",
    "query": "q",
    "window_s": "rate_window_s",
}
"""Names in requests by those in Python; beside them, spans end with their unit: `every_s`."""


def as_sent(error: InvalidOptionError, sent: Iterable[object]) -> InvalidOptionError:
    """Return the error with the names of the request in place of those of Python.

    Parameters:
        error: It says `option=value: expected …`.
        sent: The query and the body, or whatever there is of them.
    """
    structs = (each for each in sent if isinstance(each, msgspec.Struct))
    names = {name for each in structs for name in each.__struct_fields__}
    renamed = {name.removesuffix("_s"): name for name in names if name.endswith("_s")}
    renamed |= {ours: theirs for ours, theirs in _OTHERS.items() if theirs in names}
    text = str(error)
    for ours, theirs in renamed.items():
        if ours not in names:
            text = re.sub(rf"(?<![\w'\"]){ours}(?==)", theirs, text)
    return error if text == str(error) else InvalidOptionError(text)
