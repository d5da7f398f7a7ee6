"""Writes messages into a folder, one `.json` file each: for a machine without keys or browsers."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import msgspec

from toril.core.errors import InvalidOptionError
from toril.services.push.port import DELIVERED, PushMessage, Subscription, Verdict
from toril.services.push.subscribing import decode_keys


class FolderPusher:
    """A `Pusher` for developing: nothing leaves the machine.

    Parameters:
        folder: It is made when the first message is written.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"FolderPusher({str(self.folder)!r})"

    async def send(
        self, subscription: Subscription, message: PushMessage, *, timeout_s: float | None = None
    ) -> Verdict:
        """Write a message: see `Pusher.send`. A folder that cannot be written is for `later`."""
        try:
            decode_keys(subscription)
        except InvalidOptionError as error:
            return Verdict(kind="refused", reason=str(error), malformed=True)
        try:
            await asyncio.to_thread(self._write, subscription, message)
        except OSError as error:
            return Verdict(kind="later", reason=f"{self.folder}: {error.strerror or error}")
        return DELIVERED

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _write(self, subscription: Subscription, message: PushMessage) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            body: object = msgspec.json.decode(message.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = message.body.decode(errors="replace")
        content = {
            "endpoint": subscription.endpoint,
            "ttl": message.ttl_s,
            "urgency": message.urgency,
            "topic": message.topic,
            "body": body,
        }
        name = f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%S.%fZ')}-{token_hex(3)}"
        unfinished = self.folder / f".{name}.part"
        descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        unfinished.rename(self.folder / f"{name}.json")
