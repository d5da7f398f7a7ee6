"""Notices inside an application: `app.include(notify)` of `tasks.py`, with `Notices` provided."""

from toril.library.notify.payloads import NotificationResult

__all__ = ["NotificationResult"]
