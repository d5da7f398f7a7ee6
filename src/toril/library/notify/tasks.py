"""Notices as a task: `app.include(notify)`, with `app.provide(SqlNotices(...), Notices)`.

`notifications` sends over five channels.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec

from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.notify.channel_tasks import notifications, notify_send
from toril.library.notify.payloads import NotificationResult
from toril.library.notify.step_tasks import notify_step, scenario_steps
from toril.services.notices.port import Notice, Notices, NoticeType
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

__all__ = [
    "in_app",
    "notifications",
    "notify",
    "notify_send",
    "notify_step",
    "scenario_steps",
]

TIMEOUT_S = 30.0
"""How long one notice may take, in seconds."""
UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Body = Annotated[str, msgspec.Meta(max_length=20_000)]

notify = TaskBundle()
"""`notify.in_app` on the queue `notifications`."""


@notify.task(
    name="notify.in_app",
    queue="notifications",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=5, base_s=2.0),
)
async def in_app(
    ctx: Context,
    user_id: UserId,
    title: Title,
    body: Body,
    type: NoticeType = "info",
    metadata: dict[str, Any] | None = None,
    tenant_id: UserId | None = None,
    *,
    notices: Notices = provided(Notices),  # type: ignore[type-abstract]
) -> NotificationResult:
    """Store a notice for a user, which the application shows. A second run stores no other.

    Parameters:
        user_id: Whom to tell.
        title: One line.
        body: The text.
        type: `info`, `warning`, `error` or `success`.
        metadata: What the application wants to know when it shows the notice.
        tenant_id: Whose user it is. Default: users have one name space.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database; it is tried again.
    """
    notice = Notice(
        id=hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:32],
        user_id=user_id,
        tenant_id=tenant_id,
        type=type,
        title=title,
        body=body,
        metadata=metadata or {},
    )
    await notices.add(notice)
    return NotificationResult(notification_id=notice.id)
