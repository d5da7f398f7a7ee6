"""What the push tasks promise."""

from __future__ import annotations

from toril.library.promises import Promise

_RECORD = "the job: `served` in its payload holds which subscriptions and users are done"
_SECOND = (
    "sends only to subscriptions that were not served, also if a person retries the job; a killed"
    " attempt may send again what was in flight"
)
_EFFECTS = "messages at push services; ended and malformed subscriptions are removed"
_SERVICES = "a `PushService`: a pusher (Web Push, a folder), subscriptions (SQLite, PostgreSQL)"
_CANCELLING = "at any moment; what is on its way may arrive"

PROMISES = {
    "push-notification": Promise(
        idempotency_key=_RECORD,
        second_run=_SECOND,
        side_effects=_EFFECTS,
        services=_SERVICES,
        progress="none",
        cancelling=_CANCELLING,
    ),
    "push-notification-batch": Promise(
        idempotency_key=_RECORD,
        second_run=_SECOND,
        side_effects=f"{_EFFECTS}; one with over 500 users adds jobs in place of sending",
        services=_SERVICES,
        progress="0 to 100, the share of users that are done",
        cancelling=_CANCELLING,
    ),
}
