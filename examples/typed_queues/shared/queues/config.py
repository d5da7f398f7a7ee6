"""Options of jobs, where neither a call nor the queue says otherwise; and the profiles."""

from toril import Profile
from toril.typed import Backoff, JobSettings

QUEUE_PROFILES = Profile
DEFAULT_JOB_OPTIONS = JobSettings(
    attempts=3, backoff=Backoff(type="exponential", delay=1000),
    remove_on_complete=True, remove_on_fail=False,
)  # fmt: skip
