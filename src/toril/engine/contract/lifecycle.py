"""The store as a whole: check it, repair it, identify it, close it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

PLAN_AT_MOST = 100_000
"""Jobs that a check lists for one repair. The next check finds the rest."""
_SHOWN = 10


EVICTION = "eviction"
"""The subject of the finding that a server may drop jobs."""


class Finding(msgspec.Struct, frozen=True):
    """One result of `toril doctor`."""

    subject: str
    grade: Literal["ok", "warning", "error"]
    text: str
    """What was found and, unless the grade is `ok`, what to do."""


class Repair(msgspec.Struct, frozen=True):
    """One repair of one queue: planned by a check, or done."""

    queue: str
    act: Literal["set_aside", "remove_ids", "take_back", "restore", "remove_rest"]
    """`set_aside`: rename keys of the queue that hold a wrong type; `job_ids` then holds keys.
    `remove_ids`: remove ids from a state whose job is gone. `take_back`: recover jobs whose lease
    has expired. `restore`: put jobs that are in no state where they belong. `remove_rest`: remove
    log lines and other remains of jobs that are gone."""
    job_ids: list[str]
    """The jobs to repair; at most `PLAN_AT_MOST`."""
    state: str | None = None
    """The state that the ids leave, or that the jobs come to; it may be one that only BullMQ has.
    None: the act concerns no particular state."""

    @property
    def text(self) -> str:
        """Return the repair as one line: queue, what to do, how many, the first ids."""
        many = len(self.job_ids)
        noun, are = ("1 job", "is") if many == 1 else (f"{many:,} jobs", "are")
        match self.act:
            case "set_aside":
                keys = "1 key that holds" if many == 1 else f"{many:,} keys that hold"
                what = f"set aside {keys} what does not belong there"
            case "remove_ids":
                ids = noun.replace("job", "id")
                what = f"remove from {self.state} {ids} whose job is gone"
            case "take_back":
                what = f"put back in line {noun} whose lease has ended"
            case "restore":
                what = f"put into {self.state} {noun} that {are} in no state"
            case "remove_rest":
                what = f"remove what is left of {noun} that {are} gone"
        shown = ", ".join(self.job_ids[:_SHOWN])
        return f"{self.queue}: {what} ({shown}{', …' if many > _SHOWN else ''})"


class Health(msgspec.Struct, frozen=True):
    """The result of `toril doctor`."""

    findings: list[Finding]
    repairs: list[Repair] = []
    """Repairs that lose no job, in the order in which to do them."""

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.grade != "error" for finding in self.findings)

    @property
    def is_whole(self) -> bool:
        """Whether what the store holds can be read: a server that evicts may still be whole."""
        errors = [finding.subject for finding in self.findings if finding.grade == "error"]
        return all(subject == EVICTION for subject in errors)


class Lifecycle(Protocol):
    """The store as a whole."""

    async def check(self) -> Health:
        """Check the store: format, integrity, disk space, orphans. Changes nothing.

        The check runs in small steps, so that workers go on. A job that changes its state between
        two steps is not reported as damage.

        Raises:
            BackendError: The store cannot be checked. The message says why and what to do.
        """
        ...

    async def repair(self, repairs: Sequence[Repair], *, max_stalled: int) -> list[Repair]:
        """Do repairs that a check has planned. Return those that changed something.

        Repairs are idempotent. Each one checks again, in the same transaction, and changes only
        what is still wrong: it leaves alone a job that a worker holds or whose state has changed.

        Parameters:
            repairs: `Health.repairs`, or some of them. `take_back` recovers all jobs of its queue
                whose lease has expired; the others change only the jobs that they name.
            max_stalled: Stalls that a job survives. A recovered job that exceeds it fails without
                another run.

        Raises:
            BackendError: The store did not answer. Repairs done so far stay done: check again.
        """
        ...

    async def identity(self) -> str:
        """Return a text that identifies the store, whatever the URL. It is valid for a minute."""
        ...

    async def close(self) -> None:
        """Wait for calls in flight, then free connections and threads. Idempotent."""
        ...
