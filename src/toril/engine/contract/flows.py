"""Flows: trees of jobs in which a parent waits for its children.

What a child's end means to its parent is no method: it is part of the transition that ends the
child (`Dispatch.exchange`, `Jobs.cancel`, `Jobs.remove` and the bulk verbs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from toril.engine.flow import ChildPage, ChildRecord, Fate, ParentRef
from toril.engine.job import Added, NewJob

MAX_NODES = 2000
"""Most nodes of one call: one transaction adds them, and others wait for it."""
MAX_BELOW = 5000
"""Most jobs that one call removes."""


class NewNode(msgspec.Struct, kw_only=True, frozen=True):
    """A new job of a tree."""

    job: NewJob
    """With an id of its own, which no other node of the call has, and no de-duplication id."""
    parent: ParentRef | None = None
    """A node of the same call that comes before this one, or a job that is there. None: a root."""
    waits: bool = False
    """It has children in the same call, so it waits for them."""


class Flows(Protocol):
    """Trees of jobs. Everything that one call touches has to be `Dispatch.together`."""

    async def add(self, nodes: Sequence[NewNode], *, token: str | None = None) -> list[Added]:
        """Add trees: all nodes or none; one answer each, in order.

        If the id of a root is taken, its tree is not added: all of it is `duplicate`. Any other
        node whose id is taken is not added either; the job that is there becomes a child of this
        parent: one that has completed counts at once, and so does one that has failed.

        Parameters:
            nodes: Each parent before its children; at most `MAX_NODES`.
            token: The claim of the parent that adds them while it runs.

        Raises:
            JobNotFoundError: A parent that should be there is not.
            InvalidOptionError: One transaction does not reach all of the queues.
            WrongStateError: Such a parent has finished, or the claim does not hold it any more; a
                node's job is there and is the child of another parent that is there; or a node that
                has children is there.
        """
        ...

    async def children(
        self,
        queue: str,
        job_id: str,
        *,
        limit: int,
        after: str | None = None,
        brief: bool = False,
    ) -> ChildPage:
        """Return about `limit` children of a job; none if it has none, or is gone.

        A child that moves meanwhile may come twice: the later one holds.

        Parameters:
            queue: The parent's.
            job_id: The parent's.
            limit: From 1.
            after: `ChildPage.next` of the page before. None: from the start.
            brief: Only what the parent knows, and the name.

        Raises:
            InvalidOptionError: `after` is not the `next` of a page.
        """
        ...

    async def known(self, queue: str, job_ids: Sequence[str]) -> list[list[ChildRecord]]:
        """Return all that each job knows of its children, as it is moved to another store.

        Of one that has none, or is not there: nothing. Names and states are left out.
        """
        ...

    async def outline(self, queue: str, job_id: str) -> dict[Fate, int]:
        """Return how many children a job has, by their fate; without the zeros."""
        ...

    async def break_tie(self, queue: str, job_id: str) -> bool:
        """Let a child go: it has no parent any more, and its parent waits for it no longer.

        Returns:
            Whether the parent waited for it.

        Raises:
            JobNotFoundError: There is no such job.
            WrongStateError: It has no parent, or its parent is gone.
        """
        ...

    async def remove_children(self, queue: str, job_id: str) -> int:
        """Remove the children that a job still waits for, and what is below them; return how many.

        Those that a worker holds stay, and so does what is above them. If none is left that it
        waits for, the job goes on.

        Raises:
            JobNotFoundError: There is no such job.
            WrongStateError: More than `MAX_BELOW` jobs are below it.
        """
        ...

    async def remove(self, queue: str, job_id: str) -> int:
        """Remove a job and everything below it, in whatever state; return how many jobs went.

        Raises:
            JobNotFoundError: There is no such job.
            WrongStateError: A worker holds one of them, or they are more than `MAX_BELOW`.
        """
        ...

    async def served(self) -> set[str]:
        """Return the queues that some worker serves, of whatever library."""
        ...
