"""For an application's own routes in front of its queues: callers, bodies, errors, said one way.

```python
routes = OwnRoutes(AccessControl(app, host_users=keys), queue="jobs")

@routes.on("POST", "/jobs", Permission.SUBMIT)
async def submit(call: OwnCall) -> Answer:
    body = await call.json(type=str, data=dict)
    job = await app.queue("jobs").add(body["type"], body["data"])
    return 201, {"jobId": job.id}

web = Starlette(routes=routes.made("/api", ""))
```

An error is answered as `{"error": {"code", "message", "field", "allowed"}}`, the last two where
they are known.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from toril.core.checks import unknown
from toril.core.errors import (
    BackendError,
    InvalidOptionError,
    InvalidPayloadError,
    JobNotFoundError,
    PayloadTooLargeError,
    StoreUnreachableError,
    TorilError,
    WrongStateError,
)
from toril.engine.operations import acting
from toril.services.unusable import UnusableInputError
from toril.web.access.port import Access, Permission, Principal, Throttled, Unauthenticated
from toril.web.access.tenants import TenantPrincipal
from toril.web.own_envelope import in_envelope

MAX_BYTES = 256 * 1024
MAX_DEPTH = 64
"""How deep a body may be nested."""
AWAY_S = 1
"""When to come back to a store that is away, in seconds."""
_MISSING = re.compile(r"missing required field `(\w+)`")
_ENCODER = msgspec.json.Encoder()
_log = logging.getLogger("toril.web")


class Refusal(TorilError):  # noqa: N818 - an answer, no fault
    """An answer in place of what was asked for: raise it in a handler."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        allowed: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Say what is refused.

        Parameters:
            status: Of HTTP.
            code: A word that stays as it is.
            message: What is wrong, with which value, and what would do.
            field: Where it is in the body, such as `data.to`.
            allowed: What would do, if there are few.
            headers: Of the answer.
        """
        self.status = status
        self.code = code
        self.field = field
        self.allowed = allowed
        self.headers = dict(headers or {})
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        said: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.field is not None:
            said["field"] = self.field
        if self.allowed is not None:
            said["allowed"] = list(self.allowed)
        return {"error": said}


Answer = dict[str, Any] | tuple[int, dict[str, Any]] | Response
"""A body, with its status if that is not 200; or all of an answer."""
OwnHandler = Callable[["OwnCall"], Awaitable[Answer]]


class OwnCall:
    """A request to one of these routes, and who makes it."""

    def __init__(self, request: Request, principal: Principal) -> None:
        self.request = request
        self.principal = principal
        self._body: dict[str, Any] | None = None

    @property
    def tenant(self) -> str | None:
        """Whose jobs the caller sees. None: everybody's.

        A caller that belongs to no tenant and may not operate is a tenant of its own.
        """
        if isinstance(self.principal, TenantPrincipal):
            return self.principal.tenant
        return None if self.principal.may_somewhere(Permission.OPERATE) else self.principal.name

    @property
    def user(self) -> str:
        """Which of the tenant's users it speaks for."""
        named = getattr(self.principal, "user", None)
        return named if isinstance(named, str) else self.principal.name

    async def body(self) -> dict[str, Any]:
        """Return the body, whatever its fields: see `json_object`. It can be asked for again."""
        if self._body is None:
            self._body = await json_object(self.request)
        return self._body

    async def json(self, **kinds: Any) -> dict[str, Any]:
        """Return the fields of the body: see `json_object`.

        Parameters:
            kinds: By name, of which type each field has to be. Others are refused. One of a type
                with `None` may be missing, and is None then.

        Raises:
            Refusal: A field is missing, unknown, or of another type.
        """
        body = await self.body()
        for name in body:
            if name not in kinds:
                raise Refusal(422, "invalid", unknown("field", name, kinds), field=name)
        read: dict[str, Any] = {}
        for name, kind in kinds.items():
            try:
                read[name] = msgspec.convert(body.get(name), kind)
            except msgspec.ValidationError as error:
                message = f"{name}: {error}" if name in body else f"{name}: it is missing"
                raise Refusal(422, "invalid", message, field=name) from None
        return read


