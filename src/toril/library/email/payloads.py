"""What e-mail jobs carry and give back, under camelCase names."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Address = Annotated[str, msgspec.Meta(pattern=r"^[^\r\n\x00]*[^\s@]@[^\s@]+$", max_length=320)]
"""As a door checks it; `services/mail/port.check_address` has the last word.

Not beside a list in a union: a task refuses such a type, as msgspec crashes on it.
"""
BULK_SIZE = 100
"""Receivers of one bulk job. A job with more is split into such jobs by its worker."""


class AttachmentSource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file that goes with a mail. Exactly one of `path`, `url` and `content`."""

    filename: str
    """As the receiver sees it."""
    path: str | None = None
    """From the attachment folder, or absolute and inside it."""
    url: str | None = None
    """Fetched when the mail is sent; see `EmailSettings.egress_allow`."""
    content: Any = None
    """The file itself: a text, or what `JSON.stringify` makes of a Buffer."""
    content_type: str | None = None
    """Default: by the ending of `filename`."""


class EmailJobData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload of `email.send`: whom to write, and what."""

    to: str | list[Address]
    """One address or several, with names or without. Several see each other."""
    subject: str | None = None
    """Default: the template's."""
    template: str | None = None
    """In place of `html` and `text`."""
    variables: dict[str, Any] | None = None
    """Of the template."""
    html: str | None = None
    text: str | None = None
    """Default: made of `html`."""
    attachments: list[AttachmentSource] | None = None
    reply_to: Address | None = None
    separately: bool = False
    """Of several addresses, each gets a mail that names only them."""


class EmailResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `email.send` returns: at least one address was served."""

    message_id: str
    accepted: list[str]
    """Addresses for which a server took the mail."""
    rejected: list[str]
    """Addresses that a server refused for good."""
    unknown: list[str] = []
    """Addresses for which the answer was lost twice: served at most twice, perhaps not at all."""
    reasons: dict[str, str] = {}
    """By address: why it is not among `accepted`."""


class BulkRecipient(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One receiver of a bulk mail."""

    to: Address
    data: dict[str, Any] = {}
    """Variables of the template, for this receiver."""


class BulkResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `email.send_bulk` returns."""

    accepted: list[str]
    rejected: list[str]
    suppressed: list[str] = []
    """Addresses that are on the suppression list, and got nothing."""
    unknown: list[str] = []
    reasons: dict[str, str] = {}
    jobs: int = 0
    """Into how many jobs this one was split; then nothing was sent by itself."""
