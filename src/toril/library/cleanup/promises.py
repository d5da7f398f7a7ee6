"""What the cleaning tasks promise."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "run-cleanup": Promise(
        idempotency_key="none is needed",
        second_run="removes what is old by then; what is gone stays gone",
        side_effects="old files below `temp_root` or `log_root`, or old sessions, are removed",
        services="the disk; a session store of yours for `expired_sessions`",
        progress="none",
        cancelling="after each folder; what was removed until then is gone",
    ),
    "clean-jobs": Promise(
        idempotency_key="none is needed",
        second_run="removes what is old by then; what is gone stays gone",
        side_effects="old finished jobs of the named queues are removed",
        services="none but the store",
        progress="0 to 100, after each queue",
        cancelling="between two queues",
    ),
}
