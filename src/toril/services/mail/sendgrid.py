"""Sends mails through SendGrid, by its HTTP interface.

SendGrid answers for a request as a whole, so a mail to several addresses is taken for all or none;
which mailboxes it could not deliver to, it tells later, by its own events.
"""

from __future__ import annotations

import base64
from email.utils import parseaddr
from typing import Any

import msgspec

from toril.core.checks import require
from toril.services.http.port import HttpClient, HttpError, HttpNotSentError, HttpReply
from toril.services.mail.message import ascii_address, bare
from toril.services.mail.port import (
    Mail,
    MailError,
    MailReceipt,
    MailRefusedError,
    MailUnknownError,
    Refusal,
    check_address,
)

URL = "https://api.sendgrid.com"
_PATH = "/v3/mail/send"
_TOO_MANY = 429
_ABOUT_US = frozenset({401, 403})
"""The key is wrong, or may not send: the mail is not at fault."""
_MAX_SAID_CHARS = 300


class SendGridMailer:
    """A `Mailer` for SendGrid.

    Source:
        SendGrid's v3 Mail Send interface.
    """

    def __init__(self, key: str, http: HttpClient, *, sender: str, url: str = URL) -> None:
        """Make a mailer.

        Parameters:
            key: The API key, which may send mail. It is in no message.
            http: What makes the requests. It stays open when the mailer is closed.
            sender: Of mails that name none; SendGrid has to know it as verified.
            url: Where SendGrid is, such as `https://api.eu.sendgrid.com`.

        Raises:
            InvalidOptionError: The key, the sender or the URL makes no sense.
        """
        require(bool(key) and key.isascii() and key.isprintable() and " " not in key,
                "key", "(not shown)", "an API key of SendGrid's")  # fmt: skip
        require(url.startswith(("http://", "https://")), "url", url, "one with https://")
        check_address("sender", sender)
        self._key = key
        self._http = http
        self._url = url.rstrip("/") + _PATH
        self.sender = sender

    def __repr__(self) -> str:
        return f"SendGridMailer({self._url!r})"

    async def send(self, mail: Mail) -> MailReceipt:
        """Send a mail: see `Mailer.send`. Each address that gets it sees the others that do."""
        body = msgspec.json.encode(_request(mail, mail.sender or self.sender))
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        try:
            reply = await self._http.request("POST", self._url, headers=headers, body=body)
        except HttpNotSentError as error:
            raise MailError(f"SendGrid: {error}") from None
        except HttpError as error:
            raise MailUnknownError(
                f"SendGrid: the mail was handed over and the answer was lost ({error}): it may"
                " have been taken"
            ) from None
        if reply.status == 202:
            given = reply.headers.get("x-message-id", "")
            mine = _message_id(mail, mail.sender or self.sender)
            return MailReceipt(message_id=mine or f"<{given}>", accepted=list(mail.receivers))
        raise _refusal(reply, mail)

    async def close(self) -> None:
        """Nothing of its own is open."""


def _request(mail: Mail, sender: str) -> dict[str, Any]:
    content = [{"type": "text/plain", "value": mail.text}]
    if mail.html is not None:
        content.append({"type": "text/html", "value": mail.html})
    made: dict[str, Any] = {
        "personalizations": [{"to": [_address(each) for each in mail.receivers]}],
        "from": _address(sender),
        "subject": mail.subject,
        "content": content,
    }
    if mail.reply_to is not None:
        made["reply_to"] = _address(mail.reply_to)
    headers = dict(mail.headers)
    if (message_id := _message_id(mail, sender)) is not None:
        headers["Message-ID"] = message_id
    if headers:
        made["headers"] = headers
    if mail.attachments:
        made["attachments"] = [
            {
                "content": base64.b64encode(file.content).decode(),
                "filename": file.filename,
                "type": file.content_type,
                "disposition": "attachment",
            }
            for file in mail.attachments
        ]
    return made


def _address(text: str) -> dict[str, str]:
    name, address = parseaddr(text)
    return {"email": ascii_address(address), **({"name": name} if name else {})}


def _message_id(mail: Mail, sender: str) -> str | None:
    if mail.message_id is None:
        return None
    return f"<{mail.message_id}@{ascii_address(bare(sender)).rpartition('@')[2]}>"


def _refusal(reply: HttpReply, mail: Mail) -> MailError:
    said = f"{reply.status} {_said(reply)}"
    if reply.status == _TOO_MANY or reply.status >= 500:
        return MailError(f"SendGrid: {said}", retry_after_s=_seconds(reply))
    if reply.status in _ABOUT_US or reply.status < 400:
        return MailRefusedError(f"SendGrid: {said}")
    refusals = dict.fromkeys(mail.receivers, Refusal(554, f"5.6.0 SendGrid: {said}"))
    return MailRefusedError(f"SendGrid: {said}", refusals=refusals)


def _said(reply: HttpReply) -> str:
    """Return SendGrid's reasons as a sentence."""
    try:
        errors = msgspec.json.decode(reply.body, type=_Problems).errors
    except (msgspec.DecodeError, UnicodeDecodeError):
        return reply.body[:_MAX_SAID_CHARS].decode("utf-8", "replace").strip() or "(no reason)"
    words = [f"{one.field}: {one.message}" if one.field else one.message for one in errors]
    return "; ".join(words)[:_MAX_SAID_CHARS] or "(no reason)"


def _seconds(reply: HttpReply) -> float | None:
    text = reply.headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() else None


class _Problem(msgspec.Struct):
    message: str = ""
    field: str | None = None


class _Problems(msgspec.Struct):
    errors: list[_Problem]
