"""Writes a mail as the bytes that SMTP servers and `.eml` files hold.

A mail's content (texts and attachments) is written once, and again only for another content; the
headers of each copy are put before it. So a mail to many costs little more than a mail to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from secrets import token_hex

from toril.services.mail.port import Mail

# Only ASCII goes over the wire, since not every server takes more.
_POLICY = SMTP.clone(cte_type="7bit")
_WIDE = _POLICY.clone(utf8=True)
"""For addresses that are not ASCII, which a server has to allow (RFC 6531)."""
_MAX_LINE = 900
_CONTENT = "content"
_WHOLE = frozenset({"message", "multipart"})
"""Types whose bytes are a structure of mail themselves; they go as plain bytes."""


def written(mail: Mail, *, sender: str, domain: str | None = None) -> tuple[str, bytes]:
    """Return the id of a mail, and its bytes.

    Parameters:
        mail: The mail.
        sender: If the mail names none.
        domain: Of the id. Default: the sender's.
    """
    sender = mail.sender or sender
    domain = domain or ascii_address(bare(sender)).rpartition("@")[2]
    message_id = f"<{mail.message_id or token_hex(16)}@{domain}>"
    headers = [
        _folded("Subject", mail.subject),
        _addresses("From", [sender]),
        _addresses("To", mail.to),
    ]
    if mail.reply_to is not None:
        headers.append(_addresses("Reply-To", [mail.reply_to]))
    headers.append(f"Date: {format_datetime(datetime.now(UTC))}\r\n".encode())
    headers.append(f"Message-ID: {message_id}\r\n".encode())
    headers += [_folded(name, value) for name, value in mail.headers.items()]
    content = mail.written.get(_CONTENT)
    if content is None:
        content = mail.written[_CONTENT] = _content(mail)
    return message_id, b"".join([*headers, content])


def bare(address: str) -> str:
    """Return an address without its name."""
    return parseaddr(address)[1]


def ascii_address(address: str) -> str:
    """Return a bare address with its host as name servers know it; the rest stays as it is."""
    local, at, host = address.rpartition("@")
    if host.isascii():
        return address
    try:
        return f"{local}{at}{host.encode('idna').decode('ascii')}"
    except UnicodeError:  # no name server knows it; the mail server says so
        return address


def needs_unicode(mail: Mail, *, sender: str) -> bool:
    """Whether an address has more than ASCII before its `@`."""
    addresses = (*mail.to, mail.sender or sender, mail.reply_to or "")
    return not all(bare(each).rpartition("@")[0].isascii() for each in addresses)


def _content(mail: Mail) -> bytes:
    message = EmailMessage(policy=_POLICY)
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    for file in mail.attachments:
        main, _, sub = file.content_type.partition("/")
        if main.lower() in _WHOLE:
            main, sub = "application", "octet-stream"
        message.add_attachment(file.content, maintype=main, subtype=sub, filename=file.filename)
    return message.as_bytes()


def _addresses(name: str, addresses: Sequence[str]) -> bytes:
    parts = [parseaddr(address) for address in addresses]
    shown = [(word, ascii_address(address)) for word, address in parts]
    if len(shown) == 1 and not shown[0][0] and shown[0][1].isascii():
        return f"{name}: {shown[0][1]}\r\n".encode()  # the most frequent, twenty times as fast
    return _folded(name, ", ".join(_named(word, address) for word, address in shown))


def _named(word: str, address: str) -> str:
    if not word:
        return address
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


@lru_cache(maxsize=256)
def _folded(name: str, value: str) -> bytes:
    """Return a header, in several lines if it is long. The same ones come again and again."""
    short = len(name) + len(value) <= 76 or (" " not in value and len(value) < _MAX_LINE)
    if value.isascii() and short:
        # As it is: some programs do not find a link that begins on the header's second line.
        return f"{name}: {value}\r\n".encode()
    policy = _POLICY if _local_is_ascii(name, value) else _WIDE
    return policy.fold_binary(name, policy.header_factory(name, value))


def _local_is_ascii(name: str, value: str) -> bool:
    if name not in ("From", "To", "Reply-To"):
        return True
    return all(address.addr_spec.isascii() for address in
               _POLICY.header_factory(name, value).addresses)  # fmt: skip
