"""Dead letters with a real worker: which failures leave one, and how jobs come back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import pytest
from tests.engine.working import ONCE, memory_app, working
from tests.support.contract import HandWorker
from tests.support.waiting import wait_until

from toril import (
    App,
    Cancel,
    Context,
    Fail,
    InvalidOptionError,
    Job,
    JobNotFoundError,
    KeepPolicy,
    RetryPolicy,
    WrongStateError,
)
from toril.core.errors import InvalidPayloadError
from toril.engine import letter_keeper
from toril.engine.contract import DeadLetterRule
from toril.engine.hooks import HookEvent
from toril.engine.letter_info import LetterInfo
from toril.engine.letter_keeper import remove_old
from toril.engine.states import State
from toril.testing import in_memory

AT_ONCE = RetryPolicy(max_attempts=3, base_s=0, jitter_ratio=0)


async def letters(app: App, queue: str = "dead-letter") -> list[LetterInfo]:
    return (await app.dead_letters(queue).list()).letters


async def test_a_job_that_used_up_its_attempts_leaves_a_letter_with_all_of_them() -> None:
    app = memory_app()
    told: list[HookEvent] = []
    app.on("dead")(told.append)

    @app.task(queue="mail", retry=AT_ONCE)
    async def greet(to: str) -> None:
        raise ValueError(f"no such person: {to}")

    await app.queue("mail").set_dead_letter("dead-letter")
    job = await greet.enqueue("ann")
    async with working(app):
        await wait_until(lambda: bool(told), what="the hook")

    (letter,) = await letters(app)
    assert await job.state() is State.FAILED
    assert (letter.original_queue, letter.original_job_id, letter.task) == ("mail", job.id, "greet")
    assert letter.data == {"to": "ann"}
    assert letter.failed_reason == "ValueError: no such person: ann"
    assert letter.attempts_made == 3
    assert [attempt.outcome for attempt in letter.attempts] == ["retried", "retried", "failed"]
    assert len(letter.stacktrace) == 3
    assert all("no such person" in trace for trace in letter.stacktrace)
    assert letter.redriven_at is None
    (event,) = told
    assert (event.queue, event.job_id, event.task) == ("mail", job.id, "greet")
    assert (event.letter_queue, event.letter_id) == ("dead-letter", letter.id)
    assert event.reason == letter.failed_reason
    await app.close()


async def test_a_task_names_a_dead_letter_queue_of_its_own() -> None:
    app = memory_app()

    @app.task(queue="mail", retry=ONCE, dead_letter="mail-graveyard")
    async def greet() -> None:
        raise Fail("for good")

    await app.queue("mail").set_dead_letter("dead-letter")
    await greet.enqueue()
    async with working(app):
        await wait_until(lambda: _any(app, "mail-graveyard"), what="the letter")

    assert await letters(app) == []
    await app.close()


async def _any(app: App, queue: str = "dead-letter") -> bool:
    return bool(await letters(app, queue))


def test_a_task_cannot_be_its_own_dead_letter_queue() -> None:
    with pytest.raises(InvalidOptionError, match="dead_letter='mail': expected another queue"):
        memory_app().task(name="greet", queue="mail", dead_letter="mail")(print)


async def test_who_cancels_a_job_wants_no_letter() -> None:
    app = memory_app()
    begun = asyncio.Event()

    @app.task(queue="mail", retry=ONCE)
    async def long() -> None:
        begun.set()
        await asyncio.sleep(60)

    @app.task(queue="mail", retry=ONCE)
    async def useless() -> None:
        raise Cancel("nobody wants it")

    await app.queue("mail").set_dead_letter("dead-letter")
    first, second = await long.enqueue(), await useless.enqueue()
    async with working(app, lease=1.0):
        await begun.wait()
        await first.cancel("not needed")
        for job in (first, second):
            await wait_until(partial(_failed, job), what="the failure")

    assert await letters(app) == []
    await app.close()


async def _failed(job: Job[None]) -> bool:
    return await job.state() is State.FAILED


async def test_a_letter_that_fails_leaves_none() -> None:
    app = memory_app()

    @app.task(queue="mail", retry=ONCE)
    async def greet() -> None:
        raise Fail("for good")

    @app.task(queue="dead-letter", retry=ONCE, any_name=True, dead_letter="worse")
    async def note() -> None:
        raise Fail("the note cannot be written either")

    await app.queue("mail").set_dead_letter("dead-letter")
    await app.queue("dead-letter").set_dead_letter("worst")
    await greet.enqueue()
    async with working(app, queues=["mail", "dead-letter"]):
        await wait_until(lambda: _in(app, State.FAILED), what="the letter to fail")

    assert await letters(app, "worse") == []
    assert await letters(app, "worst") == []
    await app.close()


async def _in(app: App, state: State) -> bool:
    return any(letter.state is state for letter in await letters(app))


async def test_a_job_that_stalled_too_often_leaves_a_letter() -> None:
    async with in_memory(memory_app()) as run:
        app = run.app

        @app.task(queue="mail", retry=ONCE)
        async def greet() -> None: ...

        await app.queue("mail").set_dead_letter("dead-letter")
        job = await greet.enqueue()
        store = app.backend()
        lost = HandWorker(store, "lost-worker")
        claimed = await lost.claim_one("mail")
        lost.renew(claimed)
        await app.declare_dead("lost-worker", max_stalled=0)
        run.clock.advance(60)
        await app.declare_dead("lost-worker", max_stalled=0)
        await run.run_until_idle()

        (letter,) = await letters(app)
        assert letter.original_job_id == job.id
        assert "stalled" in letter.failed_reason
        assert "stalled" in [attempt.outcome for attempt in letter.attempts]


async def test_a_job_comes_back_and_completes() -> None:
    async with in_memory(memory_app()) as run:
        broken = [True]

        @run.app.task(queue="mail", retry=ONCE)
        async def greet(to: str) -> str:
            if broken[0]:
                raise ValueError("broken")
            return to

        await run.app.queue("mail").set_dead_letter("dead-letter")
        job = await greet.enqueue("ann")
        await run.run_until_idle()
        (letter,) = await letters(run.app)
        broken[0] = False

        back = await run.app.dead_letters().redrive(letter.id)
        again = await run.app.dead_letters().redrive(letter.id)
        ran = await run.run_until_idle()

        assert (back.queue, back.id) == (again.queue, again.id) == (job.queue, job.id)
        assert [event.job_id for event in ran.completed] == [job.id]
        marked = await run.app.dead_letters().get(letter.id)
        assert marked.redriven_at is not None
        assert (await job.info()).attempts[0].outcome == "failed"


async def test_other_data_are_checked_by_the_task() -> None:
    async with in_memory(memory_app()) as run:

        @run.app.task(queue="mail", retry=ONCE)
        async def greet(to: str) -> None:
            if to == "nobody":
                raise Fail("no such person")

        await run.app.queue("mail").set_dead_letter("dead-letter")
        job = await greet.enqueue("nobody")
        await run.run_until_idle()
        (letter,) = await letters(run.app)

        with pytest.raises(InvalidPayloadError):
            await run.app.dead_letters().redrive(letter.id, {"to": 5})
        await run.app.dead_letters().redrive(letter.id, {"to": "ann"})
        await run.run_until_idle()

        assert await job.state() is State.COMPLETED
        assert (await job.info()).data == {"to": "ann"}


async def test_each_failure_in_a_row_leaves_one() -> None:
    """The rule is remembered for a second, which must not end the letters."""
    async with in_memory(memory_app()) as run:

        @run.app.task(queue="mail", retry=ONCE)
        async def greet() -> None:
            raise Fail("for good")

        await run.app.queue("mail").set_dead_letter("dead-letter")
        jobs = [await greet.enqueue() for _ in range(3)]
        await run.run_until_idle()

        assert [x.original_job_id for x in await letters(run.app)] == [job.id for job in jobs]


async def test_a_job_that_is_gone_comes_back_with_other_data() -> None:
    async with in_memory(memory_app()) as run:

        @run.app.task(queue="mail", retry=ONCE, dead_letter="dead-letter")
        async def greet(to: str) -> None:
            if to == "nobody":
                raise Fail("no such person")

        job = await greet.with_options(keep_failed=KeepPolicy(count=0)).enqueue("nobody")
        await run.run_until_idle()
        (letter,) = await letters(run.app)
        with pytest.raises(JobNotFoundError):
            await job.info()

        await run.app.dead_letters().redrive(letter.id, {"to": "ann"})

        assert (await job.info()).data == {"to": "ann"}


async def test_nonsense_is_refused() -> None:
    async with memory_app() as app:
        dead = app.dead_letters()
        for limit in (0, 1001):
            with pytest.raises(InvalidOptionError, match=f"limit={limit}"):
                await dead.list(limit=limit)
        assert (await dead.list(limit=1)).letters == (await dead.list(limit=1000)).letters == []
        with pytest.raises(InvalidOptionError, match="max_per_s=0"):
            await dead.redrive_all(max_per_s=0)
        with pytest.raises(InvalidOptionError, match="limit=-1"):
            await dead.redrive_all(limit=-1)


async def test_letters_are_chosen_by_queue_task_and_reason() -> None:
    async with in_memory(memory_app()) as run:
        app = run.app

        @app.task(queue="mail", retry=ONCE, dead_letter="dead-letter")
        async def greet(why: str) -> None:
            raise Fail(why)

        @app.task(queue="files", retry=ONCE, dead_letter="dead-letter")
        async def scan(why: str) -> None:
            raise Fail(why)

        for why in ("Timeout after 5 s", "bounced"):
            await greet.enqueue(why)
            await scan.enqueue(why)
        await run.run_until_idle()
        dead = app.dead_letters()

        assert len((await dead.list()).letters) == 4
        assert [x.task for x in (await dead.list(queue="mail")).letters] == ["greet", "greet"]
        assert [x.task for x in (await dead.list(task="scan")).letters] == ["scan", "scan"]
        assert len((await dead.list(error="timeout")).letters) == 2
        first = await dead.list(limit=3)
        second = await dead.list(limit=3, after=first.next)
        assert len({x.id for x in (*first.letters, *second.letters)}) == 4

        told: list[int] = []
        assert await dead.redrive_all(error="timeout", progress=told.append) == 2
        assert told == [1, 2]
        assert await dead.redrive_all(error="timeout") == 0
        assert await dead.redrive_all(limit=1) == 1
        back = (await dead.list(redriven=True)).letters
        assert len(back) == 3

        gone = await dead.remove_all(redriven=True, queue="mail")
        assert gone == len([x for x in back if x.original_queue == "mail"])
        assert await dead.remove_all() == 4 - gone
        assert (await dead.list()).letters == []


async def test_jobs_come_back_at_a_rate() -> None:
    async with in_memory(memory_app()) as run:

        @run.app.task(queue="mail", retry=ONCE, dead_letter="dead-letter")
        async def greet() -> None:
            raise Fail("for good")

        for _ in range(4):
            await greet.enqueue()
        await run.run_until_idle(concurrency=4)
        loop = asyncio.get_running_loop()

        begin_s = loop.time()
        assert await run.app.dead_letters().redrive_all(max_per_s=20) == 4
        assert loop.time() - begin_s >= 3 / 20


async def test_old_letters_are_removed_and_no_others() -> None:
    async with in_memory(memory_app()) as run:
        app = run.app

        @app.task(queue="mail", retry=ONCE)
        async def greet() -> None:
            raise Fail("for good")

        await app.queue("mail").set_dead_letter("dead-letter", keep=timedelta(days=30))
        rule = await app.backend().dead_letters.rule("mail")
        assert rule == DeadLetterRule("dead-letter", 30 * 86_400_000)
        other = await app.queue("dead-letter").add("something else")
        await greet.enqueue()
        await run.run_until_idle()
        run.clock.advance(31 * 86_400)
        await greet.enqueue()
        await run.run_until_idle()

        # The worker may have done it by itself already, when it started.
        await remove_old(app.backend(), "dead-letter", 30 * 86_400_000)
        assert len(await letters(app)) == 1
        assert await other.state() is State.WAIT


async def test_what_is_no_letter_is_said_to_be_none() -> None:
    app = memory_app()
    other = await app.queue("dead-letter").add("something else")

    with pytest.raises(InvalidOptionError, match="is no dead letter"):
        await app.dead_letters().redrive(other.id)
    with pytest.raises(JobNotFoundError, match="has no letter 'dead~x'"):
        await app.dead_letters().get("dead~x")
    with pytest.raises(InvalidOptionError, match="expected another queue than the one that fails"):
        await app.queue("mail").set_dead_letter("mail")
    await app.close()


async def test_a_letter_that_a_worker_holds_is_not_removed() -> None:
    app = memory_app()
    at_work = asyncio.Event()

    @app.task(queue="mail", retry=ONCE, dead_letter="dead-letter")
    async def greet() -> None:
        raise Fail("for good")

    @app.task(queue="dead-letter", any_name=True)
    async def note() -> None:
        at_work.set()
        await asyncio.sleep(60)

    await greet.enqueue()
    async with working(app, queues=["mail", "dead-letter"]):
        await at_work.wait()
        (letter,) = await letters(app)
        with pytest.raises(WrongStateError):
            await app.dead_letters().remove(letter.id)
        assert await app.dead_letters().remove_all() == 0
    await app.close()


async def test_parent_that_returns_before_its_children_leaves_its_letter_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store fails it, in place of the success that its worker has brought."""
    monkeypatch.setattr(letter_keeper, "LOOK_S", 0.05)
    app = memory_app()

    @app.task(queue="parents")
    async def build(context: Context) -> None:
        await context.add_children([never.node()])

    @app.task(queue="nobody")
    async def never() -> None: ...

    await app.queue("parents").set_dead_letter("dead-letter")
    job = await build.enqueue()
    async with working(app, queues=["parents"]):
        await wait_until(partial(letters, app), what="the letter")

    (letter,) = await letters(app)
    assert letter.original_job_id == job.id
    assert letter.failed_reason == "job has children that have not finished"
