"""The part of `Context` for flows: what a task may know of its job's children, and do to them.

Each call asks the store, by way of the worker. On the event loop await the plain names; tasks in
threads and processes that are no coroutines use those that end with `_sync`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import msgspec

from toril.core.errors import InvalidOptionError
from toril.core.reading import read
from toril.engine.contract.flows import NewNode
from toril.engine.flow import ChildPage, ChildRecord, Fate
from toril.engine.job import Added
from toril.engine.outcomes import WaitForChildren

if TYPE_CHECKING:
    from toril.engine.context import Facts
    from toril.engine.context_data import DataChanged
    from toril.engine.node import Node

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class ChildrenAsked(msgspec.Struct, tag="children_asked", frozen=True):
    """The task wants a page of its job's children."""

    after: str | None


class OutlineAsked(msgspec.Struct, tag="outline_asked", frozen=True):
    """The task wants to know how many children its job has, by their fate."""


class ChildrenAdded(msgspec.Struct, tag="children_added", frozen=True):
    """The task adds children to its job."""

    nodes: list[NewNode]


class ChildrenDropped(msgspec.Struct, tag="children_dropped", frozen=True):
    """The task removes the children that its job still waits for."""


FlowAsked = ChildrenAsked | OutlineAsked | ChildrenAdded | ChildrenDropped


class ResultTask(Protocol[R_co]):
    """A task, as far as its results are read by it. `Task` is one."""

    @property
    def name(self) -> str:
        """Its name on the wire."""
        ...

    @property
    def queue(self) -> str:
        """Its queue."""
        ...

    def read_result(self, text: str) -> R_co:
        """Return a result from its JSON text."""
        ...


