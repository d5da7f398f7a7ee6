"""What `notify.send` carries and gives back, under its producers' camelCase names."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Channel = Literal["email", "browser", "telegram", "database", "sms"]
CHANNELS: tuple[Channel, ...] = ("email", "browser", "telegram", "database", "sms")
MAX_RECEIVERS = 500
"""Of one job."""


class NotificationOptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom to tell, and what. At least one of `template`, `text` and `html`."""

    to: str | list[str]
    """One or several: an address of mail; a user's id (`browser`, `database`); a chat's number or
    `@name` (`telegram`); a number such as `+491701234567` (`sms`)."""
    template: str | None = None
    """A template of mails; other channels take its text."""
    subject: str | None = None
    """Subject of a mail, title of a push or a notice. Default: the template's."""
    data: dict[str, Any] | None = None
    """Variables of the template; `url` and `icon` of a push; kept with a notice."""
    text: str | None = None
    html: str | None = None
    """Of mails. Other channels take its text."""


class NotificationJobData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload."""

    channel: Channel
    options: NotificationOptions
    attempts: int | None = None
    """Informational."""
    max_attempts: int | None = None
    """Informational in the payload: what adds the job makes the job's own attempts of it."""


class Receiver(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of one receiver."""

    to: str
    status: Literal["sent", "failed"]
    reason: str | None = None
    """Why it failed."""


class NotificationSent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `notify.send` returns: at least one receiver was served."""

    success: bool = True
    message_id: str | None = None
    """Of the last message that this attempt sent, in the provider's words."""
    channel: Channel
    recipients: list[Receiver]
    """In the order of `to`. It counts over all attempts."""
