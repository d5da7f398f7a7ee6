"""What `notify.send` works with, in one process; and what adds its jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from toril.core.checks import is_whole, require
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.engine.handle import Job
from toril.library.email.service import EmailService
from toril.library.notify.channel_payloads import Channel, NotificationOptions, NotificationSent
from toril.library.notify.channels import (
    MailSender,
    NoticeSender,
    PushSender,
    Sender,
    TextSender,
    check_content,
    words_of,
)
from toril.library.push.service import PushService
from toril.services.http.port import HttpClient
from toril.services.messengers.chats import Chats
from toril.services.messengers.port import Messenger, MessengerSetupError, NoMessenger
from toril.services.notices.port import Notices
from toril.tasks.task import Task

T = TypeVar("T")
NO_TELEGRAM = "Telegram is not set up: set TELEGRAM_BOT_TOKEN to the token of your bot"
NO_SMS = "SMS are not set up: set SMS_PROVIDER to http or twilio, with SMS_API_KEY and SMS_FROM"


@dataclass(frozen=True, kw_only=True)
class Channels:
    """The services behind the channels. A channel without one fails, and the error says so."""

    mail: EmailService | None = None
    push: PushService | None = None
    notices: Notices | None = None
    telegram: Messenger = field(default_factory=partial(NoMessenger, NO_TELEGRAM))
    sms: Messenger = field(default_factory=partial(NoMessenger, NO_SMS))

    async def sender(
        self, channel: Channel, options: NotificationOptions, to: Sequence[str], key: str
    ) -> Sender:
        """Make a message of a payload.

        Raises:
            UnusableInputError, InvalidOptionError: It will never be one.
            MessengerSetupError: Nothing is there for the channel.
        """
        check_content(options)
        if channel == "email":
            return await MailSender.make(_there(self.mail, channel), options, to, key)
        words = await words_of(options, self.mail)
        data = options.data or {}
        match channel:
            case "browser":
                return PushSender(_there(self.push, channel), words, data)
            case "database":
                return NoticeSender(_there(self.notices, channel), words, data)
            case "telegram":
                return TextSender(self.telegram, words)
            case "sms":
                return TextSender(self.sms, words)


def _there(service: T | None, channel: str) -> T:
    if service is None:
        raise MessengerSetupError(f"channel {channel!r}: no service is there; give one to Channels")
    return service


def telegram_from_environment(
    environ: Mapping[str, str] | None, http: HttpClient, chats: Chats | None = None
) -> Messenger:
    """Return Telegram as the environment says: `TELEGRAM_BOT_TOKEN`, `TELEGRAM_API_BASE`.

    Without a token each text fails, and the error says so.

    Raises:
        InvalidSettingError: A value makes no sense.
    """
    environ = os.environ if environ is None else environ
    token = environ.get("TELEGRAM_BOT_TOKEN", "").strip()
    if not token:
        return NoMessenger(NO_TELEGRAM)
    from toril.services.messengers.telegram import URL, TelegramMessenger  # only its users pay

    base = environ.get("TELEGRAM_API_BASE", "").strip() or URL
    try:
        return TelegramMessenger(token, http, chats=chats, url=base)
    except InvalidOptionError as error:
        raise InvalidSettingError(f"TELEGRAM_BOT_TOKEN or TELEGRAM_API_BASE: {error}") from None


def sms_from_environment(environ: Mapping[str, str] | None, http: HttpClient) -> Messenger:
    """Return SMS as the environment says.

    Reads `SMS_PROVIDER` (`none`, `http` or `twilio`), `SMS_API_BASE`, `SMS_API_KEY` and `SMS_FROM`.
    Without a provider each text fails, and the error says so.

    Raises:
        InvalidSettingError: A value is missing, or makes no sense.
    """
    environ = os.environ if environ is None else environ
    given = {
        name: environ.get(name, "").strip()
        for name in ("SMS_PROVIDER", "SMS_API_BASE", "SMS_API_KEY", "SMS_FROM")
    }
    provider = given["SMS_PROVIDER"].lower()
    if provider in ("", "none"):
        return NoMessenger(NO_SMS)
    if provider not in ("http", "twilio"):
        raise InvalidSettingError(
            f"SMS_PROVIDER={given['SMS_PROVIDER']!r}: expected none, http or twilio"
        )
    needed = ["SMS_API_KEY", "SMS_FROM", *(["SMS_API_BASE"] if provider == "http" else [])]
    for name in needed:
        if not given[name]:
            raise InvalidSettingError(f"{name} is not set, and SMS_PROVIDER={provider} needs it")
    from toril.services.messengers.sms import TWILIO_URL, HttpSms, TwilioSms  # only its users pay

    kind = HttpSms if provider == "http" else TwilioSms
    url = given["SMS_API_BASE"] or TWILIO_URL
    try:
        return kind(given["SMS_API_KEY"], http, sender=given["SMS_FROM"], url=url)
    except InvalidOptionError as error:
        raise InvalidSettingError(f"SMS_API_KEY, SMS_FROM or SMS_API_BASE: {error}") from None


class NotificationService:
    """Adds jobs of `notify.send`.

    Parameters:
        task: `app.bound(notify_send)`, or what `app.bind` returned for it.
    """

    def __init__(self, task: Task[..., Any]) -> None:
        self._task = task

    async def send(
        self,
        channel: Channel,
        options: NotificationOptions | Mapping[str, Any],
        *,
        delay_s: float = 0.0,
        max_attempts: int | None = None,
        job_id: str | None = None,
    ) -> Job[NotificationSent]:
        """Add a job.

        Parameters:
            channel: By which way.
            options: Whom to tell, and what; the struct, or its fields as they are on the wire.
            delay_s: Not before so many seconds.
            max_attempts: Of the job. Default: the task's own.
            job_id: The job's id; a second one of this id is not added.

        Raises:
            InvalidPayloadError: The channel or the options make no sense.
            UnusableInputError: There is no receiver, or nothing to say.
        """
        good = max_attempts is None or (is_whole(max_attempts) and max_attempts >= 1)
        require(good, "max_attempts", max_attempts, "an integer from 1")
        if isinstance(options, NotificationOptions):
            check_content(options)
        given: dict[str, Any] = {"channel": channel, "options": options}
        more: dict[str, Any] = {"delay": delay_s} if delay_s else {}
        if max_attempts is not None:
            given["max_attempts"] = more["max_attempts"] = max_attempts
        if job_id is not None:
            more["job_id"] = job_id
        task = self._task.with_options(**more) if more else self._task
        return await task.enqueue(**given)
