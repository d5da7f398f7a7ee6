"""What the notices promise."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "notify.in_app": Promise(
        idempotency_key="the id of the notice, made of the job's own key",
        second_run="finds the notice and changes nothing, whether or not it was read",
        side_effects="one row in the table `toril_notices`",
        services="a `Notices` store (SQLite, PostgreSQL)",
        progress="none",
        cancelling="before the row is written",
    )
}
