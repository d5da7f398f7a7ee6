"""Every backend against a plain model of flows, by random walks."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.conformance.flow_model import FlowModel, ModelNode
from tests.conformance.model import ModelJob
from tests.conformance.test_model import (
    FULL,
    PHASES,
    QUEUES,
    Driven,
    Stores,
    StoresWithRedis,
    lent_redis,  # noqa: F401 - a fixture
    picks,
    priorities,
    queues,
)
from tests.support.contract import job as new_job

from toril.core.errors import JobNotFoundError
from toril.engine.contract import NewNode
from toril.engine.flow import FLAGS, OnFailure, ParentRef
from toril.engine.states import State

policies: st.SearchStrategy[OnFailure] = st.sampled_from(
    ["wait", "fail_parent", "continue", "ignore", "remove"]
)


class Shape(NamedTuple):
    """A node of a tree to be added."""

    below: int
    """Of which earlier node it is a child."""
    queue: str
    on_failure: OnFailure
    priority: int
    delay_ms: int
    lifo: bool
    joins: bool
    """Take the id of a job that is there, or was."""


shapes = st.lists(
    st.builds(
        Shape,
        below=st.sampled_from([0, 0, 1, 2]),
        queue=queues,
        on_failure=policies,
        priority=priorities,
        delay_ms=st.sampled_from([0, 0, 0, 0, 1_000]),
        lifo=st.booleans(),
        joins=st.sampled_from([False] * 5 + [True]),
    ),
    min_size=1,
    max_size=5,
)


class FlowStores(Stores):
    """Drives the backends, and the model, through the same steps, of flows too."""

    model: FlowModel

    def __init__(self) -> None:
        super().__init__()
        self.nodes = 0

    def make_model(self) -> FlowModel:
        return FlowModel(QUEUES, lambda: self.now)

    def batches(self, chosen: list[Any]) -> list[list[Any]]:
        # A file removes what is kept no longer at the end of an exchange, and parents go on then.
        return [[one] for one in chosen]

    @rule(shapes=shapes, number=picks, into=st.booleans())
    def plant(self, shapes: list[Shape], number: int, into: bool) -> None:
        """Add a tree; below a job that is there if `into`."""
        self.tick()
        above = self.pick(number) if into else None
        root = None
        if above is not None and above.own_id is not None and self.is_current(above):
            root = ParentRef(above.queue, above.own_id)
        nodes = self.nodes_of(shapes, number, root)
        answers = self.model.plant(nodes)
        if isinstance(answers, type):
            self.all_say(answers, lambda one: one.backend.flows.add([_new(n) for n in nodes]))
            return
        self.all_say(
            [(node.own_id, answer is None) for node, answer in zip(nodes, answers, strict=True)],
            lambda one: _added(one, nodes),
        )
        for node, answer in zip(nodes, answers, strict=True):
            if answer is not None:
                for driven in self.driven:
                    driven.ids[answer.label] = node.own_id

    def nodes_of(self, shapes: list[Shape], number: int, root: ParentRef | None) -> list[ModelNode]:
        """Return the nodes of a tree, each with an id that no other has."""
        nodes: list[ModelNode] = []
        for index, shape in enumerate(shapes):
            self.nodes += 1
            queue, own_id = shape.queue, f"n{self.nodes}"
            leaf = index > 0 or root is not None
            other = self.pick(number + index) if shape.joins and leaf else None
            if other is not None and other.own_id is not None:
                queue, own_id = other.queue, other.own_id
            if any(node.key == (queue, own_id) for node in nodes):
                continue
            parent = root
            if nodes:
                above = nodes[min(shape.below, len(nodes) - 1)]
                if not above.own_id.startswith("n") or self.model.find(*above.key) is not None:
                    above = nodes[0]
                above.waits = True
                parent = ParentRef(above.queue, above.own_id)
            if parent is not None:
                if (parent.queue, parent.job_id) == (queue, own_id):
                    continue
                parent = ParentRef(parent.queue, parent.job_id, shape.on_failure)
            nodes.append(
                ModelNode(queue, own_id, parent, False, shape.priority, shape.delay_ms, shape.lifo)
            )
        return nodes

    @rule(number=picks)
    def break_tie(self, number: int) -> None:
        self.on_flow(number, self.model.break_tie, "break_tie")

    @rule(number=picks)
    def remove_flow(self, number: int) -> None:
        self.on_flow(number, self.model.remove_flow, "remove")

    @rule(number=picks)
    def remove_children(self, number: int) -> None:
        self.on_flow(number, self.model.remove_children, "remove_children")

    def on_flow(self, number: int, expected: Any, verb: str) -> None:
        """Do a verb of flows on a job."""
        job = self.pick(number)
        if job is None or not self.is_current(job):
            return
        self.tick()
        answer = JobNotFoundError if job.state is None else expected(job)
        label = job.label
        self.all_say(
            answer, lambda one: getattr(one.backend.flows, verb)(job.queue, one.ids[label])
        )

    def drain(self, queue: str, limit: int, delayed: bool) -> None:
        # In which order several parents go on is not promised.
        super().drain(queue, 1, delayed)

    def clean(self, queue: str, limit: int, state: State, age_ms: int) -> None:
        super().clean(queue, 1, state, age_ms)

    def obliterate(self, queue: str) -> None:
        outside = [
            job
            for job in self.model.jobs.values()
            if job.queue == queue
            and job.state is not None
            and job.parent is not None
            and job.parent.queue != queue
        ]
        if not outside:
            super().obliterate(queue)

    async def _compare_one(self, driven: Driven) -> None:
        await super()._compare_one(driven)
        for job in self.model.jobs.values():
            if job.state is not None and (job.children or job.parent):
                await _compare_flow(driven, job)


class FlowStoresWithRedis(FlowStores, StoresWithRedis):
    """The same with Redis beside them."""


async def _added(one: Driven, nodes: list[ModelNode]) -> list[tuple[str, bool]]:
    added = await one.backend.flows.add([_new(node) for node in nodes])
    return [(answer.job_id, answer.duplicate) for answer in added]


def _new(node: ModelNode) -> NewNode:
    flag = None if node.parent is None else FLAGS.get(node.parent.on_failure)
    wire = {"priority": node.priority, "delay": node.delay_ms, "lifo": node.lifo}
    opts = msgspec.json.encode(wire if flag is None else {**wire, flag: True}).decode()
    new = new_job(
        node.queue,
        job_id=node.own_id,
        opts=opts,
        priority=node.priority,
        delay_ms=node.delay_ms,
        lifo=node.lifo,
    )
    return NewNode(job=new, parent=node.parent, waits=node.waits)


async def _compare_flow(driven: Driven, job: ModelJob) -> None:
    job_id = driven.ids[job.label]
    page = await driven.backend.flows.children(job.queue, job_id, limit=100)
    assert {(child.queue, child.job_id): child.fate for child in page.children} == job.children
    found = await driven.backend.jobs.get(job.queue, job_id)
    assert found is not None
    assert found.parent == job.parent


TestFlowStores = pytest.mark.timeout(3_600 if FULL else 300)(FlowStores.TestCase)
TestFlowStoresWithRedis = pytest.mark.usefixtures("lent_redis")(
    pytest.mark.timeout(3_600 if FULL else 300)(FlowStoresWithRedis.TestCase)
)
TestFlowStores.settings = TestFlowStoresWithRedis.settings = settings(
    max_examples=400 if FULL else 30,
    stateful_step_count=100 if FULL else 40,
    deadline=None,
    database=None,
    phases=PHASES,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
