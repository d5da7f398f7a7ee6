"""Servers with the shapes of Telegram's Bot API, of a plain SMS provider, and of Twilio."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.support.http_server import Answer, Request, Server, serving

BOT_TOKEN = "123456:ABCdefGhIJKlmNoPQRstuVWXyz012345678"
SMS_KEY = "sms-key"
TWILIO_KEY = "AC0123456789:token"
SENDER = "+15550000000"

BLOCKED, UNKNOWN = "403", "404"
"""Telegram chats that refuse."""
BAD_NUMBER, STOPPED_NUMBER = "+15005550001", "+15005550004"
"""Numbers that refuse; Twilio's own test numbers."""


@dataclass
class Provider:
    """What a server took, and how it answers."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    next: list[Answer] = field(default_factory=list)
    """Answers in place of its own."""
    keys: dict[str, str] = field(default_factory=dict)
    server: Server = None  # type: ignore[assignment]

    def telegram(self, request: Request) -> Answer:
        """Answer as `sendMessage` does."""
        if self.next:
            return self.next.pop(0)
        if request.path != f"/bot{BOT_TOKEN}/sendMessage":
            return bot_error(401, "Unauthorized")
        body = json.loads(request.body)
        chat = str(body["chat_id"])
        if not body["text"] or len(body["text"]) > 4096:
            return bot_error(400, "Bad Request: message is too long")
        if chat == BLOCKED:
            return bot_error(403, "Forbidden: bot was blocked by the user")
        if chat == UNKNOWN or chat.startswith("@nobody"):
            return bot_error(400, "Bad Request: chat not found")
        self.taken.append({"to": chat, "text": body["text"]})
        return as_json(200, {"ok": True, "result": {"message_id": len(self.taken)}})

    def http(self, request: Request) -> Answer:
        """Answer as a plain provider does; a key that it knows is sent once."""
        if self.next:
            return self.next.pop(0)
        if request.headers.get("authorization") != f"Bearer {SMS_KEY}":
            return as_json(401, {"message": "wrong key"})
        if request.path != "/messages":
            return as_json(404, {"message": "no such resource"})
        body = json.loads(request.body)
        assert body["from"] == SENDER
        if body["to"] in (BAD_NUMBER, STOPPED_NUMBER):
            return as_json(422, {"message": "not a number that can be reached"})
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            self.taken.append({"to": body["to"], "text": body["text"]})
            self.keys[key] = f"sms-{len(self.taken)}"
        return as_json(202, {"id": self.keys[key]})

    def twilio(self, request: Request) -> Answer:
        """Answer as Twilio's Messages resource does."""
        if self.next:
            return self.next.pop(0)
        basic = base64.b64encode(TWILIO_KEY.encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return as_json(401, {"code": 20003, "message": "Authenticate", "status": 401})
        if request.path != "/2010-04-01/Accounts/AC0123456789/Messages.json":
            return as_json(404, {"code": 20404, "message": "not found", "status": 404})
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        assert form["From"] == SENDER
        if form["To"] == BAD_NUMBER:
            message = f"The 'To' number {form['To']} is not a valid phone number."
            return as_json(400, {"code": 21211, "message": message, "status": 400})
        if form["To"] == STOPPED_NUMBER:
            message = "Attempt to send to unsubscribed recipient"
            return as_json(400, {"code": 21610, "message": message, "status": 400})
        self.taken.append({"to": form["To"], "text": form["Body"]})
        return as_json(201, {"sid": f"SM{len(self.taken)}", "status": "queued"})


def as_json(status: int, body: dict[str, Any], **headers: str) -> Answer:
    """Return an answer in JSON."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status=status,
        headers={"content-type": "application/json", **given},
        body=json.dumps(body).encode(),
    )


def bot_error(status: int, description: str, **parameters: int) -> Answer:
    """Return an error as the Bot API says it."""
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    return as_json(status, {**body, **({"parameters": parameters} if parameters else {})})


@asynccontextmanager
async def provider(kind: str) -> AsyncIterator[Provider]:
    """Run a server: `telegram`, `http` or `twilio`."""
    made = Provider()
    async with serving(getattr(made, kind)) as server:
        made.server = server
        yield made
