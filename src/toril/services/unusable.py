"""The error of an input that will never work, whichever service refuses it."""

from __future__ import annotations

from toril.core.errors import TorilError

_SHOWN_CHARS = 120


class UnusableInputError(TorilError):
    """This input will never work: do not try again, correct it.

    Anything else that a service raises (no room on the disk, no memory, no database) is temporary.

    Parameters:
        subject: What was refused and which one, such as `image 'cat.jpg'`.
        reason: Why, and what would do, as the rest of the sentence.
    """

    def __init__(self, subject: str, reason: str) -> None:
        self.subject = subject
        self.reason = reason
        super().__init__(f"{subject}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.subject, self.reason)


def named(kind: str, name: str) -> str:
    """Return `kind 'name'` for an error's subject, the name shortened from the middle."""
    half = _SHOWN_CHARS // 2
    short = name if len(name) <= _SHOWN_CHARS else f"{name[:half]}…{name[-half:]}"
    return f"{kind} {short!r}"