class OwnRoutes:
    """Routes of an application for one queue.

    Parameters:
        access: Says who calls.
        queue: Which queue a caller has to be allowed. None: any; the handlers ask for each queue.
        timeout_s: After so long the answer is 503: the store is away. What was under way may have
            been done.
        enveloped: Answer `{"success": true, "message": "…", "data": …}`, and `{"success": false,
            "error": "…"}`, as some clients expect: see `own_envelope`.
    """

    def __init__(
        self,
        access: Access,
        *,
        queue: str | None,
        timeout_s: float | None = 10.0,
        enveloped: bool = False,
    ) -> None:
        self._access = access
        self.queue = queue
        self._timeout_s = timeout_s
        self.enveloped = enveloped
        self._handlers: list[tuple[str, str, Permission, OwnHandler]] = []

    def on(
        self, method: str, path: str, permission: Permission
    ) -> Callable[[OwnHandler], OwnHandler]:
        """Answer requests by a function: `@routes.on("GET", "/jobs/{job_id}", Permission.READ)`.

        What it does to jobs and queues is recorded as the caller's act.
        """

        def decorate(handler: OwnHandler) -> OwnHandler:
            self._handlers.append((method, path, permission, handler))
            return handler

        return decorate

    def made(self, *prefixes: str) -> list[Route]:
        """Return the routes, for Starlette and its kin, all of them below each prefix."""
        return [
            Route(f"{prefix}{path}", self._endpoint(permission, handler), methods=[method])
            for prefix in prefixes or ("",)
            for method, path, permission, handler in self._handlers
        ]

    def _endpoint(
        self, permission: Permission, handler: OwnHandler
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            answered: Answer | Refusal
            try:
                async with asyncio.timeout(self._timeout_s):
                    answered = await self._answered(request, permission, handler)
            except TimeoutError:
                late = "the store has not answered in time; what was asked may have been done"
                answered = _away(late)
            except Exception as error:
                answered = _refusal_or_fault(request, error)
            if isinstance(answered, Response):
                return answered
            headers: dict[str, str] = {}
            if isinstance(answered, Refusal):
                status, body, headers = answered.status, answered.body(), answered.headers
            else:
                status, body = answered if isinstance(answered, tuple) else (200, answered)
            if status == 201 and isinstance(body.get("jobId"), str):
                headers["Location"] = f"{request.url.path}/{quote(body['jobId'], safe='')}"
            shown = in_envelope(status, body) if self.enveloped else body
            return Response(_ENCODER.encode(shown), status, headers, "application/json")

        return answer

    async def _answered(
        self, request: Request, permission: Permission, handler: OwnHandler
    ) -> Answer:
        principal = await self._access.identify(request)
        allowed = (
            principal.may_somewhere(permission)
            if self.queue is None
            else principal.may(permission, self.queue)
        )
        if not allowed:
            needs = f"this needs the right to {permission.value}; {principal.name} has the role"
            raise Refusal(403, "forbidden", f"{needs} {principal.role.value}")
        with acting(principal.actor):
            return await handler(OwnCall(request, principal))


def _refusal_or_fault(request: Request, error: Exception) -> Refusal:
    try:
        return refusal_of(error)
    except Exception:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return Refusal(500, "error", "an error of the server: its log says which")


def refusal_of(error: Exception) -> Refusal:
    """Return an error of Toril's as an answer. An error of no known kind is raised again."""
    match error:
        case Refusal():
            return error
        case Unauthenticated():
            challenge = {"WWW-Authenticate": error.challenge} if error.status == 401 else {}
            return Refusal(error.status, error.code, str(error), headers=challenge)
        case Throttled():
            return _later(error.code, str(error), error.retry_after_s)
        case PayloadTooLargeError():
            return Refusal(413, "too_large", str(error))
        case InvalidPayloadError():
            missing = _MISSING.search(error.problem)
            field = error.field if missing is None else f"{error.field}.{missing[1]}"
            return Refusal(422, "invalid", f"{field}: {error.problem}", field=field)
        case UnusableInputError():
            field = error.subject.partition(" ")[0]
            return Refusal(422, "invalid", str(error), field=f"data.{field}")
        case JobNotFoundError():
            return Refusal(404, "not_found", "no such job: it never was, or is no longer kept")
        case WrongStateError():
            return Refusal(409, "wrong_state", str(error))
        case InvalidOptionError():
            option, separator, _ = str(error).partition("=")
            return Refusal(422, "invalid", str(error), field=option if separator else None)
        case StoreUnreachableError() | BackendError():
            return _away(f"the store cannot be used at present: {error}")
        case _:
            raise error


async def json_object(request: Request, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return the body of a request, which has to be a JSON object; `{}` if there is none.

    Raises:
        Refusal: It is too large, no JSON, nested too deep, or no object.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > max_bytes:
            message = f"the body is larger than {max_bytes:,} bytes"
            raise Refusal(413, "too_large", message, headers={"Connection": "close"})
    if not content.strip():
        return {}
    try:
        body = json.loads(content.decode())
    except (UnicodeDecodeError, ValueError) as error:
        raise Refusal(400, "not_json", f"the body is no JSON: {error}") from None
    except RecursionError:
        body = None
        deep = True
    else:
        deep = _deeper(body, MAX_DEPTH)
    if deep:
        raise Refusal(400, "not_json", f"the body is nested deeper than {MAX_DEPTH}")
    if not isinstance(body, dict):
        raise Refusal(422, "invalid", "expected a JSON object")
    return body


def _later(code: str, message: str, after_s: int) -> Refusal:
    return Refusal(429, code, message, headers={"Retry-After": str(after_s)})


def _away(message: str) -> Refusal:
    return Refusal(503, "store_away", message, headers={"Retry-After": str(AWAY_S)})


def _deeper(value: object, depth: int) -> bool:
    """Whether a value is nested deeper than so, without going deeper itself."""
    level = [value]
    for _ in range(depth):
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
        if not below:
            return False
        level = below
    return True
