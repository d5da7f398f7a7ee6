"""Queues that other systems add to: notices, mails, and a sweep that a scheduler of Node's adds."""

from msgspec import Struct

from toril.typed import QueueSpec

NOTIFICATIONS_QUEUE = QueueSpec("notifications", profile="light", any_name=True)
EMAIL_QUEUE = QueueSpec("email", profile="light", any_name=True)
SWEEP = QueueSpec(
    "attachments-sweep", profile="light", concurrency=1, lock_duration=120_000, any_name=True
)


class EmailPayload(Struct, rename={"html": "body"}):
    to: str
    subject: str
    html: str
