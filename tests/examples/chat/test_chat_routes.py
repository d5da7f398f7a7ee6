"""The chat's routes as pages and programs call them, in its own forms and in published ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.examples.chat.deployment import FILES, MAIL, PUSH, Deployment, deployed
from tests.examples.chat.test_chat import magick
from tests.support.waiting import wait_until

from toril import App, JobOptions
from toril.core.codec import Json


async def test_browser_subscribes_with_the_public_key_and_leaves(
    chat: Deployment, app: App
) -> None:
    """CH-17, R-28: what is deleted gets nothing more."""
    a, b = await chat.sign_up("A"), await chat.sign_up("B")
    stays, leaves = await chat.browser(b), await chat.browser(b)
    room = await chat.room(a, b)

    async with chat.http(b) as http:
        key = await http.get("/api/push/public-key")
        body = {"endpoint": leaves.endpoint}
        removed = await http.request("DELETE", "/api/push/subscriptions", json=body)
    message = (await chat.post(a, room, "who is there?")).json()["message"]["id"]
    done = await chat.job(app, PUSH, f"{message}-{b.id}")

    assert key.json() == {"publicKey": chat.endpoint.keys.public_key}
    assert removed.status_code == 204
    assert done.result == {"sent": 1, "failed": 0, "total": 1}
    assert (len(stays.requests), len(leaves.requests)) == (1, 0)


async def test_published_pages_subscribe_by_their_own_paths(chat: Deployment, app: App) -> None:
    """R-43, R-45."""
    user = await chat.sign_up()
    browser = chat.endpoint.browser()
    async with chat.http(user) as http:
        key = await http.get("/api/push/vapid-public-key")
        added = await http.post("/api/push/subscribe", json={"subscription": browser.json})
    payload: Json = {"userId": user.id, "payload": {"title": "t", "body": "b"}}
    job = await app.queue(PUSH).add("push-notification", payload)

    assert key.json() == {"publicKey": chat.endpoint.keys.public_key}
    assert (added.status_code, added.json()) == (200, {"success": True})
    assert (await chat.job(app, PUSH, job.id)).result == {"sent": 1, "failed": 0, "total": 1}


async def test_published_pages_upload_by_forms(chat: Deployment, app: App, tmp_path: Path) -> None:
    """R-45: the answers have the published members beside ours."""
    user = await chat.sign_up()
    path = tmp_path / "me.png"
    await asyncio.to_thread(magick, "-size", "120x90", "plasma:", path)
    file = ("holiday at sea.png", path.read_bytes(), "image/png")

    async with chat.http(user) as http:
        picture = await http.post("/api/upload", files={"file": file})
        avatar = await http.post("/api/users/avatar", files={"avatar": file})

    facts, mine = picture.json(), avatar.json()
    assert (picture.status_code, avatar.status_code) == (201, 201)
    assert facts == {
        "fileId": facts["fileId"], "url": f"/uploads/{facts['fileId']}", "fileType": "image/png",
        "fileName": "holiday at sea.png", "fileSize": len(file[1]),
        "processing": {"jobId": facts["processing"]["jobId"], "status": "queued"},
    }  # fmt: skip
    assert mine["avatar"] == mine["url"]
    assert mine["message"]
    done = await chat.job(app, FILES, facts["processing"]["jobId"])
    small = await chat.job(app, FILES, mine["processing"]["jobId"])
    assert (done.name, done.state) == ("process-image", "completed")
    assert (small.name, small.state) == ("optimize-avatar", "completed")


@pytest.mark.parametrize(
    ("path", "most"), [("/api/upload", 10_000_000), ("/api/users/avatar", 5_000_000)]
)
async def test_file_that_is_too_large_is_refused(chat: Deployment, path: str, most: int) -> None:
    user = await chat.sign_up()
    async with chat.http(user) as http:
        plain = await http.post(path, content=b"x" * (most + 1))
        form = await http.post(path, files={"file": b"x" * (most + 1)})

    assert [one.status_code for one in (plain, form)] == [413, 413]
    assert f"{most:,} bytes" in form.json()["error"]["message"]


async def test_program_posts_for_a_user_with_a_submitters_key(chat: Deployment) -> None:
    """R-2."""
    a, b = await chat.sign_up("A"), await chat.sign_up("B")
    room = await chat.room(a, b)
    body = {"roomId": room, "content": "by a program"}
    async with chat.http() as http:
        made = await http.post("/api/toril/keys", json={"name": "bot", "role": "submitter"})
        key = {"authorization": f"Bearer {made.json()['key']}"}
        good = await http.post("/api/messages", json=body, headers={**key, "X-User-Id": a.id})
        nobody = await http.post("/api/messages", json=body, headers=key)
        admin = await http.post("/api/messages", json=body, headers={"X-User-Id": b.id})

    assert (good.status_code, good.json()["message"]["senderId"]) == (200, a.id)
    assert (admin.status_code, admin.json()["message"]["senderId"]) == (200, b.id)
    assert nobody.status_code == 403
    assert "X-User-Id" in nobody.json()["error"]["message"]


async def test_messages_are_answered_while_every_push_service_hangs(
    chat: Deployment, app: App
) -> None:
    """CH-1, CH-32: a route adds jobs and waits for none. `make bench-chat` says how fast."""
    users = [await chat.sign_up(f"user {number}") for number in range(20)]
    browsers = [await chat.browser(user) for user in users[1:]]
    for browser in browsers:
        browser.hangs = True
    room = await chat.room(users[0], *users[1:])

    answers = [await chat.post(users[0], room, f"message {number}") for number in range(3)]
    told = sum(len(one.received) for one in browsers)
    for browser in browsers:
        browser.hangs = False

    assert [one.status_code for one in answers] == [200, 200, 200]
    assert told == 0
    await wait_until(
        lambda: all(len(one.received) == 3 for one in browsers), deadline_s=120, what="all pushes"
    )


@pytest.mark.parametrize(
    ("status", "stays"), [(404, False), (410, False), (400, True), (401, True), (413, True)]
)
async def test_refusal_for_good_counts_as_failed_and_is_not_tried_again(
    chat: Deployment, app: App, status: int, stays: bool
) -> None:
    """CH-12, CH-13, R-26: without a success the job is completed, with `sent` 0."""
    user = await chat.sign_up()
    browser = await chat.browser(user)
    browser.status = status

    done = await tell(chat, app, user.id)
    browser.status = 201
    after = await tell(chat, app, user.id)

    assert done == {"sent": 0, "failed": 1, "total": 1, "attempts": 1, "state": "completed"}
    assert after["total"] == (1 if stays else 0)
    assert len(browser.requests) == (2 if stays else 1)


async def test_push_service_that_is_busy_is_asked_when_it_said(chat: Deployment, app: App) -> None:
    """CH-13: a 429 and its `Retry-After` cost a wait, not a second message to the others."""
    user = await chat.sign_up()
    busy, other = await chat.browser(user), await chat.browser(user)
    busy.statuses, busy.headers = [429], {"retry-after": "3"}

    job = await app.queue(PUSH).add("push-notification", push_for(user.id))
    done = await chat.job(app, PUSH, job.id)

    assert done.result == {"sent": 2, "failed": 0, "total": 2}
    assert done.processed_at is not None
    assert (done.processed_at - done.attempts[0].ended_at).total_seconds() >= 2.99
    assert (len(busy.received), len(other.requests)) == (1, 1)


async def test_push_service_that_never_works_fails_the_job_at_last(
    chat: Deployment, app: App
) -> None:
    """R-26, CH-44: three attempts; then it is among the failed ones, and may be retried."""
    user = await chat.sign_up()
    browser = await chat.browser(user)
    browser.status = 503
    job = await app.queue(PUSH).add("push-notification", push_for(user.id))

    failed = await chat.job(app, PUSH, job.id)
    listed = [one.id for one in (await app.queue(PUSH).jobs("failed", limit=1000)).jobs]
    browser.status = 201
    await job.retry()
    await wait_until(lambda: browser.received, what="the push")
    done = await chat.job(app, PUSH, job.id)

    assert (failed.state, failed.attempts_made) == ("failed", 3)
    assert "503" in str(failed.failed_reason)
    assert job.id in listed
    assert (done.state, done.result["sent"]) == ("completed", 1)


async def test_delayed_push_waits_for_its_time(chat: Deployment, app: App) -> None:
    """CH-3, CH-29."""
    user = await chat.sign_up()
    await chat.browser(user)

    job = await app.queue(PUSH).add("push-notification", push_for(user.id), JobOptions(delay_s=1.5))
    state = await job.state()
    done = await chat.job(app, PUSH, job.id)

    assert state == "delayed"
    assert done.processed_at is not None
    assert (done.processed_at - done.created_at).total_seconds() >= 1.49


def push_for(user_id: str) -> Json:
    """Return the payload of a push."""
    return {"userId": user_id, "payload": {"title": "t", "body": "b"}}


async def tell(chat: Deployment, app: App, user_id: str) -> dict[str, object]:
    """Send a push, and return what became of it."""
    job = await app.queue(PUSH).add("push-notification", push_for(user_id))
    done = await chat.job(app, PUSH, job.id)
    result = {name: value for name, value in done.result.items() if name != "reasons"}
    return {**result, "attempts": done.attempts_started, "state": str(done.state)}


@pytest.fixture
def paced(tmp_path: Path) -> Iterator[Deployment]:
    """A chat where a user posts twice an hour, with its board elsewhere."""
    with deployed(tmp_path, "sqlite") as made:
        made.environment |= {"MESSAGE_RATE": "2/h", "BOARD_PATH": "/ops/jobs"}
        made.start_api()
        yield made


async def test_messages_have_a_pace_if_one_is_set(paced: Deployment) -> None:
    """R-45: published chats take 20 a minute."""
    a, b = await paced.sign_up("A"), await paced.sign_up("B")
    room = await paced.room(a, b)

    answers = [await paced.post(a, room, "again") for _ in range(3)]
    other = await paced.post(b, room, "me too")

    assert [one.status_code for one in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    assert other.status_code == 200


async def test_board_is_where_its_setting_says(paced: Deployment) -> None:
    """CH-50."""
    async with paced.http() as http:
        board = await http.get("/ops/jobs/queues")
        elsewhere = await http.get("/admin/queues/queues")

    assert (board.status_code, elsewhere.status_code) == (200, 404)
    assert "text/html" in board.headers["content-type"]


async def test_metrics_have_all_three_queues(chat: Deployment, app: App) -> None:
    """CR-18, in Prometheus's text."""
    user = await chat.sign_up()
    await chat.upload(user, b"no picture", "image/png")
    await tell(chat, app, user.id)
    async with chat.http() as http:
        answer = await http.get("/api/toril/metrics")

    assert answer.status_code == 200
    assert {f'queue="{name}"' in answer.text for name in (PUSH, FILES, MAIL)} == {True}
