"""`deadletter.record`: letters are logged, stay, and can be redriven."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator

import pytest

from toril import App, RetryPolicy
from toril.core.codec import Json
from toril.library.deadletter.payloads import published_letter
from toril.library.deadletter.tasks import FORMS, record


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    made = App(url)
    made.bind("dead-letter", record, adapter=FORMS, rename="camel")
    yield made
    await made.close()


async def test_letter_is_logged_without_its_payload_and_brings_its_job_back(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True

    @app.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=0.0))
    async def greet(to: str) -> str:
        if broken:
            raise ConnectionError("the server is away")
        return to

    await app.queue("mail").set_dead_letter("dead-letter")
    job = await greet.enqueue(to="secret@example.com")
    with caplog.at_level(logging.ERROR, "toril.dead_letters"):
        await app.worker().run(until_idle=True)

    (letter,) = (await app.dead_letters().list()).letters
    (said,) = [one for one in caplog.records if one.name == "toril.dead_letters"]
    line = json.loads(said.getMessage())
    assert line["failedAt"].startswith("20")
    del line["failedAt"]
    assert line == {
        "event": "dead_letter",
        "queue": "mail",
        "jobId": job.id,
        "task": "greet",
        "attempts": 2,
        "error": "ConnectionError: the server is away",
    }
    info = await app.queue("dead-letter").job(letter.id).info()
    assert info.state == "completed"
    assert info.result["originalJobId"] == job.id
    broken = False
    await app.dead_letters().redrive(letter.id)
    await app.worker().run(until_idle=True)
    assert (await job.info()).result == "secret@example.com"


async def test_letter_of_another_program_is_logged_too(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    data: dict[str, Json] = {
        "originalQueue": "email-sending",
        "originalJobId": "7",
        "originalData": {"to": "u@x.test"},
        "error": "E" * 600,
        "failedAt": "2025-09-19T06:00:00.000Z",
        "retryCount": 2,
    }
    job = await app.queue("dead-letter").add("dead-letter", data)
    with caplog.at_level(logging.ERROR, "toril.dead_letters"):
        await app.worker().run(until_idle=True)

    assert (await job.info()).state == "completed"
    (said,) = [one for one in caplog.records if one.name == "toril.dead_letters"]
    line = json.loads(said.getMessage())
    assert (line["queue"], line["jobId"], line["attempts"]) == ("email-sending", "7", 2)
    assert line["error"] == "E" * 500


async def test_letter_that_makes_no_sense_stays_failed_and_leaves_none(app: App) -> None:
    await app.queue("dead-letter").set_dead_letter("graveyard")
    job = await App(app.url).queue("dead-letter").add("dead~x", {"originalQueue": 5})
    await app.worker().run(until_idle=True)

    assert (await job.info()).state == "failed"


def test_other_payloads_are_no_letters() -> None:
    found = published_letter({"originalQueue": "a", "originalJobId": "1", "originalData": 1,
                              "error": "E"})  # fmt: skip
    assert found is not None
    assert (found.original_queue, found.original_data) == ("a", 1)
    for other in (None, 5, {}, {"originalQueue": "a", "originalJobId": "1", "data": {}}):
        assert published_letter(other) is None
