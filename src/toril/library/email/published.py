"""Takes mails as shops on Node add them: adapters for `app.bind`.

```python
app.bind("email-sending", send, adapter=from_template, rename="camel")
app.bind("email-sending", send_bulk, names="send-campaign", adapter=campaign, rename="camel")
```
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from toril.library.email.payloads import BULK_SIZE, AttachmentSource, BulkRecipient
from toril.library.email.service import EmailService
from toril.services.mail.port import check_address

Word = Literal["high", "normal", "low"]


def from_template(
    to: str | list[str],
    template: str,
    data: dict[str, Any],
    priority: Word = "normal",
    subject: str | None = None,
    attachments: list[AttachmentSource] | None = None,
    campaign_id: str | None = None,
    reply_to: str | None = None,
    toril_delivery: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the arguments of `email.send`. Of several addresses each gets a mail of its own.

    Parameters:
        to: One address or several.
        template: A template; `password-reset` is `password_reset`.
        data: Its variables. With `html` or `text` in them the mail was rendered before, and there
            need be no such template.
        priority: Taken and not used: the job's own counts.
        subject: Default: `data.subject`, or the template's.
        attachments: Files that go along.
        campaign_id: Taken and not used.
        reply_to: Where answers go.
        toril_delivery: Who was served, which only the task fills.

    Raises:
        InvalidOptionError: An address makes no sense.
    """
    del priority, campaign_id, toril_delivery
    for address in [to] if isinstance(to, str) else to:
        check_address("to", address)
    made: dict[str, Any] = {"template": template.replace("-", "_"), "variables": data}
    html, text = data.get("html"), data.get("text")
    if html or text:
        made = {"html": html or None, "text": text or None}
        subject = subject or data.get("subject")
    return {
        "to": to,
        "subject": subject,
        "attachments": attachments,
        "reply_to": reply_to,
        "separately": True,
        **made,
    }


def campaign(
    template: str,
    recipients: list[BulkRecipient],
    data: dict[str, Any] | None = None,
    campaign_id: str | None = None,
    subject: str | None = None,
    reply_to: str | None = None,
    priority: Word = "low",
    toril_delivery: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the arguments of `email.send_bulk`.

    Parameters:
        template: A template; `winter-sale` is `winter_sale`.
        recipients: Who gets it, each with variables of their own.
        data: Variables that all of them have.
        campaign_id: A name, which each mail carries.
        subject: Default: the template's.
        reply_to: Where answers go.
        priority: Taken and not used: the job's own counts.
        toril_delivery: Who was served, which only the task fills.
    """
    del priority, toril_delivery
    each = [BulkRecipient(to=one.to, data={**(data or {}), **one.data}) for one in recipients]
    return {
        "template": template.replace("-", "_"),
        "recipients": each,
        "campaign_id": campaign_id,
        "subject": subject,
        "reply_to": reply_to,
    }


async def check_mail(service: EmailService, template: str, data: Mapping[str, Any]) -> None:
    """Refuse a mail that could not be made, before it is added: for the door of an application.

    Raises:
        UnusableInputError: There is no such template, or it lacks a variable.
    """
    if not (data.get("html") or data.get("text")):
        await service.render(template.replace("-", "_"), data)


def parts_of(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a campaign as payloads of at most 100 recipients each."""
    people = payload["recipients"]
    starts = range(0, len(people), BULK_SIZE)
    return [{**payload, "recipients": people[at : at + BULK_SIZE]} for at in starts]
