"""Makes a mail of a payload: a template, or HTML and text as they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toril.library.email.payloads import EmailJobData
from toril.services.mail.plain_text import text_of_html
from toril.services.mail.port import Attachment, Mail, check_address
from toril.services.mail.suppressions import plain
from toril.services.mail.templates import RenderedMail
from toril.services.unusable import UnusableInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What was got for a payload before."""

    receivers: Sequence[str]
    sender: str
    rendered: RenderedMail | None
    files: Sequence[Attachment]


def check_receivers(data: EmailJobData, max_recipients: int) -> list[str]:
    """Return the receivers, each once.

    Raises:
        UnusableInputError: There are none, or too many.
        InvalidOptionError: One is no address.
    """
    given = [data.to] if isinstance(data.to, str) else data.to
    found: dict[str, str] = {}
    for address in given:
        check_address("to", address)
        found.setdefault(plain(address), address)
    if not found:
        raise UnusableInputError("to", "expected at least one address")
    if len(found) > max_recipients:
        raise UnusableInputError(
            "to",
            f"{len(found)} addresses, and a mail takes {max_recipients} (max_recipients); to many"
            " people who do not know each other, send with email.send_bulk",
        )
    return list(found.values())


def composed(data: EmailJobData, content: Content) -> Mail:
    """Return the mail.

    Raises:
        UnusableInputError: It lacks a subject or a body, or has two.
        InvalidOptionError: The subject or an address breaks a header.
    """
    rendered = content.rendered
    if rendered is not None and (data.html is not None or data.text is not None):
        raise UnusableInputError("template", "expected no html and no text beside it")
    subject = data.subject or (rendered.subject if rendered is not None else None)
    if not subject:
        reason = "it is missing: give one"
        if rendered is not None:
            reason += ", or a block `subject` in the template"
        raise UnusableInputError("subject", reason)
    html = data.html if rendered is None else rendered.html
    text = data.text if rendered is None else rendered.text
    if html is None and text is None:
        raise UnusableInputError("body", "it is missing: give a template, html or text")
    if text is None:
        text = text_of_html(html or "")
    return Mail(
        to=content.receivers,
        subject=subject,
        text=text,
        html=html,
        sender=content.sender,
        reply_to=data.reply_to,
        attachments=content.files,
    )
