"""Sends texts as a Telegram bot."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from toril.core.checks import require
from toril.services.http.port import HttpClient, HttpError, HttpNotSentError, HttpReply
from toril.services.messengers.chats import Chats
from toril.services.messengers.port import (
    MessengerError,
    MessengerRefusedError,
    MessengerSetupError,
    MessengerUnknownError,
    check_text,
)
from toril.services.unusable import UnusableInputError, named

URL = "https://api.telegram.org"
MAX_TEXT_CHARS = 4096
_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]{20,}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{4,32}")
_ABOUT_US = frozenset({401, 404})
"""The token is wrong: the receiver is not at fault."""


class TelegramMessenger:
    """Fulfils `Messenger`. `to` is a chat's number, or `@name` of a person or a channel.

    A bot can write to a person only by the number of the chat, and only once the person has written
    to it; `Chats` has the numbers of those who did. Other names are taken as a channel's.

    Source:
        Telegram's Bot API, `sendMessage` and `ResponseParameters`.
    """

    def __init__(
        self, token: str, http: HttpClient, *, chats: Chats | None = None, url: str = URL
    ) -> None:
        """Make a messenger.

        Parameters:
            token: Of the bot. It is in no message.
            http: What makes the requests. It stays open when the messenger is closed.
            chats: Who has written to the bot. Default: nobody is known by name.
            url: Where the Bot API is.

        Raises:
            InvalidOptionError: The token or the URL makes no sense.
        """
        require(bool(_TOKEN.fullmatch(token)), "token", "(not shown)", "a bot's token: 123:ABC…")
        require(url.startswith(("http://", "https://")), "url", url, "one with https://")
        self._call = f"{url.rstrip('/')}/bot{token}/sendMessage"
        self._token = token
        self._http = http
        self._chats = chats

    def __repr__(self) -> str:
        return "TelegramMessenger()"

    async def send(self, to: str, text: str, *, key: str) -> str:
        """Send a text: see `Messenger.send`. Telegram knows no keys."""
        check_text(text, MAX_TEXT_CHARS)
        if not _CHAT.fullmatch(to):
            reason = "expected a chat's number, or @name of a channel or of who wrote to the bot"
            raise UnusableInputError(named("to", to), reason)
        chat = await self._chats.find(to[1:]) if to.startswith("@") and self._chats else None
        body = msgspec.json.encode({"chat_id": chat or to, "text": text})
        headers = {"content-type": "application/json"}
        try:
            reply = await self._http.request("POST", self._call, headers=headers, body=body)
        except HttpNotSentError as error:
            raise MessengerError(f"Telegram: {self._hidden(error)}") from None
        except HttpError as error:
            raise MessengerUnknownError(
                f"Telegram: the text was handed over and the answer was lost"
                f" ({self._hidden(error)}): it may have been taken"
            ) from None
        answer = _read(reply)
        if reply.ok and answer.ok:
            return str(answer.result.get("message_id", ""))
        raise _refusal(reply.status, answer, to)

    async def close(self) -> None:
        """Nothing of its own is open."""

    def _hidden(self, error: Exception) -> str:
        return str(error).replace(self._token, "(token)")


class _Parameters(msgspec.Struct, frozen=True):
    retry_after: float | None = None
    migrate_to_chat_id: int | None = None


class _Answer(msgspec.Struct):
    ok: bool = False
    result: dict[str, Any] = {}
    description: str = ""
    parameters: _Parameters = _Parameters()


def _read(reply: HttpReply) -> _Answer:
    try:
        return msgspec.json.decode(reply.body, type=_Answer)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return _Answer(description="an answer that is not the Bot API's")


def _refusal(status: int, answer: _Answer, to: str) -> MessengerError:
    said = f"Telegram: {status} {answer.description}".rstrip()
    if status == 429 or status >= 500 or status < 400:
        return MessengerError(said, retry_after_s=answer.parameters.retry_after)
    if status in _ABOUT_US:
        return MessengerSetupError(f"{said}; set TELEGRAM_BOT_TOKEN to the token of your bot")
    if answer.parameters.migrate_to_chat_id is not None:
        return MessengerRefusedError(
            f"{said}: its number is {answer.parameters.migrate_to_chat_id}"
        )
    if "chat not found" in answer.description:
        who = "a person has to send /start to the bot first; a channel has to have the bot in it"
        return MessengerRefusedError(f"{said} ({to}): {who}")
    return MessengerRefusedError(said)
