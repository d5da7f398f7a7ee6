"""The walk-through of the typed queues, on both stores."""

from __future__ import annotations

import asyncio
import collections
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from tests.examples.typed_queues.conftest import Start
from tests.examples.typed_queues.system import ROOT, System, ended
from tests.support.ffmpeg import probed
from tests.support.smtp_server import Inbox
from tests.support.waiting import wait_until

from toril import App, JobOptions, KeepPolicy, State

RECOVERY_S = 60.0
"""Within which a heavy job is taken up again after its worker was killed."""


async def test_task_waits_for_a_worker_and_the_mail_arrives(
    start: Start, app: App, inbox: Inbox
) -> None:
    """Steps 1 to 3."""
    system = await start(SMTP_URL=inbox.url)
    task = {"userId": "u1", "email": "ann@example.com"}

    answer = await system.ask("POST", "/tasks", task)

    assert (answer.status_code, answer.json()) == (201, {"queued": True})
    (job,) = (await app.queue("example").jobs(State.WAIT)).jobs
    assert job.name == "process"
    assert job.data == {
        "userId": "u1", "action": "send-email", "data": {"email": "ann@example.com"}, "orgId": None,
    }  # fmt: skip
    doctor = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "toril", "doctor", "--url", system.store],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "queue example: jobs in line: 1, and no worker serves the queue" in doctor.stdout
    result = asyncio.create_task(app.queue("example").job(job.id).result(timeout_s=120))
    await system.worker("light")
    done = await result
    assert done["success"] is True
    assert done["processedAt"].startswith("20")
    assert "ann@example.com" in done["message"]
    await wait_until(lambda: inbox.mails, what="the mail")
    assert inbox.to == [["ann@example.com"]]
    assert "Welcome" in str(inbox.mails[0]["subject"])
    for body, field in (
        ({"userId": "u1"}, "email"),
        ({"email": "a@example.com"}, "userId"),
        ({"userId": 1, "email": "a@example.com"}, "userId"),
    ):
        refused = await system.ask("POST", "/tasks", body)
        assert refused.status_code == 422
        assert refused.json()["error"]["field"] == field
    info = await app.queue("example").info()
    assert info is not None
    assert (info.waiting, info.active, info.failed) == (0, 0, 0)
    assert (await system.ask("POST", "/tasks", task, key=None)).status_code == 401


async def test_heavy_worker_lists_what_it_serves(start: Start) -> None:
    """Step 6, and the figures of a running worker."""
    system = await start()
    _, log = await system.worker("heavy")
    _, light = await system.worker("light")
    _, medium = await system.worker("medium")

    said = [line.partition("toril.worker ")[2] for line in log.read_text().splitlines()]
    heavy = "concurrency 1, lock 3600000 ms, stalled check 300000 ms"
    assert sorted(line for line in said if " serves " in line) == [
        f"CourseBuilderProcessor serves course-orchestrator: {heavy}",
        f"HeavyProcessor serves heavy-processing: {heavy}",
        f"VideoProcessor serves process-video: {heavy}",
    ]
    figures = "stalled check 30000 ms"
    text = light.read_text()
    for line in (
        f"ExampleProcessor serves example: concurrency 5, lock 60000 ms, {figures}",
        f"MyFeatureProcessor serves my-feature: concurrency 5, lock 60000 ms, {figures}",
        f"NotificationProcessor serves notifications: concurrency 50, lock 30000 ms, {figures}",
        f"EmailProcessor serves email: concurrency 50, lock 30000 ms, {figures}",
        "serves attachments-sweep: concurrency 1, lock 120000 ms",
    ):
        assert line in text, line
    assert text.count(" serves ") == 5
    assert f"serves generate-pdf: concurrency 10, lock 300000 ms, {figures}" in medium.read_text()
    workers = (await system.ask("GET", "/api/toril/workers")).json()
    shown = {queue: one["concurrency"] for one in workers["items"] for queue in one["queues"]}
    assert shown == {
        "example": 5, "my-feature": 5, "notifications": 50, "email": 50, "attachments-sweep": 1,
        "generate-pdf": 10, "course-orchestrator": 1, "process-video": 1, "heavy-processing": 1,
    }  # fmt: skip


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("word", "hint"), [("hevy", "did you mean 'heavy'?"), ("all-", "'all'?")])
async def test_wrong_worker_type_stops_the_start(start: Start, word: str, hint: str) -> None:
    """Step 7."""
    system = await start()
    process, log = system.run("worker", {"WORKER_TYPE": word})

    assert await system.exit_code(process) == 1
    said = log.read_text()
    assert hint in said
    assert "light, medium, heavy" in said
    assert "Traceback" not in said


