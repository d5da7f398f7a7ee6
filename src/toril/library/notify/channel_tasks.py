"""Notifications by five channels as a task: `app.include(notifications)`, with `Channels`."""

from __future__ import annotations

import time
from typing import Any

from toril.core.errors import InvalidOptionError, TorilError
from toril.engine.context import Context
from toril.engine.options import KeepPolicy, RetryPolicy
from toril.engine.outcomes import Retry, Snooze
from toril.library.email.delivery import (
    ACCEPTED,
    DELAYED,
    LOST,
    LOST_TWICE,
    REJECTED,
    SERVING,
    SERVING_AGAIN,
    UNKNOWN,
    Delivery,
    delivery_of,
    with_delivery,
)
from toril.library.notify.channel_payloads import (
    MAX_RECEIVERS,
    Channel,
    NotificationOptions,
    NotificationSent,
    Receiver,
)
from toril.library.notify.channel_service import Channels
from toril.library.notify.channels import AwayError, Sender, check_content, key_of
from toril.services.messengers.port import (
    MessengerError,
    MessengerRefusedError,
    MessengerSetupError,
    MessengerUnknownError,
)
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 300.0
"""How long one attempt may take, in seconds."""
MAX_WAIT_S = 3600.0
"""The longest that a provider's own wish keeps a job waiting, in seconds."""
_SHOWN = 5

notifications = TaskBundle()
"""`notify.send` on the queue `notifications`."""


class NotificationLaterError(TorilError):
    """Some receivers were not served, and may be later. The job is tried again."""


class NotificationRefusedError(TorilError):
    """No receiver was served, and none will be."""


GIVE_UP_ON = (
    UnusableInputError,
    InvalidOptionError,
    MessengerSetupError,
    NotificationRefusedError,
)
"""Errors that another attempt will not mend."""


@notifications.task(
    name="notify.send",
    queue="notifications",
    any_name=True,
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=3, base_s=1.0, give_up_on=GIVE_UP_ON),
    keep_completed=KeepPolicy(count=100),
    keep_failed=KeepPolicy(count=50),
)
async def notify_send(
    ctx: Context,
    channel: Channel,
    options: NotificationOptions,
    attempts: int | None = None,
    max_attempts: int | None = None,
    not_before_ms: int | None = None,
    toril_delivery: dict[str, Any] | None = None,
    *,
    channels: Channels = provided(Channels),
) -> NotificationSent:
    """Tell some receivers something over one channel; see `NotificationJobData`.

    With `not_before_ms`, milliseconds since 1970, it waits until then. A second run serves those
    only who were not served: the payload says who was, in `torilDelivery`, which nobody but this
    task fills.

    Raises:
        UnusableInputError, InvalidOptionError: It makes no sense; it is not tried again.
        MessengerSetupError: The channel is not set up; nor is it.
        NotificationRefusedError: Everybody was refused for good; nor is it.
        NotificationLaterError: Some were not served; it is. So it is with `HttpError`.
    """
    if not_before_ms is not None and (wait_s := not_before_ms / 1000 - time.time()) > 0:
        raise Snooze(after_s=wait_s)
    return await tell(ctx, channel, options, channels)


async def tell(
    ctx: Context, channel: Channel, options: NotificationOptions, channels: Channels
) -> NotificationSent:
    """Serve everybody who was not served by an earlier attempt; errors as `notify_send`."""
    check_content(options)
    given = [options.to] if isinstance(options.to, str) else options.to
    to = list(dict.fromkeys(given))
    if len(to) > MAX_RECEIVERS:
        reason = f"{len(to)} receivers, and a job takes {MAX_RECEIVERS}; make several jobs"
        raise UnusableInputError("to", reason)
    key = key_of(ctx.idempotency_key, "")
    sender = await channels.sender(channel, options, to, key)
    delivery = delivery_of(ctx.data, message_id=key, receivers=len(to))
    sent, wait_s = await _serve(ctx, delivery, to, sender)
    if delivery.left:
        served = len(delivery.places(ACCEPTED))
        reason = f"{len(delivery.left)} of {len(to)} not served yet ({served} are): "
        reason += _why(delivery, to, delivery.left)
        if wait_s:
            raise Retry(reason, after_s=min(wait_s, MAX_WAIT_S))
        raise NotificationLaterError(reason)
    if not delivery.places(ACCEPTED):
        failed = delivery.places(REJECTED, LOST)
        raise NotificationRefusedError(f"nobody was told: {_why(delivery, to, failed)}")
    return NotificationSent(
        channel=channel,
        message_id=sent or None,
        recipients=[
            Receiver(to=one, status="sent")
            if delivery.marks[place] == ACCEPTED
            else Receiver(to=one, status="failed", reason=delivery.reasons.get(str(place), ""))
            for place, one in enumerate(to)
        ],
    )


async def _serve(
    ctx: Context, delivery: Delivery, to: list[str], sender: Sender
) -> tuple[str, float]:
    """Serve everybody who is left, one after another.

    Before a message leaves, its receiver is marked as being served. So a worker that is killed
    leaves at most one receiver of whom nobody knows.

    Returns:
        The id of the last message, and how long a provider asked to wait, in seconds.

    Raises:
        MessengerSetupError: Nobody can be served.
    """
    sent, wait_s = "", 0.0
    for place in delivery.left:
        before, reason = delivery.marks[place], delivery.reasons.get(str(place), "")
        again = before == UNKNOWN
        delivery.mark(place, SERVING_AGAIN if again else SERVING)
        await ctx.update_data(with_delivery(ctx.data, delivery))
        try:
            sent = await sender.serve(to[place], key_of(ctx.idempotency_key, to[place]))
        except MessengerSetupError:
            delivery.mark(place, before, reason)
            await ctx.update_data(with_delivery(ctx.data, delivery))
            raise
        except MessengerUnknownError as error:
            delivery.mark(place, LOST if again else UNKNOWN, LOST_TWICE if again else str(error))
            if not again:  # a provider in trouble must not make a second message to each of them
                break
        except (MessengerRefusedError, UnusableInputError) as error:
            delivery.mark(place, REJECTED, str(error))
        except MessengerError as error:
            delivery.mark(place, UNKNOWN if again else DELAYED, str(error))
            wait_s = max(wait_s, error.retry_after_s or 0.0)
            if error.retry_after_s or isinstance(error, AwayError):
                break
        else:
            delivery.mark(place, ACCEPTED)
    if len(to) > 1 or delivery.left:
        await ctx.update_data(with_delivery(ctx.data, delivery))
    ctx.progress(100 * (len(to) - len(delivery.left)) // len(to))
    return sent, wait_s


def _why(delivery: Delivery, to: list[str], places: list[int]) -> str:
    said = [f"{to[place]}: {delivery.reasons.get(str(place), 'not tried')}" for place in places]
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more
