"""Who has written to a Telegram bot: the number of each one's chat, by their name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Chats(Protocol):
    """Keeps the numbers of chats."""

    async def note(self, name: str, chat_id: str) -> None:
        """Note the chat of a name; it takes the place of the one before."""
        ...

    async def find(self, name: str) -> str | None:
        """Return the chat of a name, in upper or lower case; None if there is none."""
        ...

    async def close(self) -> None:
        """Let go of connections, if they are its own. Twice is fine."""
        ...


class MemoryChats:
    """Fulfils `Chats`, for tests: gone with the process."""

    def __init__(self) -> None:
        self._chats: dict[str, str] = {}

    async def note(self, name: str, chat_id: str) -> None:
        """Note a chat: see `Chats.note`."""
        self._chats[name.lower()] = chat_id

    async def find(self, name: str) -> str | None:
        """Return a chat: see `Chats.find`."""
        return self._chats.get(name.lower())

    async def close(self) -> None:
        """Nothing is open."""


async def note_update(chats: Chats, update: Mapping[str, Any]) -> bool:
    """Note who wrote to the bot; return whether the update tells it.

    Parameters:
        chats: Where.
        update: What Telegram posts to the bot's webhook, or `getUpdates` returns: an `Update`.
    """
    message = update.get("message")
    chat = message.get("chat") if isinstance(message, Mapping) else None
    if not isinstance(chat, Mapping) or chat.get("type") != "private":
        return False
    name, number = chat.get("username"), chat.get("id")
    if not isinstance(name, str) or not isinstance(number, int) or not name:
        return False
    await chats.note(name, str(number))
    return True
