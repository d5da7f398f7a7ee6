"""What the task of documents promises."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "documents.pdf": Promise(
        idempotency_key="the document's key, made of `pdfId`",
        second_run="makes the document anew, under the same key",
        side_effects="one object in the storage",
        services="a storage of objects (`SyncObjects`), Typst",
        progress="10 once its data is there, 90 when it is made, 100 when it is stored",
        cancelling="before it is stored; at the time limit at once, as its process is killed",
        memory="512 MiB a document (`max_memory_bytes`); then its process ends",
    ),
}
