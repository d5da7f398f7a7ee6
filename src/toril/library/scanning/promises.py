"""What the task that scans promises."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "scanning.scan": Promise(
        idempotency_key="none is needed: it changes nothing",
        second_run="is a second look, by what the scanner knows by then",
        side_effects="none",
        services="a `Scanner` (clamd), `Sources`: a folder, a storage of objects, HTTP",
        progress="none",
        cancelling="at any moment; nothing is left",
    ),
}
