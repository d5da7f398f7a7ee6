"""Two tenants in one store: neither is shown anything of the other, nor what is secret."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.waiting import wait_until
from tests.web.access.calling import call, control

from toril import App, Context, JobOptions, Node, RetryPolicy, Settings, State, WorkerInfo, acting
from toril.web.access.port import Permission, Principal, Role
from toril.web.access.sight import Sight

SECRET = "swordfish-4711"


@pytest.fixture
async def app(url: str, no_thread_left: None) -> AsyncIterator[App]:
    """An app with tasks, on a store whose clock runs."""
    async with App(url, durability="normal", settings=Settings(mask=("iban",))) as app:

        @app.task(queue="red-mail", retry=RetryPolicy(max_attempts=1), dead_letter="dead")
        async def fails(ctx: Context, password: str, to: str) -> None:
            ctx.log(f"trying {password} for {to}")
            raise ValueError(f"{to} is not let in with {password}")

        @app.task(queue="blue-mail", retry=RetryPolicy(max_attempts=1), dead_letter="dead")
        async def works(ctx: Context, password: str, to: str) -> dict[str, str]:
            ctx.progress(50)
            return {"iban": "DE0212", "to": to, "said": f"hello {password}"}

        yield app


async def work(app: App, *queues: str) -> None:
    """Run what is in line."""
    worker = app.worker(queues=queues)
    running = asyncio.create_task(worker.run())

    async def idle() -> bool:
        infos = [await app.queue(name).info() for name in queues]
        return all(one is None or not (one.waiting or one.active) for one in infos)

    await wait_until(idle, what="the queues to be empty")
    worker.stop()
    await running


async def sight(app: App, queues: list[str] | None, *, payloads: bool = True) -> Sight:
    """Return what the holder of a key is shown."""
    access = control(app)
    name = f"{queues}{payloads}"
    key = await access.keys.add(name, role="operator", queues=queues, payloads=payloads)
    return Sight(await access.identify(call(key=key)), app.masker)


async def test_tenant_is_shown_nothing_of_another(app: App) -> None:
    red, blue = app.find_task("fails"), app.find_task("works")
    theirs = await blue.enqueue(password=SECRET, to="blue@example.com")
    mine = await red.enqueue(password=SECRET, to="red@example.com")
    await work(app, "red-mail", "blue-mail")
    for name in ("red-mail", "blue-mail"):
        await app.schedules.put("daily", app.queue(name), name="digest", cron="@daily")
    see = await sight(app, ["red-*"])

    assert [queue.name for queue in see.queues(await app.queues())] == ["red-mail"]
    assert see.job(await theirs.info()) is None
    assert (see.job(await mine.info()) or theirs).id == mine.id
    schedules = [see.schedule(one) for one in await app.schedules.list()]
    assert [one.queue for one in schedules if one is not None] == ["red-mail"]
    (event, *_) = [one async for one in _events(app, "blue-mail")]
    assert see.event("blue-mail", event) is None
    assert see.logs(["a line"], await theirs.info()) == []
    assert see.explanation(await theirs.explain()) is None


async def _events(app: App, queue: str) -> AsyncIterator[Any]:
    for record in await app.backend().events.read(queue, after=0, limit=100, wait_s=0):
        yield record


async def test_letters_are_of_the_tenant_whose_job_it_was(app: App) -> None:
    """The dead-letter queue may be everybody's."""
    await app.find_task("fails").enqueue(password=SECRET, to="red@example.com")
    await work(app, "red-mail")
    (letter,) = (await app.dead_letters("dead").list()).letters

    assert (await sight(app, ["blue-*", "dead"])).letter(letter) is None
    assert (await sight(app, ["red-*"])).letter(letter) is None
    shown = (await sight(app, ["red-*", "dead"])).letter(letter)
    assert shown is not None
    assert shown.data == {"password": "***", "to": "red@example.com"}
    assert SECRET not in repr(shown)
    assert "red@example.com is not let in with ***" in shown.failed_reason


async def test_secret_is_shown_nowhere(app: App) -> None:
    job = await app.find_task("fails").enqueue(password=SECRET, to="red@example.com")
    await work(app, "red-mail")
    see = await sight(app, None)
    info = await job.info()
    assert SECRET in repr(info)

    shown = see.job(info)

    assert shown is not None
    assert SECRET not in repr(shown)
    assert shown.data == {"password": "***", "to": "red@example.com"}
    assert shown.failed_reason == "ValueError: red@example.com is not let in with ***"
    assert shown.attempts[0].traceback is not None
    assert see.logs(await job.logs(), info) == ["trying *** for red@example.com"]


async def test_who_may_not_see_payloads_sees_how_jobs_do_all_the_same(app: App) -> None:
    failed = await app.find_task("fails").enqueue(password=SECRET, to="red@example.com")
    done = await app.find_task("works").enqueue(password=SECRET, to="blue@example.com")
    await work(app, "red-mail", "blue-mail")
    see = await sight(app, None, payloads=False)

    shown, other = see.job(await failed.info()), see.job(await done.info())

    assert shown is not None
    assert other is not None
    assert "example.com" not in repr(shown) + repr(other)
    assert (shown.state, shown.failed_reason) == (State.FAILED, "ValueError: ***")
    assert (shown.data, other.data, other.result) == ("***", "***", "***")
    assert other.progress == 50
    assert shown.data_bytes > 10
    assert see.logs(await failed.logs(), await failed.info()) == []
    (letter,) = (await app.dead_letters("dead").list()).letters
    assert "example.com" not in repr(see.letter(letter))
    async for event in _events(app, "red-mail"):
        assert "example.com" not in repr(see.event("red-mail", event))
    async for event in _events(app, "blue-mail"):
        assert "example.com" not in repr(see.event("blue-mail", event))


