"""Lines of an application's log about its jobs."""

from __future__ import annotations

import io
import json
import logging
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from toril import App, Fail, InvalidPayloadError, JobFailedError, RetryPolicy
from toril.core.codec import Json
from toril.observability.job_lines import JobLines, Kind

ABOUT = {"to": "to", "userId": "for user"}


@pytest.fixture
def lines() -> Iterator[JobLines]:
    """Lines of a logger of their own, which `written` returns."""
    made = JobLines(
        f"lines-{secrets.token_hex(4)}",
        {"push": Kind("📤", "push notification", ": {[sent]} sent"), "pushy": Kind("?", "second")},
        about=ABOUT,
    )
    handler = made.log.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(io.StringIO())
    yield made
    made.log.handlers.clear()


@pytest.fixture
def app(lines: JobLines) -> App:
    """An app whose jobs are told of."""
    app = App("sqlite://:memory:")
    lines.attach(app)

    @app.task(name="pushy-send", queue="pushes")
    async def push(userId: str) -> dict[str, int]:  # noqa: N803 - as on the wire
        return {"sent": 2}

    @app.task(name="sweep", queue="pushes", retry=RetryPolicy(max_attempts=2, base_s=0))
    async def sweep(final: bool) -> None:
        raise Fail("no broom") if final else ValueError("dust")

    return app


def written(lines: JobLines) -> list[str]:
    """Return the lines that were written."""
    handler = lines.log.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    return str(handler.stream.getvalue()).splitlines()


async def test_job_that_does_well_has_four_lines(app: App, lines: JobLines) -> None:
    async with app, app.worker():
        payload: Json = {"userId": "u1"}
        adding = app.queue("pushes").add_many([("pushy-send", payload)])
        (job,) = await lines.added(adding, "pushes", [{"userId": "u1"}], component="Door")
        await job.result(timeout_s=60)

    assert written(lines) == [
        f"Job {job.id} added to pushes {{'component': 'Door', 'userId': 'u1'}}",
        f"🔄 Worker: Processing job {job.id} of type pushy-send",
        f"📤 Processing push notification job {job.id} for user u1",
        f"✅ Push notification job {job.id} completed: 2 sent",
        f"✅ Job {job.id} completed",
    ]


async def test_each_failed_attempt_ends_with_its_reason(app: App, lines: JobLines) -> None:
    async with app, app.worker():
        for final in (True, False):
            job = await app.queue("pushes").add("sweep", {"final": final})
            with pytest.raises(JobFailedError):
                await job.result(timeout_s=60)

    said = written(lines)
    assert [line for line in said if "failed:" in line] == [
        "❌ Job 1 failed: no broom",
        "❌ Job 2 failed: ValueError: dust",
        "❌ Job 2 failed: ValueError: dust",
    ]
    assert "⚙️ Processing other job 1" in said
    assert not any("completed" in line for line in said)


async def test_job_that_is_not_added_has_one_line_of_an_error(
    app: App, lines: JobLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with no worker; the address is shortened."""
    monkeypatch.setenv("LOG_STYLE", "json")
    records: list[logging.LogRecord] = []

    def kept(record: logging.LogRecord) -> bool:
        records.append(record)
        return True

    lines.log.addFilter(kept)
    async with app:
        unfit: Any = {"to": object()}
        adding = app.queue("pushes").add_many([("pushy-send", unfit)])
        with pytest.raises(InvalidPayloadError):
            await lines.added(adding, "pushes", [{"to": "jo@example.com", "body": "secret"}])

    (line,) = written(lines)
    told = json.loads(line)
    assert told.pop("message").startswith("Job not added to pushes: ")
    assert told == {"to": "j***@example.com"}
    assert [record.levelno for record in records] == [logging.ERROR]
    assert "secret" not in line


def test_styles(lines: JobLines, monkeypatch: pytest.MonkeyPatch) -> None:
    for style in ("", "plain", "json"):
        monkeypatch.setenv("LOG_STYLE", style)
        lines.say("✅", "Job 7 completed", jobId="7")

    signs, plain, fields = written(lines)
    assert (signs, plain) == ("✅ Job 7 completed", "Job 7 completed")
    assert json.loads(fields) == {"message": "Job 7 completed", "jobId": "7"}


async def test_one_job_has_its_line_as_many_have(app: App, lines: JobLines) -> None:
    async with app:
        payload: Json = {"userId": "u1"}
        job = await lines.added_one(
            app.queue("pushes").add("pushy-send", payload), "pushes", {"userId": "u1"}, by="me"
        )
        with pytest.raises(InvalidPayloadError):
            await lines.added_one(
                app.queue("pushes").add("pushy-send", object()),  # type: ignore[arg-type]
                "pushes",
                {"userId": "u2"},
            )

    said = written(lines)
    assert said[0] == f"Job {job.id} added to pushes {{'by': 'me', 'userId': 'u1'}}"
    assert said[1].startswith("❌ Job not added to pushes: ")
    assert said[1].endswith("{'userId': 'u2'}")
    assert len(said) == 2


def test_kinds_and_facts_of_the_library_are_known_by_themselves() -> None:
    name = f"lines-{secrets.token_hex(4)}"
    try:
        made = JobLines(name)
        facts = made.facts({"userId": "u1", "fileId": "f1", "to": "jo@example.com", "x": 1})
    finally:
        logging.getLogger(name).handlers.clear()

    assert facts == {"to": "j***@example.com", "fileId": "f1", "userId": "u1"}
    assert [made.kinds[kind].sign for kind in ("push", "image", "video", "avatar", "email")] == [
        "📤", "🖼️", "🎬", "👤", "📧",
    ]  # fmt: skip
