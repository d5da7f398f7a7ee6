"""What a mailer promises: take one mail, and say what became of it for each address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from toril.core.checks import require
from toril.core.errors import TorilError

_ADDRESS = re.compile(r"[^\s@<>,;:\"\\()\[\]\x00-\x1f\x7f]+@[^\s@<>,;:\"\\()\x00-\x1f\x7f]+")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_ID = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,200}")
_OWN_HEADERS = frozenset({
    "bcc", "cc", "content-transfer-encoding", "content-type", "date", "from", "message-id",
    "mime-version", "reply-to", "subject", "to",
})  # fmt: skip
"""Written from the mail's own fields, or (Bcc, Cc) naming people whom nobody sends it to."""
MAX_ADDRESS_CHARS = 254


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server's answer that it does not take a mail for an address."""

    code: int
    """SMTP's: 400 to 499 is for now, 500 to 599 for good."""
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"

    @property
    def for_good(self) -> bool:
        """Whether the same mail would be refused again."""
        return self.code >= 500


class MailError(TorilError):
    """A mail was not taken. It may be taken later: no connection, no answer, a full mailbox.

    Parameters:
        message: What went wrong, with which server.
        refusals: By address, if the server refused addresses and not the whole conversation.
        retry_after_s: How long the server asked to be left alone, in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        refusals: Mapping[str, Refusal] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.refusals: Mapping[str, Refusal] = refusals or {}
        self.retry_after_s = retry_after_s


class MailRefusedError(MailError):
    """A mail will never be taken as it is: a wrong address, password or sender."""


class MailUnknownError(MailError):
    """The whole mail was handed over, and the answer was lost: it may have been taken.

    Sending it again may deliver it twice, with the same `Message-ID` if `Mail.message_id` is set.
    """


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
    """Whom it shows as its receivers."""
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
    """Further ones, such as `List-Unsubscribe`."""
    attachments: Sequence[Attachment] = ()
    only_to: Sequence[str] | None = None
    """Who gets it, out of `to`, such as those who did not when it was first sent. Default: all."""
    written: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The content as it is sent, once a mailer has written it. Copies by `addressed` share it."""

    def __post_init__(self) -> None:
        require(not isinstance(self.to, str) and bool(self.to), "to", self.to, "addresses")
        for address in self.to:
            check_address("to", address)
        for address in self.only_to or ():
            require(address in self.to, "only_to", address, "addresses out of to")
        require(self.only_to is None or bool(self.only_to), "only_to", self.only_to, "addresses")
        for name, value in (("sender", self.sender), ("reply_to", self.reply_to)):
            if value is not None:
                check_address(name, value)
        require(_is_line(self.subject), "subject", self.subject, "one line")
        if self.message_id is not None:
            good = bool(_ID.fullmatch(self.message_id))
            require(good, "message_id", self.message_id, "letters, digits, dots and dashes")
        for name, value in self.headers.items():
            good = bool(_HEADER.fullmatch(name)) and name.lower() not in _OWN_HEADERS
            require(good, "headers", name, "names of headers that are no fields of a mail")
            require(_is_line(value), "headers", value, "values in one line")

    @property
    def receivers(self) -> Sequence[str]:
        """Who gets it."""
        return self.to if self.only_to is None else self.only_to

    def addressed(
        self,
        *,
        to: Sequence[str] | None = None,
        only_to: Sequence[str] | None = None,
        message_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mail:
        """Return the same mail for others; its content is written once for all copies.

        Parameters:
            to: Whom it shows. Default: as here.
            only_to: Who gets it. Default: all of `to`.
            message_id: Default: as here.
            headers: In place of those here. Default: as here.
        """
        copy = replace(
            self,
            to=self.to if to is None else to,
            only_to=only_to,
            message_id=self.message_id if message_id is None else message_id,
            headers=self.headers if headers is None else headers,
        )
        object.__setattr__(copy, "written", self.written)
        return copy


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReceipt:
    """What became of a mail that was taken for at least one address."""

    message_id: str
    """With its brackets, as the mail has it."""
    accepted: Sequence[str] = ()
    """The addresses, as `Mail.receivers` spells them."""
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    """Addresses that were refused although others were taken, and why."""


class Mailer(Protocol):
    """Sends mails. Made anywhere; used on one event loop at a time."""

    async def send(self, mail: Mail) -> MailReceipt:
        """Send a mail; return once it was taken for at least one address.

        Raises:
            MailRefusedError: It will never be taken as it is. `refusals` says why for each
                address, unless the server refused the whole conversation.
            MailUnknownError: It was handed over, and whether it was taken is not known.
            MailError: It was not taken, and may be later.
        """
        ...

    async def close(self) -> None:
        """Close what is open. The mailer may be used again."""
        ...


def check_address(name: str, value: object) -> None:
    """Refuse what is no address of mail.

    Raises:
        InvalidOptionError: It is none.
    """
    from email.utils import parseaddr  # every program imports this module

    good = isinstance(value, str) and _is_line(value)
    bare = parseaddr(str(value))[1] if good else ""
    good = _ADDRESS.fullmatch(bare) is not None and len(bare) <= MAX_ADDRESS_CHARS
    require(good, name, value, "an address such as jo@example.com or Jo <jo@example.com>")


def _is_line(text: object) -> bool:
    """Whether this is text that no header is broken by."""
    if not isinstance(text, str):
        return False
    # Also what Unicode calls an end of line: some programs break there, too.
    return not any(ord(char) < 32 or ord(char) == 127 or char in _BREAKS for char in text)


_BREAKS = "\x85\u2028\u2029"
