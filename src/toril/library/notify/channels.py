"""The five channels: each makes its message of a payload once, then serves receivers one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from toril.library.email.payloads import EmailJobData
from toril.library.email.service import EmailService
from toril.library.notify.channel_payloads import NotificationOptions
from toril.library.push.payloads import PushPayload
from toril.library.push.service import PushService
from toril.services.mail.plain_text import text_of_html
from toril.services.mail.port import Mail, MailError, MailRefusedError, MailUnknownError
from toril.services.messengers.port import (
    Messenger,
    MessengerError,
    MessengerRefusedError,
    MessengerSetupError,
    MessengerUnknownError,
)
from toril.services.notices.port import Notice, Notices, NoticeType
from toril.services.unusable import UnusableInputError

_TYPES: tuple[NoticeType, ...] = ("info", "warning", "error", "success")
_TITLE_CHARS = 100


class AwayError(MessengerError):
    """Nobody can be served now: do not try the others."""


class Sender(Protocol):
    """A channel with its message."""

    async def serve(self, to: str, key: str) -> str:
        """Serve one receiver; return the id of what was sent.

        Raises:
            MessengerError: See its kinds.
            UnusableInputError: The receiver makes no sense.
        """
        ...


class Words(msgspec.Struct, frozen=True):
    """A message in words."""

    subject: str | None
    text: str

    @property
    def title(self) -> str:
        """One line: the subject, or the beginning of the text."""
        return self.subject or self.text.strip().partition("\n")[0][:_TITLE_CHARS]


async def words_of(options: NotificationOptions, mail: EmailService | None) -> Words:
    """Return the words of a payload, for channels that have no HTML.

    Raises:
        UnusableInputError: It has none, or the template does not work.
    """
    check_content(options)
    subject, text = options.subject, options.text
    if text is None and options.html is not None:
        text = text_of_html(options.html)
    if text is None and options.template is not None:
        if mail is None:
            reason = "templates are those of mails, and no EmailService is there: provide one"
            raise UnusableInputError("template", reason)
        rendered = await mail.render(options.template, options.data or {})
        subject, text = subject or rendered.subject, rendered.text
    return Words(subject, text or "")


def check_content(options: NotificationOptions) -> None:
    """Refuse a payload without content.

    Raises:
        UnusableInputError: There is neither a template nor a text nor HTML, or no receiver.
    """
    if options.template is None and options.text is None and options.html is None:
        raise UnusableInputError("options", "it is empty: give template, text or html")
    if not options.to or (isinstance(options.to, list) and not all(options.to)):
        raise UnusableInputError("to", "it is empty: give at least one receiver")


class MailSender:
    """Mails, one to each receiver; none sees another."""

    def __init__(self, service: EmailService, mail: Mail, message_id: str) -> None:
        self._service = service
        self._mail = mail
        self._message_id = message_id

    @classmethod
    async def make(
        cls, service: EmailService, options: NotificationOptions, to: Sequence[str], key: str
    ) -> MailSender:
        """Make the mail.

        Raises:
            UnusableInputError, InvalidOptionError: It will never be one.
        """
        data = EmailJobData(
            to=list(to), subject=options.subject, template=options.template,
            variables=options.data, html=options.html, text=options.text,
        )  # fmt: skip
        return cls(service, await service.compose(data), key)

    async def serve(self, to: str, key: str) -> str:
        """Send the mail to one receiver."""
        mail = self._mail.addressed(to=[to], message_id=self._message_id)
        try:
            return (await self._service.hand_over(mail)).message_id
        except MailUnknownError as error:
            raise MessengerUnknownError(str(error)) from None
        except MailError as error:
            refusal = error.refusals.get(to)
            if isinstance(error, MailRefusedError):
                if refusal is None:
                    raise MessengerSetupError(str(error)) from None
                await self._service.note_refusal(to, refusal)
                raise MessengerRefusedError(str(refusal)) from None
            if refusal is None:
                raise AwayError(str(error), retry_after_s=error.retry_after_s) from None
            raise MessengerError(str(refusal), retry_after_s=error.retry_after_s) from None


class PushSender:
    """Messages to all browsers of a user. One that is reached is enough."""

    def __init__(self, service: PushService, words: Words, data: dict[str, Any]) -> None:
        self._service = service
        url, icon = data.get("url"), data.get("icon")
        self._payload = PushPayload(
            title=words.title,
            body=words.text,
            url=url if isinstance(url, str) else None,
            icon=icon if isinstance(icon, str) else None,
            data=data or None,
        )

    async def serve(self, to: str, key: str) -> str:
        """Send to a user."""
        verdicts = await self._service.send(to, self._payload)
        if not verdicts:
            raise MessengerRefusedError("no browser of this user is subscribed")
        if any(verdict.kind == "delivered" for verdict in verdicts):
            return ""
        later = [verdict for verdict in verdicts if verdict.kind == "later"]
        if later:
            waits = [each.retry_after_s for each in later if each.retry_after_s]
            raise MessengerError(later[0].reason, retry_after_s=max(waits, default=None))
        raise MessengerRefusedError(verdicts[0].reason)


class TextSender:
    """Texts by a messenger: Telegram, SMS. A subject is their first line."""

    def __init__(self, messenger: Messenger, words: Words) -> None:
        self._messenger = messenger
        self._text = words.text if words.subject is None else f"{words.subject}\n{words.text}"

    async def serve(self, to: str, key: str) -> str:
        """Send the text to one receiver."""
        return await self._messenger.send(to, self._text, key=key)


class NoticeSender:
    """Rows that the application shows. A second run stores no other."""

    def __init__(self, notices: Notices, words: Words, data: dict[str, Any]) -> None:
        self._notices = notices
        self._words = words
        self._data = data

    async def serve(self, to: str, key: str) -> str:
        """Store the notice of one user."""
        kind = self._data.get("type")
        notice = Notice(
            id=key,
            user_id=to,
            type=kind if kind in _TYPES else "info",
            title=self._words.title,
            body=self._words.text,
            metadata=self._data,
        )
        await self._notices.add(notice)
        return notice.id


def key_of(idempotency_key: str, to: str) -> str:
    """Return the key of a message to one receiver: the same in every attempt of a job."""
    return hashlib.sha256(f"{idempotency_key}\n{to}".encode()).hexdigest()[:32]
