"""The e-mail work as tasks: `app.include(email)`, with `app.provide(EmailService(...))`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from toril.core.codec import Json
from toril.core.errors import PayloadTooLargeError
from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.engine.outcomes import Retry
from toril.library.email.bulk import (
    Campaign,
    check_campaign,
    deliver_bulk,
    each_once,
    mark_suppressed,
)
from toril.library.email.delivery import (
    ACCEPTED,
    LOST,
    REJECTED,
    SUPPRESSED,
    Delivery,
    delivery_of,
    with_delivery,
)
from toril.library.email.payloads import (
    BULK_SIZE,
    Address,
    AttachmentSource,
    BulkRecipient,
    BulkResult,
    EmailJobData,
    EmailResult,
)
from toril.library.email.service import EmailService
from toril.services.mail.message import ascii_address, bare
from toril.services.mail.port import MailError, MailRefusedError
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 300.0
BULK_TIMEOUT_S = 1800.0
MAX_WAIT_S = 3600.0
"""The longest that a server's own wish keeps a job waiting, in seconds."""
_RETRY = RetryPolicy(
    max_attempts=6, base_s=30.0, cap_s=3600.0, give_up_on=(UnusableInputError, MailRefusedError)
)
_SHOWN = 5
"""Addresses in an error's sentence."""

email = TaskBundle()
"""`email.send` on the queue `email`, `email.send_bulk` on the queue `email-bulk`."""


@email.task(name="email.send", queue="email", rename="camel", timeout=TIMEOUT_S, retry=_RETRY)
async def send(
    ctx: Context,
    to: str | list[Address],
    subject: str | None = None,
    template: str | None = None,
    variables: dict[str, Any] | None = None,
    html: str | None = None,
    text: str | None = None,
    attachments: list[AttachmentSource] | None = None,
    reply_to: Address | None = None,
    separately: bool = False,
    toril_delivery: dict[str, Any] | None = None,
    *,
    service: EmailService = provided(EmailService),
) -> EmailResult:
    """Send one mail to some people; see `EmailJobData`.

    A second run writes to those only who were not served: the job's payload says who was, in
    `torilDelivery`, which nobody but this task fills.

    Raises:
        UnusableInputError: This mail will never be one; it is not tried again.
        MailRefusedError: It was refused for good for everybody; nor is this.
        MailError: Some were not served, and may be later. So it is with `HttpError` and `OSError`.
    """
    data = EmailJobData(
        to=to, subject=subject, template=template, variables=variables, html=html, text=text,
        attachments=attachments, reply_to=reply_to, separately=separately,
    )  # fmt: skip
    mail = await service.compose(data)
    delivery = delivery_of(ctx.data, message_id=_message_id(ctx), receivers=len(mail.to))
    try:
        await service.deliver(mail, delivery, save=_saving(ctx), separately=separately)
    except MailError as error:
        raise _as_asked(error) from None
    _refuse_to_end(delivery, mail.to)
    accepted = _addresses(delivery, mail.to, ACCEPTED)
    if not accepted:
        raise MailRefusedError(f"nobody got the mail: {_why(delivery, mail.to, REJECTED, LOST)}")
    host = ascii_address(bare(service.settings.sender)).rpartition("@")[2]
    return EmailResult(
        message_id=f"<{delivery.message_id}@{host}>",
        accepted=accepted,
        rejected=_addresses(delivery, mail.to, REJECTED),
        unknown=_addresses(delivery, mail.to, LOST),
        reasons=_reasons(delivery, mail.to),
    )