class FlowContext:
    """The part of `Context` for flows."""

    __slots__ = ()

    facts: Facts
    _emit: Callable[[Any], Any]
    _store: object

    async def children(self) -> list[ChildRecord]:
        """Return the children of this job as they are: queue, id, fate, result as JSON text.

        Those are missing that have failed and whose policy is `remove`.
        """
        return await self._children()

    def children_sync(self) -> list[ChildRecord]:
        """The same for plain code."""
        return self._children_sync()

    @overload
    async def children_results(self) -> dict[str, Any]: ...

    @overload
    async def children_results(self, task: ResultTask[R]) -> dict[str, R]: ...

    async def children_results(self, task: ResultTask[Any] | None = None) -> dict[str, Any]:
        """Return the results of the children that have completed, by BullMQ's key of each.

        Parameters:
            task: Only the children of this task, with results of its type. None: all, as JSON.

        Raises:
            InvalidPayloadError: A result is not of the task's type.
        """
        return _results(await self._children(), task)

    @overload
    def children_results_sync(self) -> dict[str, Any]: ...

    @overload
    def children_results_sync(self, task: ResultTask[R]) -> dict[str, R]: ...

    def children_results_sync(self, task: ResultTask[Any] | None = None) -> dict[str, Any]:
        """The same for plain code."""
        return _results(self._children_sync(), task)

    async def children_failures(self) -> dict[str, str]:
        """Return why children have failed for good, by BullMQ's key of each; whatever their policy.

        Those whose policy is `remove` are not known any more.
        """
        return _failures(await self._children(), ("failed", "ignored", "pending"))

    def children_failures_sync(self) -> dict[str, str]:
        """The same for plain code."""
        return _failures(self._children_sync(), ("failed", "ignored", "pending"))

    async def ignored_children(self) -> dict[str, str]:
        """Return why children have failed that this job goes on without, by BullMQ's key of each.

        Their policy is `ignore` or `continue`.
        """
        return _failures(await self._children(), ("ignored",))

    def ignored_children_sync(self) -> dict[str, str]:
        """The same for plain code."""
        return _failures(self._children_sync(), ("ignored",))

    async def add_children(self, children: Sequence[Node[Any]]) -> list[str]:
        """Add children to this job now, all or none, and return their ids.

        They begin at once. A job that returns before they have ended fails: wait for them
        (`wait_for_children`). An attempt that is repeated adds them again, unless they have ids of
        their own (`with_options(job_id=...)`).

        Raises:
            InvalidOptionError: There can be no such jobs, or a Cluster has one in another slot.
            WrongStateError: The attempt does not hold its job any more, or a child is there and has
                another parent.
        """
        return _ids(await self._ask(self._added(children)))

    def add_children_sync(self, children: Sequence[Node[Any]]) -> list[str]:
        """The same for plain code."""
        return _ids(self._ask_sync(self._added(children)))

    async def wait_for_children(self) -> None:
        """Return if all children have ended; otherwise end this attempt until they have.

        The job then runs again from its beginning, without an attempt being counted: see which
        results are there already (`children_results`). If a child has failed whose policy is
        `fail_parent`, the job fails.

        Raises:
            WaitForChildren: Some have not ended. Let it pass: it ends the attempt.
        """
        _wait(await self._ask(OutlineAsked()))

    def wait_for_children_sync(self) -> None:
        """The same for plain code."""
        _wait(self._ask_sync(OutlineAsked()))

    async def remove_children(self) -> int:
        """Remove the children that have not ended, and what is below them; return how many jobs.

        For a job that goes on without the others (`continue`). Those that a worker holds stay.
        """
        return _number(await self._ask(ChildrenDropped()))

    def remove_children_sync(self) -> int:
        """The same for plain code."""
        return _number(self._ask_sync(ChildrenDropped()))

    async def _children(self) -> list[ChildRecord]:
        found: dict[str, ChildRecord] = {}
        after: str | None = None
        while True:
            page = _page(await self._ask(ChildrenAsked(after)))
            found |= {child.key: child for child in page.children}
            after = page.next
            if after is None:
                return list(found.values())

    def _children_sync(self) -> list[ChildRecord]:
        found: dict[str, ChildRecord] = {}
        after: str | None = None
        while True:
            page = _page(self._ask_sync(ChildrenAsked(after)))
            found |= {child.key: child for child in page.children}
            after = page.next
            if after is None:
                return list(found.values())

    def _added(self, children: Sequence[Node[Any]]) -> ChildrenAdded:
        from toril.engine.node import flatten  # here: a task without children never needs it

        here = self._store
        for child in children:
            there = getattr(child, "store", None)
            if isinstance(here, str) and isinstance(there, str) and here != there:
                raise InvalidOptionError(
                    f"task={child.job.name!r}: its app has another store than this job's, and a"
                    " parent waits for jobs of its own store only"
                )
        flat = flatten(children, (self.facts.queue, self.facts.job_id))
        return ChildrenAdded([node for nodes in flat for node in nodes])

    async def _ask(self, asked: FlowAsked | DataChanged) -> bytes:
        answer = self._emit(asked)
        if isinstance(answer, bytes):  # in a child process
            return answer
        if isinstance(answer, Future):  # from a thread
            answer = asyncio.wrap_future(answer)
        found: bytes = await answer
        return found

    def _ask_sync(self, asked: FlowAsked | DataChanged) -> bytes:
        answer = self._emit(asked)
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, Future):
            found: bytes = answer.result()
            return found
        answer.close()
        raise InvalidOptionError(
            "a method that ends with _sync, on the event loop: it would block all other tasks."
            " Await the one without it"
        )


def answer_of(value: object) -> bytes:
    """Return the answer to what a task has asked, as it travels."""
    return msgspec.msgpack.encode(value)


def _page(answer: bytes) -> ChildPage:
    return msgspec.msgpack.decode(answer, type=ChildPage)


def _number(answer: bytes) -> int:
    return msgspec.msgpack.decode(answer, type=int)


def _ids(answer: bytes) -> list[str]:
    return [added.job_id for added in msgspec.msgpack.decode(answer, type=list[Added])]


def _wait(answer: bytes) -> None:
    outline: Mapping[Fate, int] = msgspec.msgpack.decode(answer, type=dict[Fate, int])
    if outline.get("pending") or outline.get("failed"):
        raise WaitForChildren  # the store says whether a failed child fails the job


def _results(children: list[ChildRecord], task: ResultTask[Any] | None) -> dict[str, Any]:
    done = [child for child in children if child.fate == "completed"]
    if task is None:
        return {child.key: read(child.value or "null") for child in done}
    return {
        child.key: task.read_result(child.value or "null")
        for child in done
        if child.queue == task.queue and child.name in (task.name, None)
    }


def _failures(children: list[ChildRecord], fates: Sequence[Fate]) -> dict[str, str]:
    return {
        child.key: child.failed_reason
        for child in children
        if child.fate in fates and child.failed_reason is not None
    }
