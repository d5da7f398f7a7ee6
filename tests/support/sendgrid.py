"""A server with the shape of SendGrid's v3 Mail Send: it checks the key and the body."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.http_server import Answer, Request, Server, serving

KEY = "SG.abc.def"


class SendGrid:
    """What it took, and how it answers."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.next: list[Answer] = []
        """Answers in place of its own."""
        self.server: Server

    def answer(self, request: Request) -> Answer:
        if self.next:
            return self.next.pop(0)
        if (request.method, request.path) != ("POST", "/v3/mail/send"):
            return _problem(404, "not found")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _problem(401, "The provided authorization grant is invalid")
        if request.headers.get("content-type") != "application/json":
            return _problem(415, "content-type has to be application/json")
        body = json.loads(request.body)
        if (wrong := _wrong(body)) is not None:
            return _problem(400, "is required or wrong", wrong)
        receivers = [each["email"] for one in body["personalizations"] for each in one["to"]]
        if any(each.startswith(("550-", "554-")) for each in receivers):
            return _problem(400, "Does not contain a valid address.", "personalizations.0.to")
        if any(each.startswith("451-") for each in receivers):
            return Answer(status=503, body=b"busy")
        self.taken.append(body)
        return Answer(status=202, headers={"x-message-id": f"sg-{len(self.taken)}"})


def _wrong(body: dict[str, Any]) -> str | None:
    """Return the first field that SendGrid would not take."""
    if not body.get("personalizations") or not body["personalizations"][0].get("to"):
        return "personalizations"
    if "@" not in body.get("from", {}).get("email", ""):
        return "from.email"
    if not body.get("subject"):
        return "subject"
    kinds = [each["type"] for each in body.get("content", [])]
    if not kinds or kinds[0] != "text/plain" or not all(each["value"] for each in body["content"]):
        return "content"
    for file in body.get("attachments", []):
        base64.b64decode(file["content"], validate=True)
        if not file["filename"]:
            return "attachments.filename"
    return None


def _problem(status: int, message: str, field: str | None = None) -> Answer:
    errors = {"errors": [{"message": message, "field": field, "help": None}]}
    return Answer(status=status, body=json.dumps(errors).encode())


@asynccontextmanager
async def sendgrid() -> AsyncIterator[SendGrid]:
    """Run a server."""
    made = SendGrid()
    async with serving(made.answer) as server:
        made.server = server
        yield made
