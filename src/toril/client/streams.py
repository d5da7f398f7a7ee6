"""Reads a stream of Server-Sent Events, line by line."""

from __future__ import annotations

from typing import Any

import msgspec


class LiveMessage(msgspec.Struct, frozen=True):
    """One message of a stream."""

    kind: str
    """`overview`, `workers`, `event` or `away`."""
    data: Any
    id: str | None
    """Give it as `after` to go on behind it."""


class Reader:
    """Puts lines together to messages."""

    def __init__(self) -> None:
        self._kind = "message"
        self._data: list[str] = []
        self._id: str | None = None

    def take(self, line: str) -> LiveMessage | None:
        """Take a line; return the message that it completes, if any."""
        if line == "":
            data, kind = self._data, self._kind
            self._data, self._kind = [], "message"
            if not data:
                return None
            return LiveMessage(kind, msgspec.json.decode("\n".join(data)), self._id)
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
            case _:  # a comment, or when to come back
                pass
        return None
