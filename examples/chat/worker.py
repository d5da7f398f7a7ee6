"""The worker: three queues, the tasks behind them, and the lines that it writes of each job.

Run:
    toril worker examples.chat -c 13
"""

import os
from dataclasses import replace
from typing import Any

import msgspec

import toril.library.email.tasks as mails
import toril.library.images.stored_tasks as images
import toril.library.push.tasks as pushes
import toril.library.video.tasks as videos
from toril import App, Fallback, JobOptions, KeepPolicy, RateLimit
from toril.library.environment import store_url
from toril.library.push import PushPayload
from toril.library.user_services import UserServices
from toril.observability.job_lines import JobLines

PUSH_NOTIFICATIONS, FILE_PROCESSING, EMAIL = "push-notifications", "file-processing", "email"
PUSH_NOTIFICATION, PUSH_NOTIFICATION_BATCH = "push-notification", "push-notification-batch"
PROCESS_IMAGE, PROCESS_VIDEO, OPTIMIZE_AVATAR = "process-image", "process-video", "optimize-avatar"
SEND_EMAIL = "send-email"
DAY_S, env, lines = 86_400.0, os.environ, JobLines("chat")
WEEK = KeepPolicy(age_s=7 * DAY_S)
MAIL = JobOptions(
    max_attempts=3, backoff="exponential", backoff_s=2.0, keep_failed=WEEK,
    keep_completed=KeepPolicy(count=1000, age_s=DAY_S), max_payload_bytes=64 * 1024,
)  # fmt: skip
PUSH = replace(MAIL, priority=1)
FILES = replace(MAIL, max_attempts=2, backoff_s=5.0, keep_completed=replace(WEEK, count=500))
AVATAR = "UPDATE chat_users SET avatar = :url WHERE id = :user_id RETURNING id"
services = UserServices.from_environment(database_url="sqlite:///chat.db", save_avatar=AVATAR)


def pushed(user_id: str, payload: PushPayload) -> dict[str, Any]:
    """Take what producers of the chat send: some name the room in place of its page."""
    room = (payload.data or {}).get("roomId")
    url = payload.url or (f"/chat/{room}" if room else None)
    return pushes.send.arguments_of(user_id, msgspec.structs.replace(payload, url=url))


def mailed(to: str, subject: str, body: str) -> dict[str, Any]:
    """Take a mail of the chat."""
    return mails.send.arguments_of(to=to, subject=subject, html=body)


url = store_url(env, embedded="")
spool = Fallback(env.get("FALLBACK_URL") or "sqlite:///chat-spool.db", work=False)
fallback = spool if "redis" in url else None
# A worker does not start without EMAIL_FROM.
app = App(url, fallback=fallback, lifespan=services.mailing, unknown_tasks="fail")
services.provide(app)
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
