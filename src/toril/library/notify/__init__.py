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
from toril.library.notify.rules import EventRulesHandler
from toril.library.notify.scenarios import ScenarioEngine

__all__ = [
    "Channel",
    "Channels",
    "EventRulesHandler",
    "NotificationJobData",
    "NotificationOptions",
    "NotificationResult",
    "NotificationSent",
    "NotificationService",
    "ScenarioEngine",
]
