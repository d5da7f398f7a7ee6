"""The worker: three queues, the tasks behind them, and the lines that it writes of each job.

Run:
    toril worker examples.chat.worker -c 13
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import sqlalchemy as sa

import toril.library.email.tasks as mails
import toril.library.images.stored_tasks as images
import toril.library.push.tasks as pushes
import toril.library.video.tasks as videos
from toril import App, Fallback, JobOptions, KeepPolicy, RateLimit
from toril.core.redis_variables import redis_url_from_environment
from toril.library.email import EmailService, EmailSettings
from toril.library.images import StoredImageSettings
from toril.library.push import PushPayload, PushService, PushSettings
from toril.library.video import VideoSettings
from toril.observability.job_lines import JobLines, Kind
from toril.services.media.opening import media_work_from_environment
from toril.services.media.sql_file_records import SqlFileRecords
from toril.services.records.records import Records

PUSH_NOTIFICATIONS, FILE_PROCESSING, EMAIL = "push-notifications", "file-processing", "email"
PUSH_NOTIFICATION, PUSH_NOTIFICATION_BATCH = "push-notification", "push-notification-batch"
PROCESS_IMAGE, PROCESS_VIDEO, OPTIMIZE_AVATAR = "process-image", "process-video", "optimize-avatar"
SEND_EMAIL = "send-email"
lines = JobLines(
    "chat",
    {
        "push": Kind("📤", "push notification", ": {0.sent} sent, {0.failed} failed"),
        "image": Kind("🖼️", "image"), "video": Kind("🎬", "video"), "avatar": Kind("👤", "avatar"),
        "email": Kind("📧", "email"),
    },
    about={"to": "to", "fileId": "for file", "filePath": "for file", "userId": "for user"},
)  # fmt: skip
DAY_S, env = 86_400.0, os.environ
WEEK = KeepPolicy(age_s=7 * DAY_S)
MAIL = JobOptions(
    max_attempts=3, backoff="exponential", backoff_s=2.0, keep_failed=WEEK,
    keep_completed=KeepPolicy(count=1000, age_s=DAY_S), max_payload_bytes=64 * 1024,
)  # fmt: skip
PUSH = replace(MAIL, priority=1)
FILES = replace(MAIL, max_attempts=2, backoff_s=5.0, keep_completed=replace(WEEK, count=500))
database_url = env.get("DATABASE_URL") or "sqlite:///chat.db"
records = Records(database_url)
files = SqlFileRecords(records)
push = PushService(replace(PushSettings.from_environment(), database_url=database_url))


async def save_avatar(user_id: str, url: str) -> bool:
    """Give a user an avatar; False: there is no such user."""
    change = sa.text("UPDATE chat_users SET avatar = :url WHERE id = :id")
    async with records.begin() as connection:
        return (await connection.execute(change, {"url": url, "id": user_id})).rowcount > 0


media = media_work_from_environment(files, save_avatar=save_avatar)


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[EmailService]:
    """Open what a worker needs. It does not start without EMAIL_FROM."""
    mail = EmailService(EmailSettings.from_environment())
    yield mail
    await media.close()
    await mail.close()


def pushed(user_id: str, payload: PushPayload) -> dict[str, Any]:
    """Take what producers of the chat send: some name the room in place of its page."""
    room = (payload.data or {}).get("roomId")
    url = payload.url or (f"/chat/{room}" if room else None)
    return pushes.send.arguments_of(user_id, msgspec.structs.replace(payload, url=url))


def mailed(to: str, subject: str, body: str) -> dict[str, Any]:
    """Take a mail of the chat."""
    return mails.send.arguments_of(to=to, subject=subject, html=body)


url = env.get("TORIL_URL") or redis_url_from_environment()
spool = Fallback(env.get("FALLBACK_URL") or "sqlite:///chat-spool.db", work=False)
fallback = spool if "redis" in (url or "") else None
app = App(url, fallback=fallback, lifespan=lifespan, unknown_tasks="fail")
for value in (push, media, StoredImageSettings(), VideoSettings()):
    app.provide(value)
fast: dict[str, Any] = {"rate": RateLimit(limit=100), "concurrency": 5, "rename": "camel"}
slow: dict[str, Any] = {"rate": RateLimit(limit=50), "concurrency": 3, "options": FILES}
names = [PUSH_NOTIFICATION, "send-push-notification"]
app.bind(PUSH_NOTIFICATIONS, pushes.send, names=names, adapter=pushed, options=PUSH, **fast)
app.bind(PUSH_NOTIFICATIONS, pushes.send_batch, names=PUSH_NOTIFICATION_BATCH, options=PUSH, **fast)
app.bind(FILE_PROCESSING, images.compress, names=PROCESS_IMAGE, **slow)
app.bind(FILE_PROCESSING, videos.process, names=PROCESS_VIDEO, **slow)
app.bind(FILE_PROCESSING, images.avatar, names=OPTIMIZE_AVATAR, **slow)
for task in (images.remove_original, videos.remove_original):
    app.bind(FILE_PROCESSING, task, names=task.name, **slow)
sent: dict[str, Any] = {"adapter": mailed, "result": lambda _: {"success": True}, "options": MAIL}
app.bind(EMAIL, mails.send, names=SEND_EMAIL, **sent, **fast)
lines.attach(app)