async def test_course_is_a_flow_over_workers_of_two_types(start: Start, app: App) -> None:
    """Step 8, and the observable end: all queues are empty but for the course."""
    system = await start("light")
    await system.video("v1")
    await system.video("v2")
    await system.build("c1", ["v1", "v2"], ["p1"])

    course = await system.course("c1")
    again = await system.ask("POST", "/courses/c1/build", {"videos": [], "documents": []})
    flows = await system.ask("GET", "/api/toril/flows")
    await system.worker("medium")
    await system.worker("heavy")
    done = await system.course_in("c1", "completed")

    assert course["state"] == "waiting-children"
    assert sorted(course["children"].values()) == ["wait"] * 3
    assert again.json() == {"courseId": "c1", "queued": False}
    assert "c1" in flows.text
    videos = sorted(done["result"]["videos"], key=lambda one: str(one["videoId"]))
    assert [one["videoId"] for one in videos] == ["v1", "v2"]
    for one in videos:
        outputs = one["outputs"]
        assert 0.9 < outputs["durationSeconds"] < 1.2
        facts = probed(system.made(outputs["compressedUrl"].lstrip("/")))
        assert (facts["video"]["codec_name"], facts["video"]["width"]) == ("h264", 320)
    (document,) = done["result"]["documents"]
    assert document["pdfId"] == "p1"
    content = system.made(document["key"]).read_bytes()
    assert len(content) == document["bytes"]
    pdf = pypdfium2.PdfDocument(content)
    assert "p1" in pdf[0].get_textpage().get_text_bounded()
    pdf.close()
    assert sorted(done["result"]) == ["courseId", "documents", "videos"]
    for queue in await app.queues():
        assert (queue.waiting, queue.active, queue.failed) == (0, 0, 0), queue
    info = await app.queue("course-orchestrator").job("c1").info()
    assert (info.name, info.data) == ("course-complete", {"courseId": "c1"})


async def test_broken_video_leaves_its_flow_stuck_and_a_retry_mends_it(
    start: Start, app: App
) -> None:
    """Step 9."""
    system = await start("heavy")
    system.put("uploads/v1", b"no video at all")
    await system.build("c2", ["v1"], [])
    (child,) = (await system.course("c2"))["children"]
    child_id = child.partition(":")[2]

    info = await ended(app, "process-video", child_id)
    (stuck,) = await app.flows.stuck()
    alerts: list[Any] = []

    async def is_alerted() -> bool:
        await asyncio.sleep(0.2)  # each look is a request
        answer = (await system.ask("GET", "/api/toril/alerts")).json()
        alerts[:] = [one for one in answer["alerts"] if one["rule"] == "stuck_flow"]
        return bool(alerts)

    await wait_until(is_alerted, deadline_s=180, what="the alert")  # flows: once a minute
    mails = system.data / "mail"
    await wait_until(lambda: list(mails.glob("*.eml")), what="the alert's mail")
    waiting = await system.course("c2")
    system.made("uploads/v1").unlink()
    await system.video("v1")
    retried = await system.ask("POST", f"/api/toril/queues/process-video/jobs/{child_id}/retry")
    done = await system.course_in("c2", "completed")

    assert (info.state, info.attempts_made) == ("failed", 1)  # it will never work: not retried
    assert stuck.job_id == "c2"
    assert "c2" in json.dumps(alerts)
    assert waiting["state"] == "waiting-children"
    assert waiting["children"] == {child: "failed"}
    assert retried.status_code == 200, retried.text
    assert [one["videoId"] for one in done["result"]["videos"]] == ["v1"]


async def test_killed_heavy_worker_loses_no_video(start: Start, app: App) -> None:
    """Step 10: within 60 s another worker takes it up; one output."""
    system = await start()
    workers = [(await system.worker("heavy"))[0] for _ in range(2)]
    await system.video("long", seconds=20, size="960x540")
    await system.build("c3", ["long"], [])
    (child,) = (await system.course("c3"))["children"]
    job = app.queue("process-video").job(child.partition(":")[2])

    async def is_in_the_middle() -> bool:
        info = await job.info()
        return info.state == "active" and isinstance(info.progress, int) and info.progress >= 5

    await wait_until(is_in_the_middle, deadline_s=120, what="the video to be in work")
    owner = str((await job.info()).worker_id)
    (first,) = [one for one in workers if f"-{one.pid}-" in owner]
    system.kill(first)
    killed = time.monotonic()

    async def is_taken_up() -> bool:
        info = await job.info()
        return info.state == "active" and info.attempts_started == 2

    await wait_until(is_taken_up, deadline_s=RECOVERY_S, what="another worker to take it")
    took_s = time.monotonic() - killed
    done = await system.course_in("c3", "completed", deadline_s=240)

    print(f"taken up {took_s:.1f} s after the kill")
    assert [one["videoId"] for one in done["result"]["videos"]] == ["long"]
    names = sorted(path.name for path in (system.data / "objects").glob("*") if path.is_file())
    assert names == ["long-compressed.mp4", "long-poster.jpg"]
    stalled = [
        event
        async for event in app.queue("process-video").events(after=0, until_idle=True)
        if event.name == "stalled"
    ]
    assert [event.job_id for event in stalled] == [job.id]


