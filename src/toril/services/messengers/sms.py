"""Sends SMS through a provider over HTTP: a plain form, and Twilio's."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote, urlencode

import msgspec

from toril.core.checks import require
from toril.services.http.port import HttpClient, HttpError, HttpNotSentError, HttpReply
from toril.services.messengers.port import (
    MessengerError,
    MessengerRefusedError,
    MessengerSetupError,
    MessengerUnknownError,
    check_number,
    check_text,
)

TWILIO_URL = "https://api.twilio.com"
MAX_TEXT_CHARS = 1600
_TWILIO_KEY = re.compile(r"[A-Za-z0-9]+:[^\s:]+")
_ABOUT_US = frozenset({401, 403, 404})
"""The key is wrong, or the account is closed: the receiver is not at fault."""


class HttpSms:
    """Fulfils `Messenger` for providers, or gateways of your own, that take plain JSON.

    `POST <url>/messages` with `Authorization: Bearer <key>`, `Idempotency-Key` and
    `{"from", "to", "text"}`. Status 2xx with `{"id"}` is taken; 400 and 422 refuse the receiver;
    401, 403 and 404 refuse us; 429 and 5xx are for later, after `Retry-After` seconds.
    """

    def __init__(self, key: str, http: HttpClient, *, sender: str, url: str) -> None:
        """Make a messenger.

        Parameters:
            key: Of the provider. It is in no message.
            http: What makes the requests. It stays open when the messenger is closed.
            sender: What receivers see: a number or a name.
            url: Where the provider is.

        Raises:
            InvalidOptionError: One of them makes no sense.
        """
        _check(key, sender, url)
        self._url = f"{url.rstrip('/')}/messages"
        self._key = key
        self._http = http
        self._sender = sender

    def __repr__(self) -> str:
        return f"HttpSms({self._url!r})"

    async def send(self, to: str, text: str, *, key: str) -> str:
        """Send a text: see `Messenger.send`."""
        body = {"from": self._sender, "to": check_number(to), "text": _text(text)}
        headers = {
            "authorization": f"Bearer {self._key}",
            "content-type": "application/json",
            "idempotency-key": key,
        }
        reply = await _post(self._http, self._url, headers, msgspec.json.encode(body))
        if reply.ok:
            return _read(reply).id
        raise _refusal(reply)

    async def close(self) -> None:
        """Nothing of its own is open."""


class TwilioSms:
    """Fulfils `Messenger` for Twilio and those that speak its language.

    Source:
        Twilio's Messages resource and its error codes.
    """

    def __init__(self, key: str, http: HttpClient, *, sender: str, url: str = TWILIO_URL) -> None:
        """Make a messenger.

        Parameters:
            key: The account's id, a colon and its token. It is in no message.
            http: What makes the requests. It stays open when the messenger is closed.
            sender: A number of the account.
            url: Where Twilio is.

        Raises:
            InvalidOptionError: One of them makes no sense.
        """
        _check(key, sender, url)
        good = bool(_TWILIO_KEY.fullmatch(key))
        require(good, "key", "(not shown)", "an account's id, a colon and its token: AC…:…")
        account = key.partition(":")[0]
        self._url = f"{url.rstrip('/')}/2010-04-01/Accounts/{quote(account)}/Messages.json"
        self._basic = base64.b64encode(key.encode()).decode()
        self._http = http
        self._sender = sender

    def __repr__(self) -> str:
        return "TwilioSms()"

    async def send(self, to: str, text: str, *, key: str) -> str:
        """Send a text: see `Messenger.send`. Twilio knows no keys."""
        form = {"To": check_number(to), "From": self._sender, "Body": _text(text)}
        headers = {
            "authorization": f"Basic {self._basic}",
            "content-type": "application/x-www-form-urlencoded",
        }
        reply = await _post(self._http, self._url, headers, urlencode(form).encode())
        if reply.ok:
            return _read(reply).sid
        raise _refusal(reply)

    async def close(self) -> None:
        """Nothing of its own is open."""


class _Answer(msgspec.Struct):
    id: str = ""
    sid: str = ""
    message: str = ""
    code: int | str = ""


def _check(key: str, sender: str, url: str) -> None:
    printable = bool(key) and key.isascii() and key.isprintable() and " " not in key
    require(printable, "key", "(not shown)", "the provider's key")
    require(bool(sender) and sender.isprintable(), "sender", sender, "a number or a name")
    require(url.startswith(("http://", "https://")), "url", url, "one with https://")


def _text(text: str) -> str:
    return check_text(text, MAX_TEXT_CHARS)


async def _post(http: HttpClient, url: str, headers: dict[str, str], body: bytes) -> HttpReply:
    try:
        return await http.request("POST", url, headers=headers, body=body)
    except HttpNotSentError as error:
        raise MessengerError(f"SMS: {error}") from None
    except HttpError as error:
        raise MessengerUnknownError(
            f"SMS: the text was handed over and the answer was lost ({error}): it may have been"
            " taken"
        ) from None


def _read(reply: HttpReply) -> _Answer:
    try:
        return msgspec.json.decode(reply.body, type=_Answer)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return _Answer()


def _refusal(reply: HttpReply) -> MessengerError:
    answer = _read(reply)
    code = f" {answer.code}" if answer.code else ""
    said = f"SMS: {reply.status}{code} {answer.message or '(no reason)'}"
    if reply.status in _ABOUT_US:
        return MessengerSetupError(f"{said}; check SMS_API_KEY and SMS_API_BASE")
    if reply.status == 429 or reply.status >= 500 or reply.status < 400:
        wait = reply.headers.get("retry-after", "").strip()
        return MessengerError(said, retry_after_s=float(wait) if wait.isdecimal() else None)
    return MessengerRefusedError(said)
