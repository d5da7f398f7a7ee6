"""What a key or a user may do, as it is given, kept and shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from toril.core.checks import require, unknown
from toril.core.errors import InvalidOptionError
from toril.core.ids import MAX_ID_CHARS
from toril.engine.contract import Grant
from toril.web.access.port import Role

MAX_NAME_CHARS = 100
MAX_PATTERNS = 200
MAX_STARS = 5


def check_name(name: str) -> str:
    """Return a name for a key or a user, in Unicode's composed form.

    Raises:
        InvalidOptionError: It is empty, too long, cannot be printed, or has a space at an end.
    """
    good = isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS and name.isprintable()
    require(
        good and name == name.strip(),
        "name",
        name,
        f"1 to {MAX_NAME_CHARS} characters that can be printed, without a space at the ends",
    )
    return composed(name)


def composed(name: str) -> str:
    """Return a name as it is kept, however a keyboard types its accents."""
    return unicodedata.normalize("NFC", name)


def grant(role: Role | str, queues: Iterable[str] | None, payloads: bool) -> Grant:
    """Return a grant to keep.

    Parameters:
        role: Which.
        queues: Names, or patterns with `*` for any characters. None: all queues.
        payloads: Whether what jobs carry may be seen.

    Raises:
        InvalidOptionError: There is no such role, or a pattern makes no sense.
    """
    if role not in tuple(Role):
        raise InvalidOptionError(unknown("role", str(role), Role))
    if queues is None:
        return Grant(str(role), None, payloads)
    require(not isinstance(queues, str), "queues", queues, "a list of names")
    patterns = tuple(dict.fromkeys(queues))
    require(0 < len(patterns) <= MAX_PATTERNS, "queues", patterns, f"1 to {MAX_PATTERNS} names")
    for pattern in patterns:
        good = isinstance(pattern, str) and 0 < len(pattern) <= MAX_ID_CHARS
        good = good and pattern.isprintable() and ":" not in pattern
        require(
            good and pattern.count("*") <= MAX_STARS,
            "queues",
            pattern,
            f"names of queues, with up to {MAX_STARS} '*' for any characters",
        )
    return Grant(str(role), patterns, payloads)


def role_of(kept: Grant) -> Role | None:
    """Return a role from the store; None if this version knows none of that name."""
    return Role(kept.role) if kept.role in tuple(Role) else None
