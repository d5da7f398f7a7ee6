"""`push-notification`: who is told, what is tried again, and what comes back."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.library.pushes import PAYLOAD, STORES, Stand, stand

from toril import InvalidPayloadError
from toril.library.push import PushPayload
from toril.library.push.tasks import send


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/toril.db"
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
async def at(url: str, tmp_path: Path) -> AsyncIterator[Stand]:
    async with stand(url, tmp_path, timeout_s=5.0) as made:
        yield made


async def test_all_browsers_of_the_user_are_told_and_no_others(at: Stand) -> None:
    mine, others = await at.user("b", 3), await at.user("c", 1)

    info = await at.ended(await at.send("b"))

    assert (info.state, info.result) == ("completed", {"sent": 3, "failed": 0, "total": 3})
    assert [browser.messages for browser in mine] == [[PAYLOAD]] * 3
    assert others[0].messages == []


async def test_user_without_subscriptions_is_nobody_to_tell(at: Stand) -> None:
    info = await at.ended(await at.send("nobody"))

    assert (info.state, info.result) == ("completed", {"sent": 0, "failed": 0, "total": 0})


async def test_job_that_goes_well_writes_nothing_into_its_payload(at: Stand) -> None:
    """Each write would be one more transition of the store."""
    await at.user("b", 5)

    info = await at.ended(await at.send("b"))

    assert info.data == {"userId": "b", "payload": PAYLOAD}


@pytest.mark.parametrize("status", [404, 410])
async def test_subscription_that_has_ended_is_removed(
    at: Stand, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    good, gone = await at.user("b", 2)
    gone.status = status

    with caplog.at_level(logging.INFO, "toril.push"):
        info = await at.ended(await at.send("b"))

    assert info.state == "completed"
    assert info.attempts_made == 1
    assert {key: info.result[key] for key in ("sent", "failed", "total")} == {
        "sent": 1,
        "failed": 1,
        "total": 2,
    }
    ((reason, count),) = info.result["reasons"].items()
    assert f"answered {status}" in reason
    assert count == 1
    assert [one.endpoint for one in await at.store.of_user("b")] == [good.endpoint]
    assert "was removed" in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 413])
async def test_refusal_for_good_is_not_tried_again_and_stays_subscribed(
    at: Stand, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    (browser,) = await at.user("b")
    browser.status = status

    info = await at.ended(await at.send("b"))

    assert (info.state, info.attempts_made) == ("completed", 1)
    assert (info.result["sent"], info.result["failed"], info.result["total"]) == (0, 1, 1)
    assert len(browser.requests) == 1
    assert len(await at.store.of_user("b")) == 1
    assert f"answered {status}" in caplog.text


async def test_retry_tells_only_those_that_were_not_told(at: Stand) -> None:
    first, second, third = await at.user("b", 3)
    second.statuses = [500, 503]
    third.status = 403

    info = await at.ended(await at.send("b"))

    assert (info.state, info.attempts_made) == ("completed", 3)
    assert (info.result["sent"], info.result["failed"], info.result["total"]) == (2, 1, 3)
    assert [len(browser.requests) for browser in (first, second, third)] == [1, 3, 1]
    assert [len(browser.messages) for browser in (first, second, third)] == [1, 1, 0]


async def test_without_a_success_temporary_trouble_fails_the_job(at: Stand) -> None:
    (browser,) = await at.user("b")
    browser.status = 500

    info = await at.ended(await at.send("b"))

    assert (info.state, info.attempts_made) == ("failed", 3)
    assert info.failed_reason == (
        f"PushLaterError: 127.0.0.1:{at.endpoint.server.port} answered 500"
    )
    assert len(browser.requests) == 3


async def test_with_a_success_temporary_trouble_is_a_result_in_the_end(at: Stand) -> None:
    good, bad = await at.user("b", 2)
    bad.status = 503

    info = await at.ended(await at.send("b"))

    assert (info.state, info.attempts_made) == ("completed", 3)
    assert (info.result["sent"], info.result["failed"], info.result["total"]) == (1, 1, 2)
    assert [*info.result["reasons"].values()] == [1]
    assert (len(good.requests), len(bad.requests)) == (1, 3)


async def test_job_retried_by_a_person_tells_only_the_others(at: Stand) -> None:
    refused, bad = await at.user("b", 2)
    refused.status, bad.status = 403, 500
    job = await at.send("b")
    assert (await at.ended(job)).state == "failed"
    bad.status = 201

    await job.retry()
    info = await at.ended(job)

    assert info.state == "completed"
    assert (info.result["sent"], info.result["failed"], info.result["total"]) == (1, 1, 2)
    assert len(refused.requests) == 1


async def test_push_service_is_asked_again_when_it_said(at: Stand) -> None:
    (browser,) = await at.user("b")
    browser.statuses, browser.headers = [429], {"Retry-After": "1"}
    began = time.monotonic()

    info = await at.ended(await at.send("b"))

    assert (info.state, info.attempts_made) == ("completed", 2)
    assert time.monotonic() - began >= 1.0
    assert info.result == {"sent": 1, "failed": 0, "total": 1}


async def test_wait_that_is_longer_than_the_message_lives_is_cut(url: str, tmp_path: Path) -> None:
    async with stand(url, tmp_path, ttl_s=1) as at:
        (browser,) = await at.user("b")
        browser.statuses, browser.headers = [429], {"Retry-After": "86400"}

        info = await at.ended(await at.send("b"))

    assert info.state == "completed"


async def test_one_of_five_that_hangs_holds_nobody_up(at: Stand) -> None:
    browsers = await at.user("b", 5)
    browsers[2].hangs = True
    job = await at.send("b", max_attempts=2)

    info = await at.ended(job)

    assert (info.state, info.attempts_made) == ("completed", 2)
    assert (info.result["sent"], info.result["failed"], info.result["total"]) == (4, 1, 5)
    assert [len(browser.requests) for browser in browsers] == [1, 1, 2, 1, 1]
    assert "no answer within 5 s" in next(iter(info.result["reasons"]))


async def test_malformed_key_costs_its_own_subscription_only(at: Stand) -> None:
    (good,) = await at.user("b")
    broken = replace(at.endpoint.browser().subscription, p256dh="AAAA")
    await at.store.add("b", broken)

    info = await at.ended(await at.send("b"))

    assert (info.state, info.attempts_made) == ("completed", 1)
    assert (info.result["sent"], info.result["failed"], info.result["total"]) == (1, 1, 2)
    assert "keys.p256dh" in next(iter(info.result["reasons"]))
    assert [one.endpoint for one in await at.store.of_user("b")] == [good.endpoint]


async def test_members_of_the_wild_are_forwarded(at: Stand) -> None:
    """What Node's producers send, read from the store: nothing of it is lost."""
    (browser,) = await at.user("u1")
    payload = {
        "title": "A in Team",
        "body": "hi",
        "data": {"roomId": "r1", "type": "text"},
        "vibrate": [100, 50],
        "url": None,
    }
    job = await at.add({"userId": "u1", "payload": payload, "trace": 1})

    info = await at.ended(job)

    assert info.state == "completed"
    del payload["url"]
    assert browser.messages == [payload]


