"""What queues did, how much there is to do, and what workers are told, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.waiting import wait_until
from tests.web.access.calling import control
from tests.web.support import Served, serve

from toril import App, Worker
from toril.web.access.control import AccessControl


@pytest.fixture
async def access(app: App) -> AccessControl:
    return control(app)


@pytest.fixture
async def guarded(app: App, access: AccessControl) -> AsyncIterator[Served]:
    async with serve(app, access=access) as served:
        yield served


async def key_of(access: AccessControl, role: str, *queues: str) -> dict[str, str]:
    """Return the headers of a new key."""
    key = await access.keys.add(f"{role}{''.join(queues)}", role=role, queues=queues or None)
    return {"authorization": f"Bearer {key}"}


async def work(app: App, queue: str, many: int) -> None:
    """Run some jobs of a queue, so that it has a history."""

    @app.task(queue=queue, name="send")
    async def send(number: int) -> None: ...

    jobs = await send.enqueue_many([{"number": number} for number in range(many)])
    async with app.worker(queues=[queue]):
        for job in jobs:
            await job.result(timeout_s=60)


async def test_history_is_that_of_the_app(app: App, guarded: Served, access: AccessControl) -> None:
    await work(app, "mail", 5)
    viewer = await key_of(access, "viewer")

    answer = await guarded.ask(
        "GET",
        "/queues/mail/history",
        headers=viewer,
        params={"task": "send", "since_s": 3600, "step_s": 300, "buckets": True},
    )

    found = answer.json()
    here = (await app.history("mail", task="send", since=3600, step=300)).plain()
    assert (found["total"]["completed"], found["tasks"], found["step_s"]) == (5, ["send"], 300)
    assert found["written"] is True
    run = found["total"]["run"]
    assert {name: run[name] for name in here["total"]["run"]} == here["total"]["run"]
    assert sum(bucket["count"] for bucket in run["buckets"]) == 5
    assert found["since"] == found["points"][0]["at"]


async def test_history_without_buckets_and_of_a_task_that_never_ran(
    app: App, guarded: Served, access: AccessControl
) -> None:
    await work(app, "mail", 2)
    viewer = await key_of(access, "viewer")

    found = (await guarded.ask("GET", "/queues/mail/history", headers=viewer)).json()
    none = (
        await guarded.ask("GET", "/queues/mail/history", headers=viewer, params={"task": "nothing"})
    ).json()

    assert found["total"]["completed"] == 2
    assert found["total"]["wait"]["buckets"] is None
    assert none["total"]["completed"] == 0
    assert none["tasks"] == ["send"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"step_s": "90"}, "step_s"),
        ({"step_s": "0"}, "step_s"),
        ({"step_s": "60", "since_s": "2592000"}, "step_s"),
        ({"since": "2099-01-01T00:00:00Z"}, "since"),
        ({"since": "0001-01-01T00:00:00Z"}, "since"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"since_s": "3000000000"}, "since_s"),
        ({"since_s": "60", "since": "2026-01-01T00:00:00Z"}, "since_s"),
        ({"since_s": "-1"}, "since_s"),
        ({"since_s": "nan"}, "since_s"),
        ({"task": ""}, "task"),
        ({"steps": "60"}, "steps"),
    ],
)
async def test_span_that_makes_no_sense_is_named(
    app: App, guarded: Served, access: AccessControl, query: dict[str, str], field: str
) -> None:
    await app.queue("mail").add("send")
    viewer = await key_of(access, "viewer")

    answer = await guarded.ask("GET", "/queues/mail/history", headers=viewer, params=query)

    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["field"] == field
    assert error["message"].startswith((f"{field}=", f"{field}:", "unknown parameter 'steps'"))


async def test_history_of_a_queue_that_is_not_there(
    app: App, guarded: Served, access: AccessControl
) -> None:
    await app.queue("mail").add("send")
    viewer = await key_of(access, "viewer")

    answer = await guarded.ask("GET", "/queues/mial/history", headers=viewer)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "queue_not_found")


async def test_poll_of_a_history_sees_that_its_span_has_moved(
    app: App, guarded: Served, access: AccessControl
) -> None:
    await app.queue("mail").add("send")
    viewer = await key_of(access, "viewer")
    now = datetime.now(UTC)
    tags = [
        (
            await guarded.ask(
                "GET",
                "/queues/mail/history",
                headers=viewer,
                params={
                    "since": (until - timedelta(minutes=5)).isoformat(),
                    "until": until.isoformat(),
                },
            )
        ).headers["etag"]
        for until in (now - timedelta(hours=2), now - timedelta(hours=1))
    ]

    assert tags[0] != tags[1]


async def test_history_is_turned_off_and_on_and_recorded(
    app: App, guarded: Served, access: AccessControl
) -> None:
    await app.queue("mail").add("send")
    operator = await key_of(access, "operator")

    for kept in (False, True):
        answer = await guarded.ask(
            "PATCH", "/queues/mail", headers=operator, json={"history": kept, "reason": "a try"}
        )
        assert answer.json()["history"] is kept
        (entry, *_) = (await app.audit.page()).entries
        assert (entry.verb, entry.queue, entry.reason) == ("set_history", "mail", "a try")
        assert entry.actor == "key:operator"


async def test_scaling_has_the_shape_that_keda_reads(
    app: App, guarded: Served, access: AccessControl
) -> None:
    await app.queue("mail").add_many([("send", {})] * 25)
    await app.queue("other").add("send")
    viewer = await key_of(access, "viewer")

    async def ask(**query: Any) -> Any:
        return (await guarded.ask("GET", "/scaling", headers=viewer, params=query)).json()

    found = await ask(queue="mail", concurrency=10)
    assert found == (await app.scaling(["mail"], concurrency=10)).plain() | {
        "oldest_waiting_s": found["oldest_waiting_s"]
    }
    assert (found["jobs"], found["suggested_workers"]) == (25, 3)
    # A path of GJSON, `valueLocation`, leads to a number each time.
    assert all(isinstance(value, int | float) for value in found.values())
    assert (await ask())["jobs"] == 26
    assert (await ask(queue=["mail", "other"]))["jobs"] == 26
    assert (await ask(queue="nothing"))["jobs"] == 0
    refused = await guarded.ask("GET", "/scaling", headers=viewer, params={"concurrency": 0})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "concurrency")


async def test_scaling_of_a_limited_key_tells_of_its_queues_only(
    app: App, guarded: Served, access: AccessControl
) -> None:
    await app.queue("mine").add_many([("send", {})] * 3)
    await app.queue("theirs").add_many([("send", {})] * 40)
    limited = await key_of(access, "viewer", "mine*")

    async with beside(app, ["mine"], 2), beside(app, ["mine", "theirs"], 30):
        found = (await guarded.ask("GET", "/scaling", headers=limited)).json()
        assert (found["workers"], found["slots"]) == (1, 2)
        assert found["waiting"] + found["active"] <= 3
        named = await guarded.ask("GET", "/scaling", headers=limited, params={"queue": "mine"})
        assert named.json()["slots"] == 2
        other = await guarded.ask("GET", "/scaling", headers=limited, params={"queue": "theirs"})
        assert (other.status_code, other.json()["error"]["code"]) == (403, "forbidden")


def beside(app: App, queues: list[str], concurrency: int) -> Worker:
    """Return a worker that runs beside the test, and takes no jobs."""
    worker = app.worker(queues=queues, concurrency=concurrency)
    worker.pause()
    return worker


@pytest.fixture
def fast_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toril.engine.leases.BEAT_S", 0.05)


@pytest.mark.usefixtures("fast_beats")
async def test_worker_is_told_and_shows_what_it_was_told(
    app: App, guarded: Served, access: AccessControl
) -> None:
    operator = await key_of(access, "operator")
    async with app.worker(queues=["mail"], concurrency=2, lease=0.3) as worker:
        path = f"/workers/{worker.id}"

        async def tell(**body: Any) -> None:
            answer = await guarded.ask("POST", f"{path}/tell", headers=operator, json=body)
            assert (answer.status_code, answer.json()["count"]) == (200, 1), answer.text

        async def shows(**wanted: Any) -> None:
            async def is_so() -> bool:
                facts = (await guarded.ask("GET", path, headers=operator)).json()
                return wanted == {name: facts[name] for name in wanted}

            await wait_until(is_so)

        await tell(wish="resize", concurrency=7, reason="a busy day")
        await tell(wish="pause")
        await shows(concurrency=7, state="paused")
        await tell(wish="resume")
        await shows(state="working", concurrency=7)
        await tell(wish="quiet")
        await shows(state="quiet")

        entries = [one for one in (await app.audit.page()).entries if one.verb == "tell_worker"]
        assert [one.arguments["wish"] for one in entries] == ["quiet", "resume", "pause", "resize"]
        assert (entries[-1].arguments["concurrency"], entries[-1].reason) == (7, "a busy day")
        assert entries[-1].actor == "key:operator"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"wish": "dance"}, "wish"),
        ({}, "wish"),
        ({"wish": "resize"}, "concurrency"),
        ({"wish": "resize", "concurrency": 0}, "concurrency"),
        ({"wish": "resize", "concurrency": 100_001}, "concurrency"),
        ({"wish": "resize", "concurrency": "9"}, "concurrency"),
        ({"wish": "pause", "concurrency": 9}, "concurrency"),
    ],
)
async def test_wish_that_makes_no_sense_is_named(
    app: App, guarded: Served, access: AccessControl, body: dict[str, Any], field: str
) -> None:
    operator = await key_of(access, "operator")
    async with beside(app, ["mail"], 1) as worker:
        path = f"/workers/{worker.id}/tell"
        answer = await guarded.ask("POST", path, headers=operator, json=body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


async def test_limited_key_tells_workers_that_serve_its_queues_alone(
    app: App, guarded: Served, access: AccessControl
) -> None:
    limited = await key_of(access, "operator", "mine*")
    async with (
        beside(app, ["mine"], 1) as mine,
        beside(app, ["mine", "theirs"], 1) as both,
        beside(app, ["theirs"], 1) as theirs,
    ):
        answers = {
            name: await guarded.ask(
                "POST", f"/workers/{worker.id}/tell", headers=limited, json={"wish": "quiet"}
            )
            for name, worker in (("mine", mine), ("both", both), ("theirs", theirs))
        }
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "mine": 200, "both": 403, "theirs": 404,
    }  # fmt: skip
    assert "theirs" not in "".join(answer.text for answer in answers.values())


async def test_prometheus_scrapes_the_root_with_a_viewers_key(
    app: App, guarded: Served, access: AccessControl
) -> None:
    await app.queue("mail").add("send")
    await app.queue("other").add("send")
    viewer = await key_of(access, "viewer")
    limited = await key_of(access, "viewer", "other")

    answer = await guarded.http.get(f"{guarded.url}/metrics", headers=viewer)
    part = await guarded.http.get(f"{guarded.url}/metrics", headers=limited)
    one = await guarded.ask("GET", "/metrics", headers=viewer, params={"queue": "mail"})
    nobody = await guarded.http.get(f"{guarded.url}/metrics")
    wrong = await guarded.http.post(f"{guarded.url}/metrics", headers=viewer)

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert queues_in(answer.text) == {"mail", "other"}
    assert queues_in(part.text) == {"other"}
    assert queues_in(one.text) == {"mail"}
    assert (nobody.status_code, wrong.status_code) == (401, 405)
    refused = await guarded.ask("GET", "/metrics", headers=limited, params={"queue": "mail"})
    assert refused.status_code == 403


def queues_in(text: str) -> set[str]:
    """Return the queues that figures are of."""
    return {
        sample.labels["queue"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "queue" in sample.labels
    }


async def test_as_many_jobs_run_as_a_worker_was_told(
    app: App, guarded: Served, access: AccessControl
) -> None:
    release = asyncio.Event()
    running: set[int] = set()

    @app.task(queue="mail")
    async def hold(number: int) -> None:
        running.add(number)
        await release.wait()

    jobs = await hold.enqueue_many([{"number": number} for number in range(6)])
    operator = await key_of(access, "operator")
    async with app.worker(queues=["mail"], concurrency=1) as worker:
        await wait_until(lambda: len(running) == 1)
        answer = await guarded.ask(
            "POST", f"/workers/{worker.id}/tell", headers=operator,
            json={"wish": "resize", "concurrency": 4},
        )  # fmt: skip
        assert answer.status_code == 200
        await wait_until(lambda: len(running) == 4)
        release.set()
        for job in jobs:
            await job.result(timeout_s=60)
