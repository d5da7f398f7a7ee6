"""The queue as the API sees it: it takes jobs of six types, and can be paused and cleaned."""

from functools import cache, partial

from examples.saas_api.types import JobPriority, JobType, older, wire
from examples.saas_api.worker import queue

from toril.web.job_manager import QueueJobs
from toril.web.own_options import read_options


class QueueManager(QueueJobs):
    """What `QueueJobs` does, with the names and priorities of this API."""

    def __init__(self) -> None:
        read = partial(read_options, most_urgent=20, priority=JobPriority.NORMAL, wire=wire)
        names = [*map(older, JobType), "registration:email"]
        super().__init__(queue, types=[*JobType], older=names, read_options=read)


@cache
def get_default_queue_manager() -> QueueManager:
    """Return the one of this process."""
    return QueueManager()
