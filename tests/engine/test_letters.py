"""What a letter holds, and that it is found again by its id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.core.ids import MAX_ID_CHARS, check_job_id
from toril.core.reading import read_object
from toril.engine.contract import DeadLetterRule
from toril.engine.info import JobInfo
from toril.engine.job import Attempt, JobRecord
from toril.engine.letter_rules import check_rules
from toril.engine.letters import (
    MAX_TRACES_BYTES,
    Letter,
    as_failed,
    is_letter,
    iso,
    job_again,
    letter_id,
    letter_job,
    marked,
    read_letter,
)
from toril.engine.states import State
from toril.testing import MemoryApp

names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)


def record(**fields: Any) -> JobRecord:
    found = job_again(
        Letter(
            original_queue="mail",
            original_job_id="7",
            job_name="greet",
            data=msgspec.Raw(b'{"to":"ann"}'),
            opts=msgspec.Raw(b"{}"),
            failed_reason="",
            stacktrace=[],
            attempts_made=0,
            failed_at="",
        ),
        5,
    ).record
    return msgspec.structs.replace(found, **fields)


def attempt(number: int, outcome: str = "failed", trace: str | None = None) -> Attempt:
    return Attempt(
        number=number,
        started_ms=number,
        ended_ms=number + 1,
        worker_id="w",
        outcome=outcome,
        error="broken",
        traceback=trace,
    )


def letter_of(job: JobRecord) -> Letter:
    made = letter_job(job, "dead")
    assert made.queue == "dead"
    found = read_letter(made.data)
    assert found is not None
    return found


@given(
    st.tuples(names, names, st.integers(0, 2**52)), st.tuples(names, names, st.integers(0, 2**52))
)
def test_ids_of_different_failures_differ(a: tuple[str, str, int], b: tuple[str, str, int]) -> None:
    assert (letter_id(*a) == letter_id(*b)) == (a == b)


@given(names, names, st.integers(0, 2**52))
def test_ids_may_be_those_of_jobs(queue: str, job_id: str, ms: int) -> None:
    found = letter_id(queue[:50], job_id[:50], ms)

    assert check_job_id(found) == found
    assert is_letter(found)


def test_ids_of_the_longest_names_are_short_enough_and_differ() -> None:
    long = "x" * MAX_ID_CHARS
    found = {
        letter_id(long + "a", long, 1),
        letter_id(long + "b", long, 1),
        letter_id(long, long, 1),
    }

    assert len(found) == 3
    for each in found:
        check_job_id(each)


def test_a_plain_id_is_none_of_a_letter() -> None:
    assert not is_letter("7")
    assert not is_letter("deadline")


@pytest.mark.parametrize("data", ["{", "", "nonsense", "[" * 499 + "]" * 499, "[" * 5000])
def test_a_payload_that_is_no_json_or_too_deep_is_kept_as_text(data: str) -> None:
    found = letter_of(record(data=data))

    if data.startswith("[[") and len(data) < 1000:
        assert bytes(found.data).decode() in (data, msgspec.json.encode(data).decode())
    else:
        assert msgspec.json.decode(found.data) == data


def test_a_letter_holds_the_newest_traces_that_find_room() -> None:
    big = "x" * (MAX_TRACES_BYTES - 100)
    found = letter_of(
        record(attempts=[attempt(1, "retried", "old"), attempt(2, "retried", big), attempt(3)])
    )

    assert found.stacktrace == [big]
    assert [each.traceback for each in found.history] == [None] * 3


def test_a_trace_that_is_too_long_keeps_its_end() -> None:
    (trace,) = letter_of(
        record(attempts=[attempt(1, trace="a" * MAX_TRACES_BYTES + "END")])
    ).stacktrace

    assert trace.endswith("END")
    assert len(trace.encode()) <= MAX_TRACES_BYTES


def test_a_running_job_is_written_down_as_it_will_have_failed() -> None:
    running = record(state=State.ACTIVE, attempts=[attempt(1, "retried")])

    failed = as_failed(running, attempt(2), attempts_made=2)

    assert (failed.state, failed.failed_reason, failed.attempts_made) == (State.FAILED, "broken", 2)
    assert (failed.processed_on_ms, failed.finished_on_ms) == (2, 3)
    assert [each.number for each in failed.attempts] == [1, 2]
    assert len(running.attempts) == 1


def test_traces_come_back_with_their_attempts() -> None:
    found = letter_of(
        record(
            attempts=[attempt(1, "stalled"), attempt(2, "retried", "a"), attempt(3, "failed", "b")]
        )
    )

    again = job_again(found, 5).record.attempts

    assert [each.traceback for each in again] == [None, "a", "b"]


def test_a_job_comes_back_without_its_parent_and_with_its_priority() -> None:
    found = letter_of(record(opts='{"attempts":3,"parent":{"id":"1"},"priority":4}', priority=4))

    again = job_again(found, 5).record

    assert read_object(again.opts) == {"attempts": 3, "priority": 4}
    assert (again.state, again.priority) == (State.PRIORITIZED, 4)
    assert JobInfo.from_record(again).max_attempts == 3


def test_a_mark_says_when_in_javascripts_words() -> None:
    found = letter_of(record())
    at = datetime(2030, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)

    again = read_letter(marked(found, at))

    assert again is not None
    assert again.redriven_at == iso(at) == "2030-01-02T03:04:05.678Z"
    assert (again.data, again.history) == (found.data, found.history)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"originalQueue":1}', "[" * 100_000])
def test_another_payload_is_no_letter(text: str) -> None:
    assert read_letter(text) is None


async def test_doctor_says_where_letters_go_and_which_rule_cannot_work() -> None:
    async with MemoryApp() as app:
        assert [x for x in (await app.check()).findings if x.subject == "dead letters"] == []
        await app.queue("mail").set_dead_letter("dead")
        await app.queue("dead").add("dead~x")
        await app.backend().dead_letters.set_rule("files", DeadLetterRule("files"))

        bad, good = await check_rules(app.backend())

        assert (bad.grade, good.grade) == ("error", "ok")
        assert "its dead-letter queue 'files' is itself" in bad.text
        assert good.text == "'dead' takes those of mail; 1 waits"
        assert not (await app.check()).ok
