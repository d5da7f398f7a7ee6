"""Routes by which callers add jobs of one producer's queue: one job, or many at once.

```python
serve_producer(routes, producers.get(MailProducer), "/api/jobs/mail",
               lambda call: {"userId": call.user})
```

They answer as clients of NestJS services know it: `{"success", "jobId", "queue", "message"}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, ClassVar, Protocol, get_type_hints

import msgspec
from msgspec import inspect as types
from starlette.responses import JSONResponse

from toril.core.checks import require, unknown
from toril.web.access.port import Permission
from toril.web.own_routes import Answer, OwnCall, OwnRoutes, Refusal, json_object

MAX_JOBS = 1000
"""Jobs that one request may add: all of them or none."""
LEAST_URGENT = 10
_OPTIONS: dict[str, tuple[Any, str]] = {
    "priority": (
        Annotated[int, msgspec.Meta(ge=1, le=LEAST_URGENT)],
        f"a whole number from 1, the most urgent, to {LEAST_URGENT}",
    ),
    "delay": (Annotated[int, msgspec.Meta(ge=0)], "milliseconds, a whole number from 0"),
}
_RECORDS = types.StructType | types.DataclassType | types.TypedDictType


class Adding(Protocol):
    """What is asked of a producer: `toril.typed.Producer` has it."""

    spec: ClassVar[Any]
    payload_type: ClassVar[Any]

    @property
    def enqueue(self) -> Callable[..., Awaitable[Any]]:
        """Add a job, with options `priority` and `delay`; return it."""
        ...

    @property
    def enqueue_many(self) -> Callable[..., Awaitable[list[Any]]]:
        """Add jobs of some payloads, all or none; return them."""
        ...


def no_fields(call: OwnCall) -> dict[str, Any]:
    """Return what a caller sets by being who it is: nothing."""
    return {}


def serve_producer(
    routes: OwnRoutes,
    producer: Adding,
    path: str,
    of_caller: Callable[[OwnCall], Mapping[str, Any]] = no_fields,
) -> None:
    """Add `POST path` for one job and `POST path/bulk` for up to 1000.

    A body has the fields of the payload, beside `priority` and `delay`; that of many is
    `{"jobs": [...]}` without these. Unknown fields are refused, also those that the caller sets.

    Parameters:
        routes: Where to add them.
        producer: Adds the jobs.
        path: Of the first route.
        of_caller: Returns the fields of a payload that are known by who calls, under their names
            on the wire; a body may not have them.

    Raises:
        InvalidOptionError: The producer's payload has no fields.
    """
    queue: str = producer.spec.name
    payload = _Payload(producer.payload_type)

    def allowed(call: OwnCall) -> None:
        if not call.principal.may(Permission.SUBMIT, queue):
            whose = f"{call.principal.name} has it not"
            message = f"this needs the right to add jobs to {queue!r}; {whose}"
            raise Refusal(403, "forbidden", message)

    @routes.on("POST", path, Permission.SUBMIT)
    async def add(call: OwnCall) -> Answer:
        allowed(call)
        body = await json_object(call.request)
        options = {name: _option(name, body.pop(name)) for name in _OPTIONS if name in body}
        job = await producer.enqueue(payload.read(body, of_caller(call), "", _OPTIONS), **options)
        message = "Job is there already" if job.duplicate else "Job added"
        added = {"success": True, "jobId": job.id, "queue": queue, "message": message}
        return JSONResponse(added, 201)

    @routes.on("POST", f"{path}/bulk", Permission.SUBMIT)
    async def add_many(call: OwnCall) -> Answer:
        allowed(call)
        bodies = (await call.json(jobs=list[dict[str, Any]]))["jobs"]
        if not 1 <= len(bodies) <= MAX_JOBS:
            message = f"jobs: {len(bodies)} of them: expected 1 to {MAX_JOBS}"
            raise Refusal(422, "invalid", message, field="jobs")
        own = of_caller(call)
        read = [payload.read(one, own, f"jobs[{place}].") for place, one in enumerate(bodies)]
        ids = [job.id for job in await producer.enqueue_many(read)]
        message = f"{len(ids)} job{'s' if len(ids) > 1 else ''} added"
        added = {"success": True, "count": len(ids), "jobIds": ids, "message": message}
        return JSONResponse(added, 201)


class _Payload:
    """Reads payloads of bodies, and says which field is wrong."""

    def __init__(self, kind: Any) -> None:
        info = types.type_info(kind)
        require(isinstance(info, _RECORDS), "payload_type", kind, "a type with fields")
        hints = get_type_hints(kind, include_extras=True)
        fields: Any = getattr(info, "fields", ())
        self._kind = kind
        self._kinds = {one.encode_name: hints[one.name] for one in fields}
        self._required = [one.encode_name for one in fields if one.required]

    def read(
        self,
        body: Mapping[str, Any],
        own: Mapping[str, Any],
        place: str,
        others: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the payload of a body and of what its caller sets.

        Parameters:
            body: What was sent.
            own: Fields that the caller sets.
            place: Where the body is in what was sent, before the names of its fields.
            others: What else the body may have: named as known where a field is not.

        Raises:
            Refusal: A field is missing, unknown, or of another type.
        """
        known = [*(name for name in self._kinds if name not in own), *(others or ())]
        for name in body:
            if name not in known:
                message = f"{place}{name}: {unknown('field', name, known)}"
                raise Refusal(422, "invalid", message, field=f"{place}{name}")
        given = {**body, **own}
        try:
            return msgspec.convert(given, self._kind)
        except msgspec.ValidationError as error:
            field, problem = self._wrong(given) or ("", str(error))
        where = f"{place}{field}".rstrip(".") or None
        message = problem if where is None else f"{where}: {problem}"
        raise Refusal(422, "invalid", message, field=where)

    def _wrong(self, given: Mapping[str, Any]) -> tuple[str, str] | None:
        for name, kind in self._kinds.items():
            if name not in given:
                if name in self._required:
                    return name, "it is missing"
                continue
            try:
                msgspec.convert(given[name], kind)
            except msgspec.ValidationError as error:
                return name, str(error)
        return None


def _option(name: str, value: Any) -> Any:
    kind, expected = _OPTIONS[name]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        message = f"{name}={value!r}: expected {expected}"
        raise Refusal(422, "invalid", message, field=name) from None
