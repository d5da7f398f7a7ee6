"""The door for new jobs: what passes, every store can write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.engine.working import memory_app

from toril import Deduplication, JobOptions, RetryPolicy
from toril.core.errors import InvalidOptionError, InvalidPayloadError, PayloadTooLargeError
from toril.engine.job import NewJob
from toril.engine.new_jobs import MAX_PAYLOAD_BYTES, Blueprint, checked, payload_text

CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


def test_a_job_has_what_the_blueprint_says() -> None:
    options = JobOptions(
        job_id="mine",
        run_at=datetime(2030, 1, 1, tzinfo=UTC),
        priority=3,
        lifo=True,
        deduplication=Deduplication("same", ttl_s=2),
    )

    made = Blueprint("mail", "send", options, RetryPolicy(max_attempts=7)).job('{"to":"jo"}')

    assert (made.queue, made.name, made.data, made.job_id) == (
        "mail", "send", '{"to":"jo"}', "mine",
    )  # fmt: skip
    assert (made.run_at_ms, made.priority, made.lifo) == (1_893_456_000_000, 3, True)
    assert made.deduplication is not None
    assert (made.deduplication.id, made.deduplication.ttl_ms) == ("same", 2_000)
    assert '"attempts":7' in made.opts
    assert Blueprint("mail", "send", JobOptions(delay_s=1.5)).job("{}").delay_ms == 1_500


@pytest.mark.parametrize("queue", ["", "a:b", "a\nb", "\ud800", "x" * 513, None, 3])
def test_queues_that_there_cannot_be_are_refused(queue: Any) -> None:
    with pytest.raises(InvalidOptionError, match="queue="):
        Blueprint(queue, "send")


@pytest.mark.parametrize("name", ["", "a\nb", "\ud800", "\x00", "x" * 513, None, 3])
def test_names_that_no_job_can_have_are_refused(name: Any) -> None:
    with pytest.raises(InvalidOptionError, match="name="):
        Blueprint("mail", name)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (float("nan"), "nan is not a JSON number"),
        ({"a": "\ud83e"}, "surrogates not allowed"),
        (object(), "object is not a type that JSON can carry"),
        (CIRCLE, "it holds itself"),
    ],
)
def test_payloads_that_are_no_json_are_refused(payload: object, words: str) -> None:
    with pytest.raises(InvalidPayloadError, match=words):
        payload_text("send", payload)


def test_no_payload_is_a_call_without_arguments() -> None:
    assert payload_text("send", None) == "{}"


@pytest.mark.parametrize("char", ["x", "ü"])
def test_payloads_are_bounded_by_their_bytes(char: str) -> None:
    most = MAX_PAYLOAD_BYTES // len(char.encode())
    blueprint = Blueprint("mail", "send")

    assert blueprint.job(char * most).data == char * most
    with pytest.raises(PayloadTooLargeError, match="at most max_payload_bytes=262144"):
        blueprint.job(char * (most + 1))


GOOD = Blueprint("mail", "send", JobOptions(job_id="mine")).job("{}")


@pytest.mark.parametrize(
    "changes",
    [
        {"queue": "a:b"},
        {"name": "\n"},
        {"job_id": "17"},
        {"job_id": "a:b"},
        {"priority": -1},
        {"delay_ms": -1},
        {"delay_ms": 2**60},
        {"data": "{"},
        {"data": "[" * 600 + "]" * 600},
        {"opts": "[]"},
        {"opts": "{"},
        {"opts": '{"a":' * 1100 + "1" + "}" * 1100},
    ],
)
def test_a_job_that_another_process_made_is_checked_again(changes: dict[str, Any]) -> None:
    """A child process need not send what our code would have made."""
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__}

    assert checked(GOOD) is GOOD
    with pytest.raises((InvalidOptionError, InvalidPayloadError)):
        checked(NewJob(**(fields | changes)))


async def test_jobs_by_name_pass_the_same_door() -> None:
    """A circular payload was a RecursionError; a name of a megabyte was stored."""
    async with memory_app() as app:
        queue = app.queue("mail")
        with pytest.raises(InvalidPayloadError, match=r"task 'send'.*it holds itself"):
            await queue.add("send", {"a": CIRCLE})
        with pytest.raises(InvalidOptionError, match="1 to 512 printable characters"):
            await queue.add("s" * 513)
        with pytest.raises(PayloadTooLargeError):
            await queue.add_many([("send", 1), ("send", "x" * MAX_PAYLOAD_BYTES)])
        assert await queue.info() is None
        first, second, third = await queue.add_many([("a", 1), ("b", 2), ("a", None)])

        found = [await job.info() for job in (first, second, third)]
        assert [(info.name, info.data) for info in found] == [("a", 1), ("b", 2), ("a", {})]
