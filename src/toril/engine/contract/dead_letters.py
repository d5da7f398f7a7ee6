"""Where the failures of a queue leave letters, and how a letter's job comes back."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from toril.engine.job import WholeJob
from toril.engine.states import State

Redriven = Literal["back", "was_back", "changed", "missing"]
"""`back`: the job is in line again. `was_back`: it was not failed any more, so nothing was to be
done; the letter is marked in both cases. `changed`: the letter is not as expected, and nothing was
done. `missing`: there is no such letter."""


class DeadLetterRule(msgspec.Struct, frozen=True):
    """Where the failures of a queue leave letters."""

    queue: str
    """The dead-letter queue."""
    keep_ms: int | None = None
    """Letters that failed longer ago are removed. None: they are kept for ever."""


class Redrive(msgspec.Struct, frozen=True):
    """What brings the job of a letter back."""

    queue: str
    """The dead-letter queue."""
    letter_id: str
    expected: str
    """The payload that the letter has to have still."""
    marked: str
    """The payload that it has from then on."""
    job: WholeJob
    """The job as it is added if the original is gone."""
    data: str | None = None
    """The payload that the job gets (JSON text). None: it keeps its own."""


class DeadLetters(Protocol):
    """The rules of queues, and the transitions that need more than one queue.

    A letter itself is a follow-up job of a failed outcome: `Dispatch.exchange` adds it in the
    transition that stores the failure, and notes at the job that its failure has a letter.
    """

    async def set_rule(self, queue: str, rule: DeadLetterRule | None) -> None:
        """Say where failures of a queue leave letters from now on. None: nowhere.

        The queue comes to be if it is not there. A queue that goes takes its rule along.
        """
        ...

    async def rule(self, queue: str) -> DeadLetterRule | None:
        """Return where failures of a queue leave letters; None if nowhere."""
        ...

    async def unlettered(self, queue: str, *, limit: int) -> tuple[list[str], str]:
        """Return jobs that failed since the last look and have no letter, oldest first.

        Other clients of the same store, such as Node workers, write none. Jobs that were failed
        without ever having been started are not among them: somebody cancelled those.

        Parameters:
            queue: One that has a rule; failures from before the rule do not count.
            limit: About how many jobs to look at. Those that failed together come together.

        Returns:
            Their ids, and what to tell `looked` once their letters are stored; empty if no job has
            failed since.
        """
        ...

    async def looked(self, queue: str, until: str) -> None:
        """Note that failures have their letters, up to those that `unlettered` has returned."""
        ...

    async def redrive(self, wanted: Redrive) -> tuple[Redriven, State | None]:
        """Bring the job of a letter back, and mark the letter, in one transition.

        A job that stands in `failed` goes back in line with its options and history, its attempts
        counted from 0. If there is no such job any more it is added again. One in any other state
        is left alone.

        Returns:
            What became of it, and the state that the job was in; None if it was gone.
        """
        ...
