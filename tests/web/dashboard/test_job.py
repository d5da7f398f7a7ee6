"""The pages of one job: what they show, what they do, and what they hide."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.web.dashboard.support import Site, said, site
from tests.web.dashboard.test_frame import enter, guarded

from toril import App, Context, JobOptions, RetryPolicy, State
from toril.web.dashboard.tracebacks import parts_of
from toril.web.dashboard.values import SHOWN_BYTES


@pytest.fixture
def app(app: App) -> App:
    @app.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=0.0))
    async def send(ctx: Context, to: str) -> str:
        ctx.log(f"to {to}")
        if to.startswith("bad"):
            raise ValueError(f"no such mailbox: {to}")
        return f"sent to {to}"

    return app


async def ran(app: App, **payload: Any) -> str:
    job = await app.find_task("send").enqueue(**payload)
    await app.worker().run(until_idle=True)
    return job.id


def at(job_id: str, more: str = "") -> str:
    return f"/queues/mail/jobs/{job_id}{more}"


async def test_failed_job_says_why_and_shows_each_attempt(pages: Site, app: App) -> None:
    job_id = await ran(app, to="bad@example.com")

    found = await pages.read(at(job_id))

    assert "Why it is here It failed at" in found.text
    assert "2 of 2 tries" in found.text
    assert "#1 failed, to be tried again" in found.text
    assert "#2 failed for good" in found.text
    assert "no such mailbox: bad@example.com" in found.text
    assert "Traceback (most recent call last):" in found.text
    assert '"to": "bad@example.com"' in found.text
    assert found.text.count("to bad@example.com") >= 2, "a line of the log for each attempt"
    anchors = {each["href"] for each in found.all("a") if (each["href"] or "").startswith("#att")}
    assert anchors == {"#attempt-1", "#attempt-2"}
    for anchor in anchors:
        assert found.all("details", id=(anchor or "")[1:])


async def test_completed_job_shows_its_result(pages: Site, app: App) -> None:
    job_id = await ran(app, to="jo@example.com")

    found = await pages.read(at(job_id))

    assert "Result 24 B" in found.text
    assert '"sent to jo@example.com"' in found.text
    assert "It ended without an error." in found.text


async def test_waiting_and_delayed_jobs_can_be_cancelled_run_now_and_changed(
    pages: Site, app: App
) -> None:
    send = app.find_task("send")
    waiting = await send.enqueue(to="jo@example.com")
    delayed = await send.with_options(delay=3600).enqueue(to="flo@example.com")

    found = await pages.read(at(waiting.id))
    assert "None has ended yet." in found.text
    assert "Retry" not in found.text
    found = await pages.act("promote_job", queue="mail", job_id=delayed.id)
    assert f"Job {delayed.id} is ready to run now." in found.text
    await pages.act("cancel_job", queue="mail", job_id=waiting.id, reason="a mistake")
    found = await pages.read(at(waiting.id))
    assert "a mistake" in found.text


async def test_job_that_ended_is_retried_with_other_data(pages: Site, app: App) -> None:
    job_id = await ran(app, to="bad@example.com")
    form = await pages.read(at(job_id, "/edit"))
    assert "Change and retry" in form.text

    data = json.dumps({"to": "jo@example.com"})
    answer = await pages.post(at(job_id, "/edit"), {"do": "change", "data": data, "reason": "typo"})

    assert answer.status_code == 303
    assert answer.headers["location"].endswith(at(job_id))
    await app.worker().run(until_idle=True)
    info = await app.queue("mail").job(job_id).info()
    assert (info.state, info.result) == (State.COMPLETED, "sent to jo@example.com")


async def test_job_is_added_again_as_a_new_one(pages: Site, app: App) -> None:
    job_id = await ran(app, to="bad@example.com")

    answer = await pages.post(at(job_id, "/edit"), {"do": "add", "data": '{"to": "x@y.z"}'})

    new_id = answer.headers["location"].rpartition("/")[2]
    assert new_id != job_id
    assert (await app.queue("mail").job(new_id).info()).data == {"to": "x@y.z"}
    assert (await app.queue("mail").job(job_id).info()).state is State.FAILED


async def test_waiting_job_is_changed_where_it_is(pages: Site, app: App) -> None:
    job = await app.find_task("send").enqueue(to="a@b.c")

    await pages.post(
        at(job.id, "/edit"), {"do": "change", "data": '{"to": "d@e.f"}', "priority": "7"}
    )

    info = await job.info()
    assert (info.data, info.priority, info.state) == ({"to": "d@e.f"}, 7, State.PRIORITIZED)


@pytest.mark.parametrize("data", ["{", '{"nobody": 1}'])
async def test_data_that_makes_no_sense_is_shown_again_with_the_reason(
    pages: Site, app: App, data: str
) -> None:
    job_id = await ran(app, to="bad@example.com")

    answer = await pages.post(at(job_id, "/edit"), {"do": "add", "data": data})

    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert data.replace('"', "&#34;") in answer.text


async def test_hidden_data_cannot_be_stored_in_its_place(pages: Site, app: App) -> None:
    job = await app.queue("other").add("pay", {"password": "hunter2"}, JobOptions(job_id="p-1"))

    found = await pages.read(f"/queues/other/jobs/{job.id}")
    assert "hunter2" not in found.text
    answer = await pages.get(f"/queues/other/jobs/{job.id}/edit")
    assert answer.status_code == 422
    assert "parts of the data of job 'p-1' are hidden" in said(answer.text)
    answer = await pages.post(
        f"/queues/other/jobs/{job.id}/edit", {"do": "change", "data": '{"password": "new"}'}
    )
    assert answer.status_code == 303, "all of it was sent"


async def test_removed_job_is_gone(pages: Site, app: App) -> None:
    job_id = await ran(app, to="jo@example.com")

    await pages.act("remove_job", queue="mail", job_id=job_id)

    assert (await pages.get(at(job_id))).status_code == 404


async def test_events_and_raw_record(pages: Site, app: App) -> None:
    job_id = await ran(app, to="jo@example.com")

    events = await pages.read(at(job_id, "/events"))
    assert [word for word in ("added", "active", "completed") if word not in events.text] == []
    raw = await pages.read(at(job_id, "/raw"))
    assert f'"id": "{job_id}"' in raw.text
    assert '"state": "completed"' in raw.text


async def test_large_data_is_cut_and_can_be_opened(pages: Site, app: App) -> None:
    job = await app.queue("large").add("big", {"text": "x" * 100_000})

    answer = await pages.get(f"/queues/large/jobs/{job.id}")

    assert len(answer.text) < SHOWN_BYTES + 40_000
    assert "The first 65.5 kB are shown." in answer.text
    whole = await pages.get(f"/api/v1/queues/large/jobs/{job.id}/data")
    assert whole.json()["value"] == {"text": "x" * 100_000}
    assert f"/api/v1/queues/large/jobs/{job.id}/data" in answer.text


async def test_what_strangers_wrote_is_text(pages: Site, app: App) -> None:
    evil = "<script>alert(1)</script>\u202e\x1b[31m"
    job = await app.queue("evil").add("<b>name</b>", {evil: evil, "digits": 10**400})
    await job.add_log(evil)

    answer = await pages.get(f"/queues/evil/jobs/{job.id}")

    assert "<script>alert" not in answer.text
    assert "<b>name" not in answer.text
    assert "\u202e" not in answer.text
    assert "\x1b" not in answer.text
    assert "1" + "0" * 400 in answer.text


async def test_log_has_pages(pages: Site, app: App) -> None:
    job = await app.queue("long").add("talk", {})
    for number in range(205):
        await job.add_log(f"line {number};")

    found = await pages.read(f"/queues/long/jobs/{job.id}")
    assert "line 199;" in found.text
    assert "line 200;" not in found.text
    (next_page,) = [each for each in found.all("a") if each.get("rel") == "next"]
    answer = await pages.http.get(f"{pages.base}{next_page['href']}")
    assert "line 204;" in answer.text
    assert 'start="201"' in answer.text


async def test_who_may_not_see_payloads_sees_none(app: App) -> None:
    job_id = await ran(app, to="bad@example.com")
    access = await guarded(app)
    await access.users.add("blind", "blind has a password", role="viewer", payloads=False)
    async with site(app, access=access) as pages:
        await enter(pages, "blind")
        found = await pages.read(at(job_id))

    assert "are not shown to you" in found.text
    assert "bad@example.com" not in found.text
    assert "Retry" not in found.text


async def test_running_job_has_an_open_end(pages: Site, app: App) -> None:
    await app.queue("own").add("crawl", {})
    async with app.claims("own") as claims:
        job = await claims.claim(wait=60)
        assert job is not None
        found = await pages.read(f"/queues/own/jobs/{job.id}")
        await job.complete()

    assert "running" in found.text
    assert "Remove the job" not in found.text
    assert "Cancel the job" in found.text


def test_frames_of_libraries_are_folded() -> None:
    text = "\n".join(
        [
            "Traceback (most recent call last):",
            '  File "/usr/lib/python3.11/asyncio/tasks.py", line 1, in wait_for',
            "    return await fut",
            '  File "/venv/lib/python3.11/site-packages/toril/engine/running.py", line 2, in run',
            "    await call()",
            '  File "/srv/shop/mail.py", line 41, in send',
            "    raise SmtpError(code)",
            "SmtpError: 550",
        ]
    )

    parts = parts_of(text)

    assert [(part.own, part.frames, len(part.lines)) for part in parts] == [
        (True, 0, 1),
        (False, 2, 4),
        (True, 1, 2),
        (True, 0, 1),
    ]
    assert "\n".join(line for part in parts for line in part.lines) == text


def test_frames_of_node_are_known() -> None:
    text = (
        "Error: boom\n    at send (/srv/app/mail.js:3:9)\n"
        "    at Worker.run (/srv/app/node_modules/bullmq/dist/worker.js:1:2)"
    )

    assert [(part.own, part.frames) for part in parts_of(text)] == [
        (True, 0),
        (True, 1),
        (False, 1),
    ]
