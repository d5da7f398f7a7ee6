"""Push work as tasks: `app.include(push)`, with `app.provide(PushService(...))`."""

from __future__ import annotations

from typing import Any

import msgspec

from toril.engine.context import Context
from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.push.payloads import (
    USERS_A_JOB,
    PushBatchResult,
    PushPayload,
    PushResult,
    Served,
    batches,
)
from toril.library.push.record import Record
from toril.library.push.sending import Sending
from toril.library.push.service import PushService
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

QUEUE = "push-notifications"
TIMEOUT_S = 60.0
"""How long one attempt for a user may take, in seconds."""
BATCH_TIMEOUT_S = 600.0
"""How long one attempt for a batch may take, in seconds."""
_RETRY = RetryPolicy(max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError,))
_KEEP_COMPLETED = KeepPolicy(count=1000, age_s=86_400.0)
_KEEP_FAILED = KeepPolicy(age_s=604_800.0)

push = TaskBundle()
"""`push-notification` and `push-notification-batch` on the queue `push-notifications`."""


@push.task(
    name="push-notification",
    queue=QUEUE,
    rename="camel",
    timeout=TIMEOUT_S,
    retry=_RETRY,
    keep_completed=_KEEP_COMPLETED,
    keep_failed=_KEEP_FAILED,
)
async def send(
    ctx: Context,
    user_id: str,
    payload: PushPayload,
    more: dict[str, object] | None = None,
    served: Served | None = None,
    *,
    service: PushService = provided(PushService),
) -> PushResult:
    """Send a message to all browsers of a user, at the same time.

    `more` are members of the message beside those of `payload`.

    Harmless when run again: what an attempt has done stands in the job (`served`), and another one
    sends to the others only. Completed if at least one was sent, or all were refused for good.

    Raises:
        UnusableInputError: It is too large even without its body; it is not tried again.
        PushLaterError: No push service took it for now; it is.
        Retry: The same, and one asked to wait.
        sqlalchemy.exc.SQLAlchemyError: The database; it is.
    """
    record = Record(ctx, served)
    sending = Sending(ctx, service, service.message(payload, _more(ctx, more)), [user_id], record)
    await sending.run()
    left = sending.left
    failed = record.failed + len(left)
    return PushResult(
        sent=record.sent,
        failed=failed,
        total=record.sent + failed,
        reasons=record.reasons(left),
    )


@push.task(
    name="push-notification-batch",
    queue=QUEUE,
    rename="camel",
    timeout=BATCH_TIMEOUT_S,
    retry=_RETRY,
    keep_completed=_KEEP_COMPLETED,
    keep_failed=_KEEP_FAILED,
)
async def send_batch(
    ctx: Context,
    users: list[str],
    payload: PushPayload,
    more: dict[str, object] | None = None,
    served: Served | None = None,
    *,
    service: PushService = provided(PushService),
) -> PushBatchResult:
    """Send a message to all browsers of up to 500 users. Progress is the share that is done.

    For more users it becomes several such jobs, which are added in the step that completes it.
    Harmless when run again, and errors, as `send`.
    """
    each = list(dict.fromkeys(users))
    others = _more(ctx, more)
    message = service.message(payload, others)
    if len(each) > USERS_A_JOB:
        return _split(ctx, each, payload, others)
    record = Record(ctx, served)
    sending = Sending(ctx, service, message, each, record, ctx.progress)
    await sending.run()
    left = sending.left
    failed = record.failed + len(left)
    return PushBatchResult(
        sent=record.sent,
        failed=failed,
        total=record.sent + failed,
        users=len(each),
        reasons=record.reasons(left),
    )


def _split(
    ctx: Context, users: list[str], payload: PushPayload, more: dict[str, Any]
) -> PushBatchResult:
    common = {"payload": msgspec.to_builtins(payload), **({"more": more} if more else {})}
    jobs = batches(users, payload)
    for job in jobs:
        ctx.enqueue(ctx.task, {**common, "users": job["users"]}, queue=ctx.queue)
    return PushBatchResult(sent=0, failed=0, total=0, users=len(users), jobs=len(jobs))


def _more(ctx: Context, more: dict[str, object] | None) -> dict[str, Any]:
    """Return the members of the message that `PushPayload` does not know."""
    data = ctx.data
    stored = data.get("payload") if isinstance(data, dict) else None
    members = stored if isinstance(stored, dict) else {}
    known = PushPayload.__struct_fields__
    others = {name: value for name, value in members.items() if name not in known}
    return {**others, **(more or {})}
