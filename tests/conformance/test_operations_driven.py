"""Operations as people begin them: by a search or by ids; killed, and gone on with."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.contract import HandWorker, Q, add, bring, counts, job, outcome, record

from toril.core.errors import (
    BackendError,
    InvalidOptionError,
    OperationNotFoundError,
    QueryError,
)
from toril.engine.bulk.actions import Bulk
from toril.engine.bulk.driver import Driver
from toril.engine.bulk.keeper import OperationKeeper
from toril.engine.contract import Backend
from toril.engine.contract.operations import Act
from toril.engine.hooks import HookEvent, Hooks
from toril.engine.operations import Operations, acting
from toril.engine.producer import Producer
from toril.engine.states import State
from toril.testing.clock import ManualClock


@pytest.fixture
def told() -> list[HookEvent]:
    """What the hook `operated` is told."""
    return []


@pytest.fixture
def bulk(backend: Backend, told: list[HookEvent]) -> Bulk:
    hooks = Hooks()
    hooks.on("operated", told.append)
    return Bulk(Producer(lambda: backend, hooks=hooks))


async def failed(backend: Backend, worker: HandWorker, many: int, queue: str = Q) -> list[str]:
    """Return the ids of jobs that have failed: every third for another reason."""
    ids = await add(backend, *(job(queue, data=f'{{"n":{n}}}') for n in range(many)))
    left = many
    while left:
        claimed = await worker.claim(queue, limit=100)
        await worker.ask(
            outcomes=[
                outcome(
                    one, "failed", reason="timeout" if json.loads(one.data)["n"] % 3 else "full"
                )
                for one in claimed
            ]
        )
        left -= len(claimed)
    return ids


async def test_a_search_is_retried(
    backend: Backend, bulk: Bulk, worker: HandWorker, told: list[HookEvent]
) -> None:
    await failed(backend, worker, 30)
    await failed(backend, worker, 6, "other")
    progress: list[int] = []

    with acting("jo", "the server is back"):
        operation = await bulk.retry(f"queue:{Q} error~TIMEOUT")
    before = await operation.info()
    after = await operation.run(progress=lambda info: progress.append(info.done))

    assert (before.state, before.done, before.at_most, before.driven) == ("running", 0, 30, False)
    assert (after.state, after.done, after.refused, after.looked_at) == ("done", 20, 0, 30)
    assert (after.actor, after.reason, after.queues) == ("jo", "the server is back", [Q])
    assert progress[-1] == 20
    assert await counts(backend) == {State.WAIT: 20, State.FAILED: 10}
    assert await counts(backend, "other") == {State.FAILED: 6}
    began, ended = told
    assert (began.verb, began.actor, began.reason) == ("bulk.retry", "jo", "the server is back")
    assert (ended.verb, ended.actor, ended.count) == ("bulk.ended", "jo", 20)
    assert began.arguments is not None
    assert ended.arguments is not None
    assert began.arguments["query"] == ended.arguments["query"] == f"queue:{Q} error~TIMEOUT"
    assert began.arguments["operation"] == ended.arguments["operation"] == operation.id


async def test_all_queues_are_gone_through(
    backend: Backend, bulk: Bulk, worker: HandWorker
) -> None:
    for queue in ("a", "b", "c"):
        await failed(backend, worker, 4, queue)

    info = await (await bulk.retry("state:failed")).run()

    assert (info.queues, info.done) == (["a", "b", "c"], 12)


async def test_jobs_that_end_later_are_left_alone(
    backend: Backend, bulk: Bulk, worker: HandWorker, clock: ManualClock
) -> None:
    await failed(backend, worker, 3)
    operation = await bulk.retry("state:failed")
    clock.advance(1)
    await failed(backend, worker, 2)

    assert (await operation.run()).done == 3
    assert await counts(backend) == {State.WAIT: 3, State.FAILED: 2}


@pytest.mark.parametrize("action", ["retry", "remove", "promote", "cancel", "move"])
async def test_jobs_are_named_by_id(
    backend: Backend, bulk: Bulk, worker: HandWorker, action: Any
) -> None:
    there = {
        where: await bring(backend, worker, where)
        for where in (State.FAILED, State.DELAYED, State.ACTIVE, State.WAIT)
    }
    ids = [*there.values(), "nothing"]
    more: dict[str, Any] = {"to": "other"} if action == "move" else {}
    done = {"retry": 1, "remove": 3, "promote": 1, "cancel": 3, "move": 3}[action]

    operation = await getattr(bulk, action)(queue=Q, ids=[*ids, ids[0]], **more)
    info = await operation.run()

    assert (info.done, info.refused, info.looked_at, info.at_most) == (done, 5 - done, 5, 5)
    by_search = await (await bulk.remove(f"queue:{Q} id:{there[State.WAIT]},x")).run()
    gone = action in ("remove", "move")
    assert (by_search.done, by_search.query) == (
        0 if gone else 1,
        f"queue:{Q} id:{there[State.WAIT]},x",
    )


async def test_removals_are_undone(
    backend: Backend, bulk: Bulk, worker: HandWorker, told: list[HookEvent]
) -> None:
    ids = await failed(backend, worker, 25)
    operation = await bulk.remove("error~timeout")
    info = await operation.run()
    assert await counts(backend) == {State.FAILED: 9}
    assert info.undo_until is not None

    undone = await operation.undo()

    assert (undone.restored, undone.taken) == (16, 0)
    assert await counts(backend) == {State.FAILED: 25}
    assert json.loads((await record(backend, ids[1])).data) == {"n": 1}
    after = await operation.info()
    assert (after.state, after.undo_until) == ("undone", None)
    assert (told[-1].verb, told[-1].count) == ("bulk.undo", 16)
    assert (await operation.undo()).restored == 0


async def test_only_removals_that_have_ended_are_undone(
    backend: Backend, bulk: Bulk, worker: HandWorker
) -> None:
    await failed(backend, worker, 2)
    runs = await bulk.remove("state:failed")
    kept_not = await bulk.remove("state:failed", keep=0)
    retried = await bulk.retry("state:failed")

    with pytest.raises(InvalidOptionError, match=f"still runs.*toril operations cancel {runs.id}"):
        await runs.undo()
    for operation in (kept_not, retried):
        with pytest.raises(InvalidOptionError, match="only removals whose jobs are kept can"):
            await operation.undo()


async def test_an_operation_is_cancelled_where_it_stands(
    backend: Backend, bulk: Bulk, worker: HandWorker
) -> None:
    await failed(backend, worker, 3)
    operation = await bulk.retry("state:failed")

    assert await operation.cancel()
    info = await operation.run()

    assert (info.state, info.done) == ("cancelled", 0)
    assert not await operation.cancel()


async def test_it_keeps_its_rate(backend: Backend, bulk: Bulk, worker: HandWorker) -> None:
    await failed(backend, worker, 40)
    operation = await bulk.retry("state:failed", max_per_s=100)
    seen: list[int] = []
    began_s = time.monotonic()

    info = await operation.run(progress=lambda info: seen.append(info.done))

    assert info.done == 40
    assert time.monotonic() - began_s >= 0.39
    assert all(later - sooner <= 25 for sooner, later in zip([0, *seen], seen, strict=False))
    assert len(seen) >= 2


class _KilledError(BaseException):
    """The process dies here."""


class Fragile:
    """A store of operations whose process dies before, or after, the n-th step."""

    def __init__(self, backend: Backend, dies_at: int, *, after: bool) -> None:
        self._store = backend.operations
        self._left = dies_at
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def step(self, *args: Any, **fields: Any) -> Any:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise _KilledError
        answer = await self._store.step(*args, **fields)
        if self._left < 0:
            raise _KilledError
        return answer


@pytest.mark.parametrize(
    ("action", "after"),
    [("retry", False), ("retry", True), ("remove", True), ("cancel", True), ("move", False)],
)
async def test_a_process_that_dies_at_any_step_leaves_what_another_ends(
    backend: Backend, bulk: Bulk, worker: HandWorker, clock: ManualClock, action: Any, after: bool
) -> None:
    """Each job is done once, and none is passed over."""
    many = 30
    if action == "retry":
        await failed(backend, worker, many)
    else:
        await add(backend, *(job() for _ in range(many)))
    more: dict[str, Any] = {"to": "other"} if action == "move" else {}
    operation = await getattr(bulk, action)(f"queue:{Q}", max_per_s=40, **more)
    deaths = 0
    while True:
        fragile: Any = Fragile(backend, 1, after=after)
        mortal = dataclasses.replace(backend, operations=fragile)
        driver = Driver(_giver(mortal), Operations(Hooks()))
        try:
            ended = await driver.drive(operation.id)
        except _KilledError:
            deaths += 1
            assert not await Driver(lambda: backend, Operations(Hooks())).drive(operation.id)
            clock.advance(10)  # its lease ends
            continue
        assert ended
        break

    info = await operation.info()
    assert deaths >= 1
    assert (info.done, info.refused, info.looked_at) == (many, 0, many)
    left = await counts(backend)
    if action == "retry":
        assert left == {State.WAIT: many}
    elif action == "cancel":
        assert left == {State.FAILED: many}
    elif action == "move":
        assert await counts(backend, "other") == {State.WAIT: many}
    else:
        assert left == {}
        assert (await operation.undo()).restored == many


def _giver(backend: Backend) -> Callable[[], Backend]:
    return lambda: backend


async def test_two_processes_never_drive_one_at_the_same_time(
    backend: Backend, bulk: Bulk, worker: HandWorker
) -> None:
    await failed(backend, worker, 20)
    operation = await bulk.retry("state:failed")
    assert await backend.operations.take(operation.id, "another", lease_ms=60_000) is not None

    assert not await Driver(lambda: backend, Operations(Hooks())).drive(operation.id)

    info = await operation.info()
    assert (info.driven, info.done) == (True, 0)


async def test_a_step_of_a_process_that_lost_its_lease_changes_nothing(
    backend: Backend, bulk: Bulk, worker: HandWorker
) -> None:
    ids = await failed(backend, worker, 4)
    operation = await bulk.retry("state:failed")
    await operation.run()
    claimed = await worker.claim(limit=4)
    await worker.ask(outcomes=[outcome(one, "failed", reason="again") for one in claimed])

    late = await backend.operations.step(
        operation.id,
        Q,
        after=0,
        place="x",
        looked_at=4,
        act=Act(verb="retry", state=State.FAILED, ids=ids),
    )

    assert late is None
    assert await counts(backend) == {State.FAILED: 4}


async def test_workers_drive_what_nobody_drives(
    backend: Backend, bulk: Bulk, worker: HandWorker
) -> None:
    await failed(backend, worker, 5)
    first = await bulk.retry("error~timeout")
    second = await bulk.remove("error~full")
    driven = await bulk.retry("state:failed")
    await backend.operations.take(driven.id, "another", lease_ms=60_000)
    keeper = OperationKeeper(backend, Operations(Hooks()))

    assert await keeper.look() == 2
    assert await keeper.look() == 0

    assert [(await one.info()).state for one in (first, second, driven)] == [
        "done", "done", "running"
    ]  # fmt: skip
    listed = await bulk.list()
    assert {one.id for one in listed} == {first.id, second.id, driven.id}


async def test_a_preview_counts_and_shows_and_changes_nothing(
    backend: Backend, bulk: Bulk, worker: HandWorker
) -> None:
    await failed(backend, worker, 30)

    listed = await bulk.preview("retry", f"queue:{Q}")
    searched = await bulk.preview("retry", "error~timeout")
    hurried = await bulk.preview("remove", "error~timeout data.n>=0", budget=0)

    assert (listed.count, listed.exact, listed.at_most, len(listed.samples)) == (30, True, 30, 10)
    assert listed.query == f"state:failed queue:{Q}"
    assert (searched.count, searched.exact, len(searched.samples)) == (20, True, 10)
    assert hurried.count <= 20
    assert await counts(backend) == {State.FAILED: 30}


@pytest.mark.parametrize(
    ("action", "query", "says"),
    [
        ("retry", "state:active", "retry is for completed, failed; name one of these"),
        ("remove", "state:active,failed", "remove is for wait, prioritized"),
        ("promote", "-state:delayed", "it finds jobs in 'no state'"),
        ("retry", "", "expected a search that names something"),
        ("cancel", "name:x OR state:failed", "it finds jobs in 'failed', and cancel is for"),
    ],
)
async def test_a_search_for_jobs_that_may_not_be_changed_so_is_refused(
    bulk: Bulk, action: Any, query: str, says: str
) -> None:
    with pytest.raises(InvalidOptionError, match=says):
        await getattr(bulk, action)(query)
    with pytest.raises(InvalidOptionError, match=says):
        await bulk.preview(action, query)


async def test_what_makes_no_sense_is_refused(backend: Backend, bulk: Bulk) -> None:
    await add(backend, job())
    wrong: list[Callable[[], Any]] = [
        bulk.retry,
        lambda: bulk.retry("a", queue="b", ids=["1"]),
        lambda: bulk.retry(queue="b"),
        lambda: bulk.retry(queue="b", ids=[]),
        lambda: bulk.retry("a", max_per_s=0),
        lambda: bulk.move(f"queue:{Q}", to=Q),
        lambda: bulk.move("a", to="a:b"),
        lambda: bulk.remove("a", keep=-1),
        lambda: bulk.list(limit=0),
    ]
    for call in wrong:
        with pytest.raises(InvalidOptionError):
            await call()
    with pytest.raises(QueryError):
        await bulk.retry("stat:failed")
    unknown = bulk.operation("nothing")
    for call in (unknown.info, unknown.cancel, unknown.run):
        with pytest.raises(OperationNotFoundError):
            await call()
    assert await bulk.list() == []


async def test_jobs_are_exported_line_by_line(
    backend: Backend, bulk: Bulk, worker: HandWorker, tmp_path: Path, told: list[HookEvent]
) -> None:
    await failed(backend, worker, 30)
    path = tmp_path / "failed.jsonl"
    progress: list[int] = []

    many = await bulk.export("error~timeout", path, progress=progress.append)

    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert many == len(lines) == progress[-1] == 20
    assert {line["failed_reason"] for line in lines} == {"timeout"}
    assert {line["data"]["n"] for line in lines} == {n for n in range(30) if n % 3}
    assert [each.name for each in tmp_path.iterdir() if "failed" in each.name] == ["failed.jsonl"]
    assert (told[-1].verb, told[-1].count) == ("bulk.export", 20)


async def test_an_export_that_fails_leaves_the_old_file(
    backend: Backend, bulk: Bulk, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text("old")
    await add(backend, job())

    def full(many: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await bulk.export("name:*", path, progress=full)
    with pytest.raises(FileNotFoundError):
        await bulk.export("name:*", tmp_path / "no" / "jobs.jsonl")

    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir() if "jobs" in each.name] == ["jobs.jsonl"]


async def test_a_fault_ends_an_operation_and_an_outage_does_not(
    backend: Backend, bulk: Bulk, worker: HandWorker, clock: ManualClock
) -> None:
    await failed(backend, worker, 3)
    operation = await bulk.retry("state:failed")

    class Broken(Fragile):
        error: Exception = BackendError("it is away")

        async def step(self, *args: Any, **fields: Any) -> Any:
            raise self.error

    broken: Any = Broken(backend, 0, after=False)
    driver = Driver(lambda: dataclasses.replace(backend, operations=broken), Operations(Hooks()))
    with pytest.raises(BackendError):
        await driver.drive(operation.id)
    assert (await operation.info()).state == "running"

    clock.advance(10)
    broken.error = InvalidOptionError("it makes no sense")
    assert await driver.drive(operation.id)
    info = await operation.info()
    assert (info.state, info.note) == ("failed", "it makes no sense")
