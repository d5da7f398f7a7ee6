"""What the figures promise."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "analytics.aggregate": Promise(
        idempotency_key="metric, type, bucket and filters: one row each",
        second_run="computes the same rows again and replaces them",
        side_effects="rows in the table `toril_figures`, with filters `toril_filtered_figures`",
        services="`Analytics` (SQLite, PostgreSQL)",
        progress="buckets that are done",
        cancelling="between two buckets; those that are done stay",
    )
}
