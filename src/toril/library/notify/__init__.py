"""Tells users something: by mail, browser, Telegram, SMS, or a notice inside the application.

`tasks.py` has the bundles: `notify` stores notices, with `Notices` provided; `notifications` sends
over five channels, with `Channels` provided.
"""

from toril.library.notify.channel_payloads import (
    Channel,
    NotificationJobData,
    NotificationOptions,
    NotificationSent,
)
from toril.library.notify.channel_service import Channels, NotificationService
from toril.library.notify.payloads import NotificationResult

__all__ = [
    "Channel",
    "Channels",
    "NotificationJobData",
    "NotificationOptions",
    "NotificationResult",
    "NotificationSent",
    "NotificationService",
]
