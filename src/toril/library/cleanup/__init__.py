"""Removes what is old: temporary files, logs, sessions, and finished jobs.

`tasks.py` has the tasks; `settings.py` says where they may remove anything.
"""

from toril.library.cleanup.payloads import CleanupResult, JobsCleaned
from toril.library.cleanup.queues import CleanedQueues
from toril.library.cleanup.settings import CleanupSettings, SessionStore

__all__ = [
    "CleanedQueues",
    "CleanupResult",
    "CleanupSettings",
    "JobsCleaned",
    "SessionStore",
]
