"""What the task of flows promises."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "flows.collect": Promise(
        idempotency_key="the job's own key; results are the children's",
        second_run="reads the same results, and stores the same object again",
        side_effects="none; one object in the storage if the results are over 64 KiB",
        services="nothing; a storage of objects for large results",
        progress="none",
        cancelling="at any time; nothing is left, or the object that the next run writes again",
    ),
}
