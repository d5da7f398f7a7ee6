"""The work of one bulk job: a mail of its own for each receiver, who knows of no other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from toril.core.errors import InvalidOptionError
from toril.library.email.delivery import SUPPRESSED, Delivery, Save, deliver
from toril.library.email.payloads import BulkRecipient
from toril.library.email.service import EmailService
from toril.library.email.unsubscribing import unsubscribe_headers, unsubscribe_url
from toril.services.mail.port import Mail, MailRefusedError, Refusal
from toril.services.mail.suppressions import plain
from toril.services.unusable import UnusableInputError

_CAMPAIGN = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_UNFIT = 554
"""The code of a mail that could not be made for one receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What all receivers of a job have in common."""

    template: str
    subject: str | None
    campaign_id: str | None
    reply_to: str | None


def each_once(recipients: Sequence[BulkRecipient]) -> list[BulkRecipient]:
    """Return the receivers without those whose address came before."""
    found: dict[str, BulkRecipient] = {}
    for one in recipients:
        found.setdefault(plain(one.to), one)
    return list(found.values())


def check_campaign(service: EmailService, campaign: Campaign) -> None:
    """Refuse what would be refused for each receiver.

    Raises:
        UnusableInputError: There is no such template, or the campaign's id makes no header.
        InvalidOptionError: No link to unsubscribe is set.
    """
    service.templates.check(campaign.template)
    unsubscribe_url("somebody@example.com", service.settings)
    given = campaign.campaign_id
    if given is not None and not _CAMPAIGN.fullmatch(given):
        raise UnusableInputError(
            f"campaignId {given[:100]!r}", "expected up to 100 letters, digits, dots and dashes"
        )


async def mark_suppressed(
    service: EmailService, delivery: Delivery, recipients: Sequence[BulkRecipient]
) -> None:
    """Leave out those who are on the suppression list, also since the last attempt."""
    places = delivery.left
    found = await service.suppressions.find([recipients[place].to for place in places])
    for place in places:
        entry = found.get(recipients[place].to)
        if entry is not None:
            delivery.mark(place, SUPPRESSED, entry.reason)


async def deliver_bulk(
    service: EmailService,
    campaign: Campaign,
    delivery: Delivery,
    recipients: Sequence[BulkRecipient],
    *,
    save: Save,
) -> None:
    """Send to everybody who is left; see `delivery.deliver` for the errors."""

    async def send(place: int) -> None:
        recipient = recipients[place]
        try:
            mail = await personal(service, campaign, recipient, f"{delivery.message_id}.{place}")
        except (UnusableInputError, InvalidOptionError) as error:
            # One receiver's data does not keep the others from their mail.
            refusal = Refusal(_UNFIT, f"5.6.0 {error}")
            raise MailRefusedError(str(error), refusals={recipient.to: refusal}) from None
        await service.hand_over(mail)

    addresses = [each.to for each in recipients]
    await deliver(delivery, addresses, send=send, save=save, refused=service.note_refusal)


async def personal(
    service: EmailService, campaign: Campaign, recipient: BulkRecipient, message_id: str
) -> Mail:
    """Return the mail of one receiver.

    Raises:
        UnusableInputError: A variable is missing, or the template has no subject.
        InvalidOptionError: The address or the subject makes no sense.
    """
    link = unsubscribe_url(recipient.to, service.settings)
    variables = {**recipient.data, "unsubscribe_url": link}
    rendered = await service.render(campaign.template, variables)
    subject = campaign.subject or rendered.subject
    if not subject:
        raise UnusableInputError("subject", "it is missing: give one, or a block `subject`")
    headers = unsubscribe_headers(link)
    if campaign.campaign_id is not None:
        headers["X-Campaign-ID"] = campaign.campaign_id
    return Mail(
        to=[recipient.to],
        subject=subject,
        text=rendered.text,
        html=rendered.html,
        sender=service.settings.sender,
        reply_to=campaign.reply_to,
        message_id=message_id,
        headers=headers,
    )
