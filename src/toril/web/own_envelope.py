"""Answers in an envelope, `{"success", "message", "data"}`, as clients of Node's APIs know them.

`data` holds our fields and, beside them, those by which such clients know the same. Pure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

_COUNTED = ("waiting", "active", "completed", "failed", "delayed")
More = Callable[[Mapping[str, Any], str], dict[str, Any]]
"""Makes the further fields of a body, and `message`, given the body and the queue's name."""


def in_envelope(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer in the envelope; a field `message` of it stands beside the others' `data`.

    Parameters:
        status: Of HTTP. From 400 the body is an error.
        body: The answer.
    """
    if status >= 400:
        error = body["error"]
        return {"success": False, "error": error["message"], "details": error}
    message = {"message": body["message"]} if "message" in body else {}
    data = {name: value for name, value in body.items() if name != "message"}
    return {"success": True, **message, "data": data}


def with_more(handler: Callable[..., Awaitable[Any]], more: More, queue: str) -> Callable[..., Any]:
    """Return a handler whose answers have further fields: of its body, or of `status, body`."""

    async def answer(call: Any) -> Any:
        given = await handler(call)
        status, body = given if isinstance(given, tuple) else (200, given)
        return status, {**body, **more(body, queue)}

    return answer


def of_added(body: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return what is said of a job that was added, or was there."""
    message = "Job is there already" if "duplicate" in body else "Job added"
    return {"message": message, "queueName": queue, "addedAt": body["createdAt"]}


def of_job(body: Mapping[str, Any], _: str) -> dict[str, Any]:
    """Return what is said of a job."""
    return {"status": body["state"], "attempts": body["attemptsMade"]}


def of_removed(_: Mapping[str, Any], __: str) -> dict[str, Any]:
    """Return what is said of a job that was removed."""
    return {"message": "Job removed"}


def of_stats(body: Mapping[str, Any], _: str) -> dict[str, Any]:
    """Return what is said of counts."""
    total = sum(body[state] for state in _COUNTED)
    return {"paused": int(body["paused"]), "total": total, "timestamp": datetime.now(UTC)}


def of_pause(body: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return what is said of a queue that was paused or resumed."""
    return {"message": f"Queue {queue} {'paused' if body['paused'] else 'resumed'}"}


def of_cleaned(body: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return what is said of a queue that was cleaned."""
    message = f"Removed {body['removed']} jobs of {queue}"
    return {"message": message, "cleanedJobs": body["removed"]}