async def test_events_hide_what_jobs_hide(app: App) -> None:
    await app.find_task("works").enqueue(password=SECRET, to="blue@example.com")
    await work(app, "blue-mail")
    see = await sight(app, ["blue-*"])

    found = [see.event("blue-mail", one) async for one in _events(app, "blue-mail")]

    results = [one.fields["returnvalue"] for one in found if one and "returnvalue" in one.fields]
    assert len(results) == 1
    assert '"iban":"***","to":"blue@example.com"' in results[0]


async def test_payload_is_hidden_where_a_result_or_an_explanation_repeats_it(app: App) -> None:
    done = await app.find_task("works").enqueue(password=SECRET, to="blue@example.com")
    failed = await app.find_task("fails").enqueue(password=SECRET, to="red@example.com")
    await work(app, "blue-mail", "red-mail")
    see, blind = await sight(app, None), await sight(app, None, payloads=False)

    shown = see.job(await done.info())
    assert shown is not None
    assert shown.result == {"iban": "***", "to": "blue@example.com", "said": "hello ***"}
    explained = await failed.explain()
    assert SECRET in repr(explained)
    told = see.explanation(explained, await failed.info())
    assert told is not None
    assert SECRET not in repr(told)
    assert "red@example.com is not let in with ***" in str(told)
    blindly = repr(blind.explanation(explained, await failed.info()))
    assert "example.com" not in blindly
    events = [see.event("red-mail", one) async for one in _events(app, "red-mail")]
    reasons = [one.fields["failedReason"] for one in events if one and "failedReason" in one.fields]
    assert reasons == ["ValueError: ***"]


async def test_parents_and_children_of_another_tenant_are_not_there(app: App) -> None:
    tree = Node(
        "red-mail",
        "report",
        children=[
            Node("blue-mail", "part", {"to": "blue@example.com"}),
            Node("red-parts", "part", {"to": "red@example.com"}),
        ],
    )
    flow = await app.flows.add(tree)
    root = await flow.tree()
    assert root is not None
    red, blue = await sight(app, ["red-*"]), await sight(app, ["blue-*"])

    shown = red.flow(root)

    assert shown is not None
    assert [node.queue for node in shown.nodes()] == ["red-mail", "red-parts"]
    assert shown.cut
    assert "blue" not in repr(shown)
    assert len(list(root.nodes())) == 3, "what was given is left as it is"
    assert blue.flow(root) is None
    (child,) = (await app.queue("blue-mail").jobs(State.WAIT)).jobs
    seen = blue.job(child)
    assert seen is not None
    assert (seen.parent_queue, seen.parent_id) == (None, None)
    assert "red-mail" not in repr(seen)
    explained = red.explanation(await app.queue("red-mail").job(root.id).explain())
    assert explained is not None
    assert "blue" not in repr(explained)


def worker(*queues: str) -> WorkerInfo:
    return WorkerInfo(
        id="host-1", host="host", pid=1, queues=[*queues], concurrency=10, running=7,
        started_at=datetime(2030, 1, 1, tzinfo=UTC), beat_age_s=1.0, quiet=False,
        resident_bytes=5, version="1", tasks={queue: ["t"] for queue in queues},
    )  # fmt: skip


async def test_workers_are_there_with_the_tenants_part_of_them(app: App) -> None:
    see, all_of_it = await sight(app, ["red-*"]), await sight(app, None)

    assert see.worker(worker("blue-mail")) is None
    shared = see.worker(worker("blue-mail", "red-mail"))
    assert shared is not None
    assert "blue" not in repr(shared)
    assert (shared["queues"], shared["tasks"]) == (["red-mail"], {"red-mail": ["t"]})
    assert (shared["running"], shared["concurrency"]) == (None, None)
    mine = see.worker(worker("red-mail"))
    assert mine == dataclasses.asdict(worker("red-mail"))
    both = worker("blue-mail", "red-mail")
    assert all_of_it.worker(both) == dataclasses.asdict(both)


async def test_audit_log_is_there_for_the_tenants_queues(app: App) -> None:
    with acting("user:jo"):
        await app.queue("red-mail").pause()
        await app.queue("blue-mail").pause()
        await control(app).keys.add("deploy", role="viewer")
    entries = (await app.audit.page()).entries
    see = await sight(app, ["red-*"])

    assert [one.queue for one in map(see.entry, entries) if one] == ["red-mail"]
    assert [*map((await sight(app, None)).entry, entries)] == entries


async def test_what_is_hidden_may_not_be_searched_for(app: App) -> None:
    """Else one could find a secret letter by letter."""
    see, blind = await sight(app, None), await sight(app, None, payloads=False)

    assert see.may_search(("to",))
    assert not see.may_search(("password",))
    assert not see.may_search(("customer", "iban"))
    assert not see.may_search(())
    assert not blind.may_search(("to",))


def test_nobody_sees_payloads_by_the_role_alone(app: App) -> None:
    admin = Principal("admin", "key", Role.ADMIN, None, False)

    assert not admin.may(Permission.PAYLOADS)
    assert not Sight(admin, app.masker).carried


async def test_odd_payloads_are_shown_or_hidden_and_never_an_error(app: App) -> None:
    queue = app.queue("red-mail")
    see, blind = await sight(app, None), await sight(app, None, payloads=False)
    for data in (None, [], "text", 5, {"a": "\x00\ud7ff"}, [[[{"token": [1, 2]}]]]):
        job = await queue.add("odd", data, JobOptions(delay_s=1))
        info = await job.info()
        shown, hidden = see.job(info), blind.job(info)
        assert shown is not None
        assert hidden is not None
        assert hidden.data in (None, "***")
        assert "[1, 2]" not in repr(shown)
