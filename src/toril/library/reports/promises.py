"""What the reports promise."""

from __future__ import annotations

from typing import Any

from toril.library.promises import Promise

_SAME: dict[str, Any] = {
    "idempotency_key": "kind and first day: one file of each format",
    "second_run": "gathers the numbers again and replaces the files",
    "side_effects": "objects; a mail to each recipient, in the step that completes the job",
    "services": "`Reports`: a source of your own, a storage of objects; Typst for PDF",
    "progress": "none",
    "cancelling": "between its files; those that are stored stay",
}
PROMISES = {"reports.daily": Promise(**_SAME), "reports.weekly": Promise(**_SAME)}
