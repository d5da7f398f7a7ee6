"""Declares routes: from one function come the check of what is sent, the role table and OpenAPI.

A route is an async function. Its parameters say what it takes: `call`, the parts of its path,
`query` and `body`, each by its type; what it returns is its answer; its docstring describes it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_type_hints

import msgspec

from toril.rest.bodies import Body, Query
from toril.web.access.port import Permission

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

_PART = re.compile(r"\{(\w+)\}")


class Raw(msgspec.Struct, frozen=True):
    """An answer that is no JSON."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One address and method."""

    name: str
    """The name of its function: OpenAPI's `operationId`, and the client's method."""
    tag: str
    method: Method
    path: str
    """Under the interface's own path, such as `/queues/{queue}`."""
    permission: Permission | None
    """What the caller needs. None: nothing, anybody may ask."""
    function: Callable[..., Awaitable[Any]]
    parts: tuple[str, ...]
    """Names of the parts of the path that vary."""
    query: type[Query] | None
    body: type[Body] | None
    answer: Any
    """The type of the answer."""
    summary: str
    description: str
    errors: tuple[int, ...]
    """Statuses of refusals, apart from those that every route has."""
    timeout_s: float | None
    """How long it may take, in seconds. None: as the server's options say."""
    submits: bool
    """It adds jobs, so the caller's rate counts, and it takes `Idempotency-Key`."""
    names_queues: bool
    """It takes its queues from the query or the body, and asks itself whether the caller may do
    this to each of them."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The path, part by part."""
        return tuple(self.path.strip("/").split("/"))

    @property
    def needs_queue(self) -> bool:
        """Whether the path names a queue, to which the permission has to extend."""
        return "queue" in self.parts


class Routes:
    """The routes of one kind of thing."""

    def __init__(self, tag: str) -> None:
        """Begin without any.

        Parameters:
            tag: What they are about, in the plural: OpenAPI's tag.
        """
        self.tag = tag
        self.routes: list[Route] = []

    def get(
        self,
        path: str,
        permission: Permission | None = Permission.READ,
        *,
        errors: Sequence[int] = (),
        timeout_s: float | None = None,
    ) -> Callable[[F], F]:
        """Declare a route that reads."""
        return self._route("GET", path, permission, errors, timeout_s)

    def post(
        self,
        path: str,
        permission: Permission | None = Permission.OPERATE,
        *,
        errors: Sequence[int] = (),
        timeout_s: float | None = None,
        submits: bool = False,
        names_queues: bool = False,
    ) -> Callable[[F], F]:
        """Declare a route that acts."""
        return self._route(
            "POST", path, permission, errors, timeout_s, submits=submits, names_queues=names_queues
        )

    def put(
        self, path: str, permission: Permission = Permission.OPERATE, *, errors: Sequence[int] = ()
    ) -> Callable[[F], F]:
        """Declare a route that makes or replaces."""
        return self._route("PUT", path, permission, errors, None)

    def patch(
        self, path: str, permission: Permission = Permission.OPERATE, *, errors: Sequence[int] = ()
    ) -> Callable[[F], F]:
        """Declare a route that changes."""
        return self._route("PATCH", path, permission, errors, None)

    def delete(
        self, path: str, permission: Permission = Permission.OPERATE, *, errors: Sequence[int] = ()
    ) -> Callable[[F], F]:
        """Declare a route that removes."""
        return self._route("DELETE", path, permission, errors, None)

    def _route(
        self,
        method: Method,
        path: str,
        permission: Permission | None,
        errors: Sequence[int],
        timeout_s: float | None,
        *,
        submits: bool = False,
        names_queues: bool = False,
    ) -> Callable[[F], F]:
        def declare(function: F) -> F:
            hints = get_type_hints(function, include_extras=True)
            parts = tuple(_PART.findall(path))
            taken = set(hints) - {"call", "query", "body", "return"}
            if taken != set(parts):  # a mistake of ours: no request could be answered
                raise TypeError(f"{function.__name__}: {path} has {parts}, it takes {taken}")
            summary, _, description = (inspect.getdoc(function) or "").partition("\n\n")
            self.routes.append(
                Route(
                    name=function.__name__,
                    tag=self.tag,
                    method=method,
                    path=path,
                    permission=permission,
                    function=function,
                    parts=parts,
                    query=hints.get("query"),
                    body=hints.get("body"),
                    answer=hints["return"],
                    summary=" ".join(summary.split()),
                    description=" ".join(description.split()),
                    errors=tuple(errors),
                    timeout_s=timeout_s,
                    submits=submits,
                    names_queues=names_queues,
                )
            )
            return function

        return declare


def statuses(route: Route) -> list[int]:
    """Return every status of a refusal that a route may answer with."""
    found = {500, 503, *route.errors}
    if route.permission is not None:
        found |= {401, 403, 429}
    if route.parts:
        found |= {404, 422}
    if route.query is not None:
        found |= {400, 422}
    if route.body is not None:
        found |= {400, 408, 413, 415, 422}
    return sorted(found)
