"""Keeps the files of media in step between the local disk and a storage of objects.

`syncing.py` is the work; `tasks.py` makes a job of it; `service.py` adds jobs, for one media or for
many; `published.py` reads the payloads of producers that are out in the world.
"""

from toril.library.sync.payloads import MediaSyncJobData, SyncResult

__all__ = ["MediaSyncJobData", "SyncResult"]