async def test_second_crash_fails_a_heavy_job_with_the_reason(start: Start, app: App) -> None:
    """A job that has lost two workers is not given to a third."""
    system = await start()
    job = await app.queue("heavy-processing").add("train", {"rounds": 2_000_000_000})
    for number in (1, 2):
        worker, _ = await system.worker("heavy")

        async def is_active(number: int = number) -> bool:
            info = await job.info()
            if info.state != "active" or info.attempts_started != number:
                return False
            assert info.processed_at is not None
            # A loss counts once the lease was renewed: a second after the start.
            return datetime.now(UTC) - info.processed_at > timedelta(seconds=4)

        await wait_until(is_active, deadline_s=RECOVERY_S, what=f"attempt {number}")
        system.kill(worker)
    await system.worker("heavy")
    info = await ended(app, "heavy-processing", job.id)

    assert info.state == "failed"
    assert "stalled" in str(info.failed_reason)


async def test_heavy_job_waits_sixty_seconds_between_two_attempts(start: Start, app: App) -> None:
    """Step 11; the second attempt is not waited for."""
    system = await start("heavy")
    answer = await system.ask(
        "POST", "/api/toril/queues/heavy-processing/jobs", {"name": "train", "data": {"rounds": 0}}
    )
    assert answer.status_code == 200, answer.text
    job = app.queue("heavy-processing").job(answer.json()["id"])

    async def is_delayed() -> bool:
        return bool(await job.state() == State.DELAYED)

    await wait_until(is_delayed, what="the first attempt to fail")
    waits = await job.info()
    assert waits.run_at is not None
    assert waits.attempts
    wait_s = (waits.run_at - waits.attempts[-1].ended_at).total_seconds()
    await app.queue("heavy-processing").job(job.id).promote()
    failed = await ended(app, "heavy-processing", job.id)

    assert 59.9 <= wait_s <= 61
    assert (failed.state, failed.attempts_made) == ("failed", 2)
    assert "iteration" in str(failed.failed_reason)


async def test_three_light_workers_share_three_thousand_jobs(start: Start, app: App) -> None:
    """Step 12: each job once, and shares within a factor of two."""
    await start("light", "light", "light")
    options = JobOptions(keep_completed=KeepPolicy())
    asked: dict[str, Any] = {"userId": "u1", "action": "sync-data", "data": {}}
    jobs = await app.queue("example").add_many([("process", asked)] * 3000, options)

    async def all_done() -> bool:
        await asyncio.sleep(0.1)
        info = await app.queue("example").info()
        return info is not None and info.completed == 3000

    await wait_until(all_done, deadline_s=180, what="3,000 jobs to complete")
    shares: collections.Counter[str] = collections.Counter()
    for job in jobs:
        info = await job.info()
        assert (info.attempts_started, info.stalled) == (1, 0)
        shares[str(info.worker_id or info.attempts[-1].worker_id)] += 1

    print("shares", sorted(shares.values()))
    assert len(shares) == 3
    assert max(shares.values()) <= 2 * min(shares.values())


async def test_large_payload_is_refused_with_both_sizes(store: str) -> None:
    """Step 14."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", """
import asyncio
from examples.typed_queues.shared.app import app
from examples.typed_queues.shared.queues.example import ExampleJobPayload, ExampleProducer
from examples.typed_queues.shared.queues.registry import QUEUES
from toril import PayloadTooLargeError

async def main():
    async with app:
        producer = QUEUES.producers(app).get(ExampleProducer)
        try:
            await producer.enqueue(ExampleJobPayload("u", "sync-data", {"x": "y" * 1024 * 1024}))
        except PayloadTooLargeError as error:
            print(error)
        print(await app.queue("example").info())

asyncio.run(main())
"""],
        cwd=ROOT, env=System(Path("."), store, {}).environment | {"DATA_DIR": "/tmp"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    said = done.stdout.splitlines()
    assert said, done.stderr
    assert "262144" in said[0].replace(",", "")
    assert "10486" in said[0].replace(",", "")
    assert said[1] == "None"
