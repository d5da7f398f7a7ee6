"""What a server needs to know of a caller: who it is, and what it may do.

A route names the `Permission` that it needs, asks `Access.identify` who calls, and then
`Principal.may`. How callers prove who they are is not known here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from toril.core.errors import TorilError
from toril.core.wildcards import matches
from toril.engine.operations import MAX_ACTOR_CHARS

if TYPE_CHECKING:  # keys are managed where no server is installed
    from starlette.requests import HTTPConnection


class Permission(StrEnum):
    """What a route needs."""

    READ = "read"
    """See queues, jobs, schedules, flows, workers, events; of jobs, all but what they carry."""
    PAYLOADS = "payloads"
    """See what jobs carry: payloads, results, errors, log lines."""
    SUBMIT = "submit"
    """Add jobs."""
    OPERATE = "operate"
    """Change jobs, queues, schedules and workers that exist."""
    ADMIN = "admin"
    """Manage keys and users, read the audit log, remove whole queues."""


class Role(StrEnum):
    """What a caller may do. Each role may do what the one before it may, and more."""

    VIEWER = "viewer"
    SUBMITTER = "submitter"
    OPERATOR = "operator"
    ADMIN = "admin"


_ADDED = {
    Role.VIEWER: Permission.READ,
    Role.SUBMITTER: Permission.SUBMIT,
    Role.OPERATOR: Permission.OPERATE,
    Role.ADMIN: Permission.ADMIN,
}
"""What each role may that the one before it may not."""
_ROLES = tuple(Role)
_OF_ROLE = {
    role: frozenset(_ADDED[lower] for lower in _ROLES[: place + 1])
    for place, role in enumerate(_ROLES)
}
_OF_NO_QUEUE = frozenset({Permission.READ, Permission.PAYLOADS})


class Principal(msgspec.Struct, frozen=True):
    """A caller that is known."""

    name: str
    kind: Literal["key", "user", "host"]
    """A key, a user of Toril's, or a user of the application that the server is mounted in."""
    role: Role
    queues: tuple[str, ...] | None
    """Names of queues, in which `*` stands for any characters. None: all queues."""
    payloads: bool
    """Whether it may see what jobs carry. No role says so by itself."""

    def may(self, permission: Permission, queue: str | None = None) -> bool:
        """Whether it may do something.

        Parameters:
            permission: What.
            queue: To which queue. None: to something that belongs to no single queue. A caller
                that is limited to queues may only read there, and must be shown its own part.
        """
        if permission is Permission.PAYLOADS:
            if not self.payloads:
                return False
        elif permission not in _OF_ROLE[self.role]:
            return False
        if self.queues is None:
            return True
        if queue is None:
            return permission in _OF_NO_QUEUE
        return self.sees(queue)

    def may_somewhere(self, permission: Permission) -> bool:
        """Whether it may do something to any queue at all. To which, is to be asked for each."""
        if permission is Permission.PAYLOADS:
            return self.payloads
        return permission in _OF_ROLE[self.role] and self.queues != ()

    def sees(self, queue: str) -> bool:
        """Whether a queue is one of those that it is limited to, or it is not limited."""
        return self.queues is None or any(matches(pattern, queue) for pattern in self.queues)

    @property
    def actor(self) -> str:
        """What to give to `toril.acting`: `key:deploy`, `user:jo`."""
        name = "".join(char if char.isprintable() else "?" for char in self.name)
        return f"{self.kind}:{name}"[:MAX_ACTOR_CHARS]


class Unauthenticated(TorilError):  # noqa: N818 - the word of the trade, and an answer, no fault
    """Nobody is known by what the request carries. The message says what to send."""

    status = 401
    code = "unauthenticated"
    challenge = 'Bearer realm="toril"'
    """The header `WWW-Authenticate` of the answer."""


class CrossOrigin(Unauthenticated):
    """The request comes from a page of another site, so that it speaks for nobody."""

    status = 403
    code = "cross_origin"


class Throttled(TorilError):  # noqa: N818 - as above
    """Too many wrong keys or passwords. The answer is 429 with `Retry-After`."""

    status = 429
    code = "too_many_attempts"

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = max(1, round(retry_after_s + 0.5))
        """Whole seconds, from 1."""
        super().__init__(
            f"too many wrong keys or passwords from here: try again in {self.retry_after_s} s"
        )


class Access(Protocol):
    """Finds out who calls."""

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Return who calls.

        Raises:
            Unauthenticated: Nobody who is known. `CrossOrigin` is one: a page of another site.
            Throttled: Too many have been unknown; `retry_after_s` says when to come back.
        """
        ...
