"""Makes the OpenAPI 3.1 document of the routes, from what they are declared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import inspect as types

from toril.rest.answers import ProblemDetails
from toril.version import VERSION
from toril.web.declaring import Raw, Route, statuses
from toril.web.encoding import encode
from toril.web.field_texts import classes_in, texts_of
from toril.web.problems import TITLES

_REF = "#/components/schemas/{name}"
_PARTS = {
    "queue": "The name of the queue.",
    "letters": "The name of the dead-letter queue, `dead-letter` unless another was set.",
    "job_id": "The id of the job.",
    "letter_id": "The id of the letter.",
    "schedule_id": "The id of the schedule.",
    "worker_id": "The id of the worker.",
    "deduplication_id": "The de-duplication id.",
    "operation_id": "The id of the operation.",
    "name": "The name of the key or the user.",
    "session_id": "The id of the session, as lists of sessions have it.",
}
_TEXTS = {
    "stream": "text/event-stream",
    "get_metrics": "text/plain",
    "export_jobs": "application/x-ndjson",
}
"""Answers that are no JSON."""


def document(routes: Sequence[Route], root: str, path: str) -> bytes:
    """Return the document.

    Parameters:
        routes: What it describes.
        root: Where the interface is mounted.
        path: Where it is below that.
    """
    kinds = list(_kinds(routes))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    for kind in classes_in(kinds):
        described(components, kind)
    by_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind)
    return encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Toril",
                "version": VERSION,
                "description": "Look at queues and their jobs, and operate them. Durations are"
                " seconds and end in `_s`; moments are ISO 8601.",
            },
            "servers": [{"url": f"{root}{path}" or "/"}],
            "security": [{"key": []}],
            "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
                "responses": {str(status): _refusal(status) for status in TITLES},
            },
        }
    )


def _kinds(routes: Iterable[Route]) -> Iterable[Any]:
    yield ProblemDetails
    for route in routes:
        if route.body is not None:
            yield route.body
        if route.query is not None:
            yield route.query
        if route.answer is not Raw:
            yield route.answer


def described(components: dict[str, Any], kind: type) -> None:
    """Give the fields of a class the texts that stand below them in the code."""
    properties = components.get(kind.__name__, {}).get("properties", {})
    for name, text in texts_of(kind).items():
        if name in properties:
            schema = properties[name]
            # Beside a `$ref` a description is allowed from 3.1 on.
            properties[name] = {**schema, "description": schema.get("description", text)}


def _operation(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": _answer(route, schemas)}
    if route.method == "GET" and route.answer is not Raw:
        answers["304"] = {"description": "As the answer whose ETag `If-None-Match` gives."}
    for status in statuses(route):
        answers[str(status)] = {"$ref": f"#/components/responses/{status}"}
    found: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": list(_parameters(route)),
        "responses": answers,
    }
    if route.description:
        found["description"] = route.description
    if route.permission is None:
        found["security"] = []
    else:
        found["x-permission"] = str(route.permission)
    if route.body is not None:
        found["requestBody"] = {
            "required": bool(_required(route.body)),
            "content": {"application/json": {"schema": schemas[id(route.body)]}},
        }
    return found


def _answer(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    if route.answer is Raw:
        kind = _TEXTS[route.name]
        return {"description": "Text.", "content": {kind: {"schema": {"type": "string"}}}}
    schema = schemas[id(route.answer)]
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _parameters(route: Route) -> Iterable[dict[str, Any]]:
    for part in route.parts:
        yield {
            "name": part,
            "in": "path",
            "required": True,
            "description": _PARTS[part],
            "schema": {"type": "string", "minLength": 1},
        }
    if route.submits:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A second request with it adds nothing for a day.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
    if route.query is None:
        return
    _, components = msgspec.json.schema_components([route.query], ref_template=_REF)
    properties = components[route.query.__name__]["properties"]
    required = _required(route.query)
    for name, schema in properties.items():
        schema = dict(schema)
        found = {"name": name, "in": "query", "schema": schema}
        description = schema.pop("description", None) or texts_of(route.query).get(name)
        if description:
            found["description"] = description
        if name in required:
            found["required"] = True
        yield found


def _required(kind: Any) -> set[str]:
    info = types.type_info(kind)
    return {field.encode_name for field in getattr(info, "fields", ()) if field.required}


def _refusal(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="ProblemDetails")}
    found: dict[str, Any] = {
        "description": TITLES[status],
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status in (429, 503):
        found["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
        }
    return found
