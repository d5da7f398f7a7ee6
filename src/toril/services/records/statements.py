"""Cuts a script of SQL into its statements."""

from __future__ import annotations

import re

_END = re.compile(r";[ \t]*(?:--.*)?$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


def statements_of(script: str) -> list[str]:
    """Return the statements of a script, without comments that have a line of their own.

    Parameters:
        script: Each statement ends with a `;` at the end of a line; the last one may lack it.
    """
    parts = _END.split(_COMMENT.sub("", script))
    return [part.strip() for part in parts if part.strip()]
