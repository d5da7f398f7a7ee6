"""What `notify.in_app` gives back, under its producers' camelCase names."""

from __future__ import annotations

import msgspec


class NotificationResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `notify.in_app` returns."""

    notification_id: str
    """The row's id, the same in every attempt of a job."""
