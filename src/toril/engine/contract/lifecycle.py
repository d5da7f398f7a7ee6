"""Opening, closing, looking after and mending a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

PLAN_AT_MOST = 100_000
"""Jobs of one act that one look notes; the next look finds the others."""
_SHOWN = 10


class Finding(msgspec.Struct, frozen=True):
    """One thing that `doctor` looked at."""

    subject: str
    grade: Literal["ok", "warning", "error"]
    text: str
    """What was found and, unless all is well, what to do."""


class Repair(msgspec.Struct, frozen=True):
    """One act that mends something in one queue: planned by a look, or done."""

    queue: str
    act: Literal["set_aside", "remove_ids", "take_back", "restore", "remove_rest"]
    """`set_aside`: keys of the queue's own that hold what does not belong there get another name;
    they stand in place of ids. `remove_ids`: ids leave a state whose job is gone. `take_back`: jobs
    whose lease has ended go back in line. `restore`: jobs that are in no state are put where they
    belong. `remove_rest`: log lines and the like go whose job is gone."""
    job_ids: list[str]
    """Whom it is about; at most `PLAN_AT_MOST`."""
    state: str | None = None
    """Which state the ids leave, or the jobs come to; it may be one that only BullMQ has. None: the
    act is about no state of its own."""

    @property
    def text(self) -> str:
        """Return the act as an order on one line: queue, what to do, how many, the first ids."""
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
    """What `doctor` found."""

    findings: list[Finding]
    repairs: list[Repair] = []
    """What can be done about it without losing a job, in the order in which to do it."""

    @property
    def ok(self) -> bool:
        """Whether nothing is an error."""
        return all(finding.grade != "error" for finding in self.findings)


class Lifecycle(Protocol):
    """The store as a whole."""

    async def check(self) -> Health:
        """Look the store over: format, integrity, room, orphans. Changes nothing.

        Goes in small steps, so that workers go on meanwhile; what moves between two steps is not
        taken for damage.

        Raises:
            BackendError: It cannot be looked at; the message says why and what to do.
        """
        ...

    async def repair(self, repairs: Sequence[Repair], *, max_stalled: int) -> list[Repair]:
        """Mend what a look has found, and return what was done.

        Each act looks again, and does in the same transition only what is still needed: a job that
        a worker holds, or that has moved meanwhile, is left alone. An act is left out of the answer
        if nothing was left of it to do. Doing one twice is harmless.

        Parameters:
            repairs: `Health.repairs`, or some of them. `take_back` stands for all jobs of its queue
                whose lease has ended; the others for the jobs that they name.
            max_stalled: Stalls that a job survives; past it, one that is taken back fails without
                another run.

        Raises:
            BackendError: The store went away. What was done until then stays: look again.
        """
        ...

    async def identity(self) -> str:
        """Return a text that no other store has, whatever the URLs. It holds for a minute."""
        ...

    async def close(self) -> None:
        """Let what is under way end, then let go of everything. Twice is fine."""
        ...