async def test_further_members_of_a_call_go_beside_those_of_the_payload(at: Stand) -> None:
    (browser,) = await at.user("b")
    task = at.app.bound(send)

    job = await task.enqueue("b", PushPayload(title="T", body="B"), {"lang": "de", "title": "X"})
    info = await at.ended(job)

    assert info.state == "completed"
    assert browser.messages == [{"title": "T", "body": "B", "lang": "de"}]


async def test_long_body_is_cut_and_arrives_whole_otherwise(at: Stand) -> None:
    (browser,) = await at.user("b")
    body = "😀é" * 5000
    job = await at.add({"userId": "b", "payload": {"title": "T", "body": body, "url": "/chat/1"}})

    info = await at.ended(job)

    assert info.state == "completed"
    (message,) = browser.messages
    assert body.startswith(message["body"])
    assert (message["title"], message["url"]) == ("T", "/chat/1")
    assert 3985 <= len(browser.received[0]) <= 3993


async def test_message_that_never_fits_fails_at_once(at: Stand) -> None:
    await at.user("b")
    job = await at.add({"userId": "b", "payload": {"title": "t" * 4000, "body": "b"}})

    info = await at.ended(job)

    assert (info.state, info.attempts_made) == ("failed", 1)
    assert "bytes without its body; push services take 3993" in info.failed_reason


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"body": "b"}, "title"),
        ({"title": 5, "body": "b"}, "payload.title"),
        ({"title": "t", "body": "b", "url": 1}, "payload.url"),
    ],
)
async def test_bad_payload_is_failed_once_and_kept(
    at: Stand, payload: dict[str, object], field: str
) -> None:
    data = {"userId": "b", "payload": payload}
    job = await at.add(data)

    info = await at.ended(job)

    assert (info.state, info.attempts_made, info.data) == ("failed", 1, data)
    assert field in info.failed_reason


async def test_calls_of_our_own_are_checked_at_the_door(at: Stand) -> None:
    task = at.app.bound(send)

    with pytest.raises(InvalidPayloadError, match=r"payload\.title"):
        await task.enqueue(user_id="b", payload=PushPayload(title=5, body="b"))  # type: ignore[arg-type]
    with pytest.raises(InvalidPayloadError, match="titel"):
        await task.enqueue(user_id="b", payload={"titel": "t", "body": "b"})  # type: ignore[arg-type]


async def test_database_that_is_away_is_waited_for(at: Stand, tmp_path: Path) -> None:
    (browser,) = await at.user("b")
    await at.store.close()
    (tmp_path / "push.db").rename(tmp_path / "away.db")
    (tmp_path / "push.db").mkdir()
    job = await at.send("b")
    assert (await at.ended(job)).state == "failed"
    (tmp_path / "push.db").rmdir()
    (tmp_path / "away.db").rename(tmp_path / "push.db")

    await job.retry()
    info = await at.ended(job)

    assert info.state == "completed"
    assert len(browser.messages) == 1


@pytest.mark.parametrize("served", [{"users": "zz"}, {"users": "-1"}, {}, None])
async def test_record_that_says_nothing_counts_as_none(at: Stand, served: object) -> None:
    await at.user("b")
    job = await at.add({"userId": "b", "payload": PAYLOAD, "served": served})

    info = await at.ended(job)

    assert (info.state, info.result) == ("completed", {"sent": 1, "failed": 0, "total": 1})


@pytest.mark.parametrize("served", ["x", 5, {"sent": "x"}])
async def test_record_that_is_none_fails_once(at: Stand, served: object) -> None:
    await at.user("b")
    job = await at.add({"userId": "b", "payload": PAYLOAD, "served": served})

    info = await at.ended(job)

    assert (info.state, info.attempts_made) == ("failed", 1)
    assert "served" in info.failed_reason
