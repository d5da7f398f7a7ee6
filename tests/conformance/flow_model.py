"""What a store should do with flows: the plain model, and what ends of children mean to parents.

Parents and children know each other by queue and id, as the stores do: a child may be gone and its
id be another job's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.conformance.model import JobKey, Model, ModelJob, Now

from toril.core.errors import JobNotFoundError, TorilError, WrongStateError
from toril.engine.flow import CHILDREN_PENDING, FAILED_WITH_CHILD, Fate, OnFailure, ParentRef
from toril.engine.states import FINISHED, State

Refused = type[TorilError]


@dataclass
class ModelNode:
    """A new job of a tree."""

    queue: str
    own_id: str
    parent: ParentRef | None
    waits: bool
    priority: int
    delay_ms: int
    lifo: bool

    @property
    def key(self) -> JobKey:
        return self.queue, self.own_id


class FlowModel(Model):
    """All queues, with parents that wait for children."""

    def __init__(self, queues: tuple[str, ...], now: Callable[[], Now]) -> None:
        super().__init__(queues)
        self._now = now

    def plant(self, nodes: Sequence[ModelNode]) -> list[ModelJob | None] | Refused:
        """Add trees: all nodes or none. None: its id is taken."""
        refused, skipped = self._look(nodes)
        if refused is not None:
            return refused
        there = {node.key: self.find(*node.key) for node in nodes}
        answers: list[ModelJob | None] = []
        for node in nodes:
            new = None if node.key in skipped or there[node.key] else self._new(node)
            answers.append(new)
        joined = [node for node in nodes if node.parent is not None and node.key not in skipped]
        for node in joined:
            self._join(node, there[node.key])
        for node in joined:
            child = there[node.key]
            if child is not None and child.state is State.FAILED:
                self._tell_failed(child)
        if any(there.values()):
            for node in joined:
                parent = self._parent(node.parent)
                if parent is not None:
                    self._release_if_done(parent, self._now())
        return answers

    def _look(self, nodes: Sequence[ModelNode]) -> tuple[Refused | None, set[JobKey]]:
        """Return why the nodes cannot be added, and which are left out with their root."""
        new: set[JobKey] = set()
        skipped: set[JobKey] = set()
        for node in nodes:
            if node.parent is not None:
                above = (node.parent.queue, node.parent.job_id)
                if above in skipped:
                    skipped.add(node.key)
                    continue
                if above not in new:
                    parent = self._parent(node.parent)
                    if parent is None:
                        return JobNotFoundError, skipped
                    if parent.state in FINISHED:
                        return WrongStateError, skipped
            there = self.find(*node.key)
            if there is None:
                new.add(node.key)
            elif node.parent is None:
                skipped.add(node.key)
            elif node.waits or self._hinders(there, node.parent, nodes):
                return WrongStateError, skipped
        return None, skipped

    def _hinders(self, there: ModelJob, ref: ParentRef, nodes: Sequence[ModelNode]) -> bool:
        """Whether a job that is there has another parent, or is above its new one."""
        if (
            there.parent is not None
            and not there.parent.is_same(ref)
            and self._parent(there.parent)
        ):
            return True
        by_key = {node.key: node.parent for node in nodes}
        above: ParentRef | None = ref
        while above is not None:
            if (above.queue, above.job_id) == self._key(there):
                return True
            parent = self._parent(above)
            above = by_key.get((above.queue, above.job_id)) if parent is None else parent.parent
        return False

    def _new(self, node: ModelNode) -> ModelJob:
        self.queues[node.queue].known = True
        job = ModelJob(len(self.jobs), node.queue, node.own_id, node.priority)
        self.jobs[job.label] = job
        now = self._now()
        if node.waits:
            job.delay_ms = node.delay_ms
            self._move(job, State.WAITING_CHILDREN, "add")
        elif node.delay_ms:
            self._delay(job, now.after(node.delay_ms), "add", node.delay_ms)
        else:
            self._line_up(job, "add", front=node.lifo)
        return job

    def _join(self, node: ModelNode, there: ModelJob | None) -> None:
        child, parent = there or self.find(*node.key), self._parent(node.parent)
        assert child is not None
        assert parent is not None
        child.parent = node.parent
        done = there is not None and there.state is State.COMPLETED
        parent.children[node.key] = "completed" if done else "pending"

    def finish(self, claim: int, kind: str, *, wait_ms: int, keep: int | None, now: Now) -> bool:
        """End an attempt: not well before the job's children, and its parent is told."""
        job = self.jobs[self.claims[claim]]
        if job.claim != claim:
            return False
        brought = kind
        failed_child = next((key for key, fate in job.children.items() if fate == "failed"), None)
        if kind == "completed" and (failed_child or "pending" in job.children.values()):
            kind = "failed"
        elif kind == "waiting_children" and failed_child:
            kind = "failed"
        if kind == "completed":
            self._settle(job, "completed")
        elif kind == "failed":
            self._tell_failed(job)
        done = super().finish(claim, kind, wait_ms=wait_ms, keep=keep, now=now)
        if brought == "waiting_children" and kind == "failed":
            job.attempts_made -= 1  # its worker has not counted it
        return done

    def cancel(self, job: ModelJob, reason: str, now: Now) -> None:
        """Stop a job for good, which is a failure."""
        super().cancel(job, reason, now)
        if job.state is State.FAILED:
            self._tell_failed(job)

    def retry(self, job: ModelJob, *, reset: bool) -> None:
        """Run a finished job again: once its own children have ended; its parent waits again."""
        self._start_anew(job, reset=reset)
        parent = self._parent(job.parent)
        if parent is not None and self._key(job) in parent.children:
            parent.children[self._key(job)] = "pending"
        if "pending" in job.children.values():
            job.delay_ms = 0
            self._move(job, State.WAITING_CHILDREN, "retry_finished")
        else:
            self._line_up(job, "retry_finished")

    def break_tie(self, job: ModelJob) -> bool | Refused:
        """Let a child go."""
        if self._parent(job.parent) is None:
            return WrongStateError
        waited = self._drop(job)
        job.parent = None
        return waited

    def remove_flow(self, job: ModelJob) -> int | Refused:
        """Remove a job and all below it."""
        below = [job, *self._below(job)]
        if any(one.state is State.ACTIVE for one in below):
            return WrongStateError
        for one in reversed(below):
            self._move(one, None, "remove")
        return len(below)

    def remove_children(self, job: ModelJob) -> int:
        """Remove the children that a job waits for, and what is below them."""
        removed = 0
        for key, fate in reversed(list(job.children.items())):
            child = self.find(*key)
            if fate != "pending" or child is None:
                continue
            removed += self.remove_children(child)
            if child.state is not State.ACTIVE and "pending" not in child.children.values():
                self._move(child, None, "remove")
                removed += 1
        return removed

    def _below(self, job: ModelJob) -> Iterator[ModelJob]:
        todo = [job]
        while todo:
            above = todo.pop()
            for key in above.children:
                child = self.find(*key)
                if child is not None and self._parent(child.parent) is above:
                    yield child
                    todo.append(child)

    @staticmethod
    def _key(job: ModelJob) -> JobKey:
        assert job.own_id is not None
        return job.queue, job.own_id

    def _parent(self, ref: ParentRef | None) -> ModelJob | None:
        return None if ref is None else self.find(ref.queue, ref.job_id)

    def _settle(self, job: ModelJob, fate: Fate) -> ModelJob | None:
        """Note how a child has ended, and let its parent go on; return it if it waited for it."""
        parent = self._parent(job.parent)
        if parent is None or parent.children.get(self._key(job)) != "pending":
            return None
        parent.children[self._key(job)] = fate
        if fate != "failed":
            self._release_if_done(parent, self._now())
        return parent

    def _tell_failed(self, job: ModelJob) -> None:
        policy: OnFailure = "wait" if job.parent is None else job.parent.on_failure
        if policy == "fail_parent":
            parent = self._settle(job, "failed")
            if parent is not None:
                queue, own_id = self._key(job)
                self._fail_with_child(parent, FAILED_WITH_CHILD.format(f"bull:{queue}:{own_id}"))
        elif policy == "continue":
            parent = self._settle(job, "ignored")
            if parent is not None:
                self._release(parent, self._now())
        elif policy == "ignore":
            self._settle(job, "ignored")
        elif policy == "remove":
            self._drop(job)

    def _fail_with_child(self, parent: ModelJob, reason: str) -> None:
        if parent.state is State.FAILED:
            return
        if parent.state is State.WAITING_CHILDREN:
            self._release(parent, self._now())
        elif parent.state is State.DELAYED:
            self._line_up(parent, "promote", front=parent.priority == 0)
        parent.deferred = reason

    def _drop(self, job: ModelJob) -> bool:
        """Have the parent forget a child that it waits for."""
        parent = self._parent(job.parent)
        if parent is None or parent.children.get(self._key(job)) != "pending":
            return False
        del parent.children[self._key(job)]
        self._release_if_done(parent, self._now())
        return True

    def _move(self, job: ModelJob, after: State | None, verb: str) -> None:
        super()._move(job, after, verb)
        if after is None:
            job.children = {}
            if job.own_id is not None:
                self._drop(job)


__all__ = ["CHILDREN_PENDING", "FlowModel", "ModelNode", "Refused"]
