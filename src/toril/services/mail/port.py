"""What a mailer promises: take one mail, and say who was refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from toril.core.checks import require
from toril.core.errors import TorilError

_ADDRESS = re.compile(r"[^\s@<>,;:\"\\()\[\]\x00-\x1f\x7f]+@[^\s@<>,;:\"\\()\x00-\x1f\x7f]+")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class MailError(TorilError):
    """A mail was not taken. It may be taken later: no connection, no answer, a full mailbox."""


class MailRefusedError(MailError):
    """A mail will never be taken as it is: a wrong address, password or sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with a mail."""

    filename: str
    content: bytes = field(repr=False)
    content_type: str = "application/octet-stream"

    def __post_init__(self) -> None:
        require(_is_line(self.filename), "filename", self.filename, "a name in one line")
        kind = self.content_type.partition("/")
        good = bool(kind[0]) and bool(kind[2]) and _is_line(self.content_type)
        require(good, "content_type", self.content_type, "a type such as application/pdf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail. Addresses may have names: `Jo <jo@example.com>`."""

    to: Sequence[str]
    subject: str
    text: str
    html: str | None = None
    """The same as HTML, for readers that show it."""
    sender: str | None = None
    """Default: the mailer's."""
    reply_to: str | None = None
    message_id: str | None = None
    """What stands before the `@` of its id, so that the same mail sent twice has the same id.
    Default: a new one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further ones."""
    attachments: Sequence[Attachment] = ()

    def __post_init__(self) -> None:
        require(not isinstance(self.to, str) and bool(self.to), "to", self.to, "addresses")
        for address in self.to:
            check_address("to", address)
        for name, value in (("sender", self.sender), ("reply_to", self.reply_to)):
            if value is not None:
                check_address(name, value)
        require(_is_line(self.subject), "subject", self.subject, "one line")
        for name, value in self.headers.items():
            require(bool(_HEADER.fullmatch(name)), "headers", name, "names of headers")
            require(_is_line(value), "headers", value, "values in one line")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReceipt:
    """What became of a mail that was taken."""

    message_id: str
    refused: Mapping[str, str] = field(default_factory=dict)
    """Addresses that were refused although others were taken, and why."""


class Mailer(Protocol):
    """Sends mails."""

    async def send(self, mail: Mail) -> MailReceipt:
        """Send a mail; return once it was taken for at least one address.

        Raises:
            MailRefusedError: It will never be taken as it is.
            MailError: It was not taken, and may be later.
        """
        ...


def check_address(name: str, value: object) -> None:
    """Refuse what is no address of mail.

    Raises:
        InvalidOptionError: It is none.
    """
    from email.utils import parseaddr  # every program imports this module

    good = isinstance(value, str) and _is_line(value)
    good = good and _ADDRESS.fullmatch(parseaddr(str(value))[1]) is not None
    require(good, name, value, "an address such as jo@example.com or Jo <jo@example.com>")


def _is_line(text: str) -> bool:
    return isinstance(text, str) and not any(ord(char) < 32 or ord(char) == 127 for char in text)
