"""`push-notification-batch`: one job for many users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.library.pushes import BATCH, PAYLOAD, QUEUE, STORES, Stand, stand
from tests.support.waiting import wait_until

from toril.library.push import PushPayload, batches
from toril.library.push.tasks import send_batch


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/toril.db"
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
async def at(url: str, tmp_path: Path) -> AsyncIterator[Stand]:
    async with stand(url, tmp_path, timeout_s=5.0, concurrency=10) as made:
        yield made


async def test_each_user_is_told_once_and_progress_rises(at: Stand) -> None:
    browsers = [(await at.user(f"u{number}"))[0] for number in range(40)]
    users = [f"u{number}" for number in range(40)] + ["nobody", "u3", "u3"]
    job = await at.add({"users": users, "payload": PAYLOAD}, BATCH)

    info = await at.ended(job)

    assert info.state == "completed"
    assert info.result == {"sent": 40, "failed": 0, "total": 40, "users": 41}
    assert [browser.messages for browser in browsers] == [[PAYLOAD]] * 40
    reported = [
        int(event.fields["data"])
        async for event in at.app.queue(QUEUE).events(after=0, until_idle=True)
        if event.name == "progress"
    ]
    assert reported == sorted(set(reported))
    assert len(reported) > 5
    assert info.progress == 100


async def test_batch_of_nobody_is_done(at: Stand) -> None:
    info = await at.ended(await at.add({"users": [], "payload": PAYLOAD}, BATCH))

    assert (info.state, info.result) == (
        "completed",
        {"sent": 0, "failed": 0, "total": 0, "users": 0},
    )


async def test_more_slots_than_one_wait_for_the_record(at: Stand) -> None:
    """With more to send than is in flight at once, what is done is stored on the way."""
    for number in range(30):
        await at.user(f"u{number}")
    hanging = (await at.user("z"))[0]
    hanging.hangs = True
    job = await at.add(
        {"users": [*(f"u{n}" for n in range(30)), "z"], "payload": PAYLOAD}, BATCH, max_attempts=1
    )

    info = await at.ended(job)

    assert info.result["sent"] == 30
    assert info.data["served"]["sent"] == 30
    assert int(info.data["served"]["users"], 16) == 2**30 - 1
    assert "subscriptions" not in info.data["served"]


async def test_retry_skips_users_and_subscriptions_that_are_done(at: Stand) -> None:
    whole = [(await at.user(f"u{number}"))[0] for number in range(20)]
    half, bad = await at.user("half", 2)
    bad.statuses = [500]
    whole[4].statuses = [503]
    job = await at.add(
        {"users": [*(f"u{n}" for n in range(20)), "half"], "payload": PAYLOAD}, BATCH
    )

    info = await at.ended(job)

    assert (info.state, info.attempts_made) == ("completed", 2)
    assert info.result == {"sent": 22, "failed": 0, "total": 22, "users": 21}
    asked = [len(browser.requests) for browser in [*whole, half, bad]]
    assert asked == [2 if place in (4, 21) else 1 for place in range(22)]
    assert all(len(browser.messages) == 1 for browser in [*whole, half, bad])


async def test_refusals_are_counted_by_their_reason(at: Stand) -> None:
    for number, status in enumerate((201, 410, 410, 403)):
        (browser,) = await at.user(f"u{number}")
        browser.status = status

    info = await at.ended(
        await at.add({"users": [f"u{n}" for n in range(4)], "payload": PAYLOAD}, BATCH)
    )

    place = f"127.0.0.1:{at.endpoint.server.port}"
    assert info.result == {
        "sent": 1,
        "failed": 3,
        "total": 4,
        "users": 4,
        "reasons": {
            f"{place} answered 410: the subscription ended": 2,
            f"{place} answered 403: the VAPID keys are not those that the browser subscribed"
            " with": 1,
        },
    }


async def test_many_users_become_jobs_of_500(at: Stand) -> None:
    browsers = [(await at.user(f"u{number}"))[0] for number in (0, 499, 500, 1199)]
    users = [f"u{number}" for number in range(1200)]
    task = at.app.bound(send_batch)

    jobs = await task.enqueue_many(batches(users, PushPayload(title="A in Team", body="hi")))

    assert len(jobs) == 3
    infos = [await at.ended(job) for job in jobs]
    assert [info.result["users"] for info in infos] == [500, 500, 200]
    assert sum(info.result["sent"] for info in infos) == 4
    assert [len(browser.messages) for browser in browsers] == [1, 1, 1, 1]


async def test_job_of_too_many_users_becomes_several(at: Stand) -> None:
    """Another program need not know how many fit."""
    browsers = [(await at.user(f"u{number}"))[0] for number in (0, 499, 500, 1199)]
    payload = {**PAYLOAD, "vibrate": [1]}
    job = await at.add({"users": [f"u{n}" for n in range(1200)], "payload": payload}, BATCH)

    info = await at.ended(job)
    working = asyncio.create_task((worker := at.app.worker(queues=[QUEUE])).run())

    async def all_told() -> bool:
        counts = await at.app.queue(QUEUE).info()
        return counts is not None and counts.completed == 4

    await wait_until(all_told)
    worker.stop()
    await working

    assert info.result == {"sent": 0, "failed": 0, "total": 0, "users": 1200, "jobs": 3}
    assert [browser.messages for browser in browsers] == [[payload]] * 4


async def test_attempt_without_time_goes_on_in_another_that_counts_as_the_same(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its 600 s all but the first half of one are kept: for requests of 30 s, and its end."""
    monkeypatch.setattr("toril.library.push.sending.MARGIN_S", 569.5)
    async with stand(url, tmp_path, timeout_s=30.0, concurrency=10) as at:
        browsers = [(await at.user(f"u{number}"))[0] for number in range(30)]
        for browser in browsers[:10]:
            browser.delay_s = 0.9
        job = await at.add({"users": [f"u{n}" for n in range(30)], "payload": PAYLOAD}, BATCH)

        info = await at.ended(job)

    assert info.state == "completed"
    assert info.result["sent"] == 30
    assert info.attempts_made == 1
    assert [len(browser.messages) for browser in browsers] == [1] * 30


def test_batches_have_each_user_once() -> None:
    found = batches(["a", "b", "a", "c"], PushPayload(title="t", body="b"), size=2)

    assert [each["users"] for each in found] == [["a", "b"], ["c"]]
    assert batches([], PushPayload(title="t", body="b")) == []