@email.task(
    name="email.send_bulk",
    queue="email-bulk",
    rename="camel",
    timeout=BULK_TIMEOUT_S,
    retry=_RETRY,
)
async def send_bulk(
    ctx: Context,
    template: str,
    recipients: list[BulkRecipient],
    campaign_id: str | None = None,
    subject: str | None = None,
    reply_to: Address | None = None,
    toril_delivery: dict[str, Any] | None = None,
    *,
    service: EmailService = provided(EmailService),
) -> BulkResult:
    """Send a mail of a template to many, each of whom sees only themselves.

    More than 100 become jobs of 100. Those on the suppression list get nothing. A second run
    writes to those only who were not served, as `torilDelivery` says.

    Raises:
        UnusableInputError: There is no such template; it is not tried again.
        InvalidOptionError: No link to unsubscribe is set; nor is this.
        MailRefusedError: The server takes nothing of us: a wrong password; nor is this.
        MailError: Some were not served, and may be later.
    """
    campaign = Campaign(
        template=template, subject=subject, campaign_id=campaign_id, reply_to=reply_to
    )
    await asyncio.to_thread(check_campaign, service, campaign)  # it reads templates
    if len(recipients) > BULK_SIZE:
        return _split(ctx, recipients)
    people = each_once(recipients)
    delivery = delivery_of(ctx.data, message_id=_message_id(ctx), receivers=len(people))
    await mark_suppressed(service, delivery, people)
    addresses = [each.to for each in people]
    try:
        await deliver_bulk(service, campaign, delivery, people, save=_saving(ctx, progress=True))
    except MailError as error:
        raise _as_asked(error) from None
    _refuse_to_end(delivery, addresses)
    return BulkResult(
        accepted=_addresses(delivery, addresses, ACCEPTED),
        rejected=_addresses(delivery, addresses, REJECTED),
        suppressed=_addresses(delivery, addresses, SUPPRESSED),
        unknown=_addresses(delivery, addresses, LOST),
        reasons=_reasons(delivery, addresses),
    )


def _split(ctx: Context, recipients: Sequence[BulkRecipient]) -> BulkResult:
    """Make jobs of 100, in the step that completes this one: each is there once, or none."""
    people = each_once(recipients)
    parts = [people[start : start + BULK_SIZE] for start in range(0, len(people), BULK_SIZE)]
    for part in parts:
        listed: list[Json] = [{"to": each.to, "data": each.data} for each in part]
        ctx.enqueue(ctx.task, {**ctx.data, "recipients": listed}, queue=ctx.queue)
    return BulkResult(accepted=[], rejected=[], jobs=len(parts))


def _saving(ctx: Context, *, progress: bool = False) -> Any:
    """Return what keeps the state in the job's payload."""

    async def save(delivery: Delivery) -> None:
        try:
            await ctx.update_data(with_delivery(ctx.data, delivery))
        except PayloadTooLargeError:
            if not delivery.reasons:
                raise
            delivery.reasons.clear()  # who was served is worth more than why others were not
            await ctx.update_data(with_delivery(ctx.data, delivery))
        if progress:
            done = len(delivery.marks) - len(delivery.left) - 1
            ctx.progress(100 * max(0, done) // max(1, len(delivery.marks)))

    return save


def _message_id(ctx: Context) -> str:
    """Return an id that is the same in every attempt, and tells nothing of the queue."""
    return hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:32]


def _as_asked(error: MailError) -> Exception:
    """Return an error as an outcome, if the server said when to come back."""
    if error.retry_after_s is None or isinstance(error, MailRefusedError):
        return error
    return Retry(str(error), after_s=min(error.retry_after_s, MAX_WAIT_S))


def _refuse_to_end(delivery: Delivery, addresses: Sequence[str]) -> None:
    """End the attempt if somebody is still to be served.

    Raises:
        MailError: Somebody is.
    """
    left = delivery.left
    if left:
        served = len(delivery.places(ACCEPTED))
        marks = {delivery.marks[place] for place in left}
        raise MailError(f"{len(left)} of {len(addresses)} not served yet ({served} are):"
                        f" {_why(delivery, addresses, *marks)}")  # fmt: skip


def _addresses(delivery: Delivery, addresses: Sequence[str], mark: str) -> list[str]:
    return [addresses[place] for place in delivery.places(mark)]


def _reasons(delivery: Delivery, addresses: Sequence[str]) -> dict[str, str]:
    return {addresses[int(place)]: reason for place, reason in delivery.reasons.items()}


def _why(delivery: Delivery, addresses: Sequence[str], *marks: str) -> str:
    places = delivery.places(*marks)
    said = [
        f"{addresses[place]}: {delivery.reasons.get(str(place), 'not tried')}" for place in places
    ]
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more
