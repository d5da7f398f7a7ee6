"""What the task on files promises."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "files.validate": Promise(
        idempotency_key="none is needed: it changes nothing",
        second_run="looks once more, and says the same of the same file",
        side_effects="none",
        services="`Sources`: a folder, a storage of objects, HTTP",
        progress="none",
        cancelling="before and after the file is read; nothing is left",
    ),
}
