"""What a search answers: a page of jobs, and what it will cost."""

from __future__ import annotations

from dataclasses import dataclass

from toril.engine.info import JobInfo
from toril.engine.search.plan import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """Some jobs that a search has found."""

    jobs: list[JobInfo]
    """Newest first within a state of a queue. A job that moved to another state while the search
    went on may come twice."""
    next: str | None
    """Pass this as `cursor` to go on. None: everything was looked through."""
    looked_at: int
    """Jobs that were looked at for this page."""
    passed_over: int
    """How many of these were passed over, as their payload is over a megabyte."""
    queue: str | None
    """The queue where the search stands. None: it has ended."""
    state: str | None
    """The state of that queue's jobs where it stands. None: it has ended, or looks up ids."""
    repeats: bool
    """Some of the jobs may have been on earlier pages: workers took or somebody removed all jobs
    near the place where the search stood, so a line was looked through from its start."""

    @property
    def ended(self) -> bool:
        """Whether everything was looked through."""
        return self.next is None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What a search will cost."""

    query: str
    """The search as it was understood."""
    tier: Tier
    """`id`: jobs are looked up by their ids. `list`: lists of states are read, of which every job
    is meant. `scan`: jobs are looked at one by one."""
    jobs_at_most: int
    """How many jobs are looked at in all, as the queues are now."""
    sentences: list[str]
    """The cost in words."""
