"""Writes a mail as the text that SMTP servers and `.eml` files hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, parseaddr
from secrets import token_hex

from toril.services.mail.port import Mail


def written(mail: Mail, *, sender: str, domain: str | None = None) -> tuple[str, bytes]:
    """Return the id of a mail, and its text.

    Parameters:
        mail: The mail.
        sender: If the mail names none.
        domain: Of the id. Default: the sender's.
    """
    sender = mail.sender or sender
    domain = domain or bare(sender).rpartition("@")[2]
    message_id = f"<{mail.message_id or token_hex(16)}@{domain}>"
    message = EmailMessage(policy=SMTP)
    message["Subject"] = mail.subject
    message["From"] = _address(sender)
    message["To"] = ", ".join(map(_address, mail.to))
    if mail.reply_to is not None:
        message["Reply-To"] = _address(mail.reply_to)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = message_id
    for name, value in mail.headers.items():
        message[name] = value
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    for file in mail.attachments:
        main, _, sub = file.content_type.partition("/")
        message.add_attachment(file.content, maintype=main, subtype=sub, filename=file.filename)
    return message_id, message.as_bytes()


def bare(address: str) -> str:
    """Return an address without its name."""
    return parseaddr(address)[1]


def bare_all(addresses: Sequence[str]) -> list[str]:
    """Return addresses without their names, each once."""
    return list(dict.fromkeys(map(bare, addresses)))


def _address(text: str) -> str:
    return formataddr(parseaddr(text))
