"""What the record of letters promises."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "deadletter.record": Promise(
        idempotency_key="none is needed: the letter itself is the record",
        second_run="writes its line into the log again",
        side_effects="one line of the log",
        services="none",
        progress="none",
        cancelling="at any moment; the letter stays",
    )
}
