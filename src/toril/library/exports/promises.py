"""What the export task promises."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "export-table": Promise(
        idempotency_key="the key of the file, made of the job's own key",
        second_run="writes the file anew from the rows of then, under the same key",
        side_effects="one object in the storage",
        services="a data source, an object storage",
        progress="0 to 95 while rows are written, 100 when the file is stored",
        cancelling="between 2,000 rows; no object appears, and the folder of the work goes",
        memory="stays under 200 MiB however many rows there are",
    )
}
