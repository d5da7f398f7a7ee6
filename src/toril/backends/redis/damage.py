"""Says what is wrong with the jobs of one queue, and plans the repairs.

It reads nothing by itself: `survey.py` and `strays.py` report what they find here, and `repairs.py`
carries out the plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from toril.backends import findings
from toril.engine.contract.lifecycle import PLAN_AT_MOST, Finding, Repair
from toril.engine.states import FINISHED

LARGE_BYTES = 1 << 20
"""A payload above this slows every command beside it."""
MENDS = "toril doctor --repair"


class Ids:
    """Ids of jobs, each once, in the order in which they were found; at most `PLAN_AT_MOST`."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def note(self, ids: Iterable[str]) -> None:
        """Add those that there is room for."""
        for one in ids:
            if len(self._ids) >= PLAN_AT_MOST:
                return
            self._ids[one] = None

    def __len__(self) -> int:
        return len(self._ids)

    def all(self) -> list[str]:
        """Return them."""
        return list(self._ids)

    def __str__(self) -> str:
        """Return how many, and the first three: `4 (7, 9, 12, …)`."""
        shown = ", ".join(self.all()[:3])
        many = f"{len(self):,}" + (" or more" if len(self) >= PLAN_AT_MOST else "")
        return f"{many} ({shown}{', …' if len(self) > 3 else ''})"


class Damage:
    """What is wrong with the jobs of one queue."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.keys: dict[str, str] = {}
        """Keys of the queue's own that hold what does not belong there, and what is wrong."""
        self.aside = 0
        """Jobs that Bull 4 or a BullMQ before 6 has set aside when it paused the queue."""
        self.aside_unsaid = False
        """`meta` does not say that it is paused, as it is with a Bull before 4.16."""
        self.unlocked = Ids()
        """Active ones that no lock holds."""
        self.large = Ids()
        """Those with a payload above `LARGE_BYTES`."""
        self.rests = Ids()
        """Those that are gone, but not with all that was theirs."""
        self.strangers = Ids()
        """Numbers under which something lies that is no job."""
        self._gone: dict[str, Ids] = {}
        self._strays: dict[str, Ids] = {}

    def note_gone(self, state: str, ids: Iterable[str]) -> None:
        """Note ids in a state whose job is gone."""
        _of(self._gone, state).note(ids)

    def note_stray(self, state: str, job_id: str) -> None:
        """Note a job that is in no state, and in which it should be."""
        _of(self._strays, state).note([job_id])

    def findings(self) -> list[Finding]:
        """Return what is to be said, but for leases."""
        found: list[Finding] = []

        def say(what: str, text: str, grade: Literal["warning", "error"] = "warning") -> None:
            found.append(Finding(f"{what} of {self.queue}", grade, text))

        if self.aside:
            stop = (
                "nothing is added, worked or mended here" if self.aside_unsaid else "none is mended"
            )
            say(
                "version",
                f"Bull 4 or a BullMQ before 6 has paused the queue and set {self.aside:,} of its"
                f" jobs aside; until they are back, {stop}. Resume it there, or let nothing of that"
                f" version pause it any more and run: toril resume {self.queue}",
                "error" if self.aside_unsaid else "warning",
            )
        for name, problem in sorted(self.keys.items()):
            found.append(
                Finding(
                    f"key {name} of {self.queue}",
                    "error",
                    f"the queue's key '…:{self.queue}:{name}' {problem}, and nothing can be done"
                    f" with what belongs there; {MENDS} renames it to"
                    f" '…:{self.queue}:toril:aside:{name}:…' and puts back the jobs that it finds",
                )
            )
        if gone := _all(self._gone):
            say("orphans", f"ids whose job is gone: {gone}; {MENDS} removes them")
        if strays := _all(self._strays):
            have_ended = {state for state, _ in _sorted(self._strays)} <= set(FINISHED)
            say(
                "strays",
                f"jobs in no state, which nobody will find: {strays}; {MENDS} puts them where they"
                " belong",
                "warning" if have_ended else "error",
            )
        if self.rests:
            say(
                "rests",
                f"jobs that are gone, but for log lines and the like: {self.rests}; {MENDS} removes"
                " these",
            )
        if self.strangers:
            say(
                "strangers",
                f"keys that have a job's number and are no job's: {self.strangers}; no worker can"
                " do anything with them, and new jobs pass their numbers over. Look at each, then"
                " remove it with DEL",
            )
        if self.large:
            say(
                "payloads",
                f"payloads above {LARGE_BYTES >> 20} MiB: {self.large}; store the data elsewhere"
                " and pass its address",
            )
        return found

    def repairs(self) -> list[Repair]:
        """Return what would mend it, in the order in which to do it.

        Keys first: the others need them. Ids next: a recovery takes out those of `active` as well,
        and does not say so.
        """
        if self.aside:  # what goes in line now, version 5 may overwrite
            return []
        queue = self.queue
        found = [Repair(queue, "set_aside", sorted(self.keys))] if self.keys else []
        found += [
            Repair(queue, "remove_ids", ids.all(), state) for state, ids in _sorted(self._gone)
        ]
        if self.unlocked:
            found.append(Repair(queue, "take_back", self.unlocked.all()))
        found += [
            Repair(queue, "restore", ids.all(), state) for state, ids in _sorted(self._strays)
        ]
        if self.rests:
            found.append(Repair(queue, "remove_rest", self.rests.all()))
        return found


def leases(damages: Iterable[Damage]) -> Finding:
    """Say how it stands with the leases of all queues."""
    unlocked = Ids()
    for damage in damages:
        unlocked.note(f"{damage.queue}/{job_id}" for job_id in damage.unlocked.all())
    return findings.leases(unlocked)


def _of(by_state: dict[str, Ids], state: str) -> Ids:
    return by_state.setdefault(state, Ids())


def _sorted(by_state: dict[str, Ids]) -> list[tuple[str, Ids]]:
    return [(state, by_state[state]) for state in sorted(by_state) if by_state[state]]


def _all(by_state: dict[str, Ids]) -> Ids:
    together = Ids()
    for _, ids in _sorted(by_state):
        together.note(ids.all())
    return together
