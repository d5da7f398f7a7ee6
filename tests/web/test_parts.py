"""Parts of the server that need no server: pages, fingerprints, rates, what is looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril import AttemptInfo, JobInfo, QueueInfo, State, WorkerInfo
from toril.web.attention import AttentionFacts, concerns_of
from toril.web.fingerprints import fingerprint, grouped, normalized, top_frame
from toril.web.limits import Submissions
from toril.web.paging import after_number, number_cursor, part_after
from toril.web.problems import Problem
from toril.web.sources import pause_s

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
TRACE = """Traceback (most recent call last):
  File "/srv/app/shop/mail.py", line 41, in send
    deliver(to)
  File "/srv/venv/lib/python3.11/site-packages/smtp/client.py", line 9, in deliver
    raise SmtpError(550, "unknown")
smtp.client.SmtpError: 550 mailbox unavailable: jo@example.com
"""
NODE_TRACE = """Error: gateway timeout
    at Socket.onTimeout (node:net:595:8)
    at send (/srv/app/worker.js:12:9)
    at Worker.process (/srv/app/node_modules/bullmq/dist/worker.js:300:1)"""


def job(job_id: str = "1", reason: str = "boom", trace: str | None = None) -> JobInfo:
    attempt = AttemptInfo(
        number=1, started_at=NOW, ended_at=NOW, worker_id="w", outcome="failed", error=reason,
        traceback=trace,
    )  # fmt: skip
    return JobInfo(
        id=job_id, queue="mail", name="send", state=State.FAILED, data={}, data_bytes=2,
        options={}, max_attempts=1, priority=0, deduplication_id=None, created_at=NOW, delay_s=0.0,
        run_at=None, attempts_made=1, attempts_started=1, stalled=0, progress=0, result=None,
        failed_reason=reason, processed_at=NOW, finished_at=NOW, worker_id="w",
        lease_remaining_s=None, cancel_reason=None, attempts=[attempt],
    )  # fmt: skip


def test_failures_that_differ_in_numbers_and_names_are_alike() -> None:
    jobs = [
        job("1", "SmtpError: 550 mailbox unavailable: jo@example.com", TRACE),
        job("2", "SmtpError: 551 mailbox unavailable: al@example.org", TRACE),
        job("3", "SmtpError: mailbox full", TRACE),
    ]

    first, second = grouped(jobs)

    assert (first.count, first.error, first.sample_ids) == (2, "SmtpError", ["1", "2"])
    assert first.message == "<n> mailbox unavailable: <mail>"
    assert first.frame == "shop/mail.py:41 in send"
    assert (second.count, second.message) == (1, "mailbox full")


def test_fingerprint_stays_when_a_line_is_added_above() -> None:
    moved = TRACE.replace("line 41", "line 57")

    assert fingerprint(job(trace=TRACE)).text == fingerprint(job(trace=moved)).text
    assert fingerprint(job(trace=TRACE)).text != fingerprint(job(trace=None)).text


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("SmtpError: 550 mailbox\n  unavailable: jo@x.org", "SmtpError*mailbox*unavailable:"),
        ("550 mailbox full", "mailbox*full"),
        ("ValueError: token *** is old", "ValueError*token*is*old"),
        ("KeyError: 'x'", "KeyError"),
        ("A\x00B went, so", '"went,"*so'),
    ],
)
def test_search_of_a_group_holds_the_words_that_its_messages_share(reason: str, found: str) -> None:
    one = job(reason=reason, trace=TRACE if reason.startswith("550") else None)
    (group,) = grouped([one])
    assert group.search == f"state:failed queue:mail name:send error~{found}"


def test_search_of_a_group_is_cut_to_its_longest_words() -> None:
    words = [f"{'abcdefghijkl'[n]}{'x' * (n + 2)}" for n in range(12)]
    (group,) = grouped([job(reason=" ".join([*words, "y" * 90]))])
    _, _, found = group.search.partition("error~")
    assert found == "*".join([*words[5:], "y" * 60])


def test_trend_counts_failures_in_twelfths_until_now() -> None:
    now = NOW + timedelta(hours=12)
    jobs = [
        replace(job(str(n)), finished_at=NOW + timedelta(hours=n, minutes=1)) for n in (0, 3, 3, 11)
    ]
    (group,) = grouped(jobs, now)
    assert group.trend == [1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (group.first_at, group.last_at) == (jobs[0].finished_at, jobs[3].finished_at)
    (same,) = grouped([job("1")], NOW)
    assert same.trend == [1] + [0] * 11


def test_frame_of_node_is_the_applications() -> None:
    assert top_frame(NODE_TRACE) == "app/worker.js:12 in send"
    assert top_frame("") is None


def test_type_of_an_error_comes_from_its_trace_if_the_reason_lacks_it() -> None:
    found = fingerprint(job(reason="550 mailbox unavailable", trace=TRACE))

    assert (found.error, found.message) == ("SmtpError", "<n> mailbox unavailable")


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("no such file: '/tmp/a/17.png'", "no such file: <text>"),
        ("GET https://x.example/17?a=b failed", "GET <url> failed"),
        ("job 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f is gone", "job <id> is gone"),
        ("object at 0x7f3a2b1c", "object at <id>"),
        ("took 12.5 s of 10", "took <n> s of <n>"),
        ("a\n  b", "a b"),
        ("", ""),
    ],
)
def test_what_varies_in_a_message_is_put_as_a_mark(message: str, found: str) -> None:
    assert normalized(message) == found


@given(st.text(max_size=5000))
def test_any_message_is_made_short(message: str) -> None:
    assert len(normalized(message)) <= 300


@given(st.lists(st.text(), unique=True), st.integers(1, 5))
def test_pages_hold_every_item_once(names: list[str], limit: int) -> None:
    seen: list[str] = []
    after: str | None = None
    while True:
        page, after = part_after(names, names, after, limit)
        seen += page
        if after is None:
            break
        assert len(page) == limit

    assert seen == names


@given(st.text(max_size=40))
def test_cursor_of_somebody_else_is_refused_or_read(text: str) -> None:
    for read in (after_number, lambda after: part_after(["a"], ["a"], after, 1)):
        try:
            read(text)
        except Problem as problem:
            status = problem.status
        else:
            status = 422
        assert status == 422


def test_number_of_a_line_comes_back() -> None:
    assert after_number(number_cursor(1700)) == 1700
    assert after_number(None) == 0


def test_bucket_fills_again() -> None:
    now_s = 0.0
    bucket = Submissions(2.0, now_s=lambda: now_s)
    bucket.take("a", 20)
    with pytest.raises(Problem) as refused:
        bucket.take("a", 1)
    assert refused.value.headers["retry-after"] == "1"

    bucket.take("b", 20)
    now_s = 5.0
    bucket.take("a", 10)
    with pytest.raises(Problem):
        bucket.take("a", 1)

    now_s = 1000.0
    bucket.take("a", 5000)  # a batch larger than the bucket is let through when that is full
    with pytest.raises(Problem):
        bucket.take("a", 1)


QUEUE = QueueInfo(
    name="mail", paused=False, waiting=5, prioritized=0, delayed=0, waiting_children=0, active=0,
    completed=0, failed=0, completed_total=0, failed_total=0, oldest_waiting_s=60.0,
    concurrency=None, maxed=False, rate_limit=None, rate_window_s=None, held_s=0.0, events="all",
)  # fmt: skip
WORKER = WorkerInfo(
    id="w", host="h", pid=1, queues=["mail"], concurrency=1, running=0, started_at=NOW,
    beat_age_s=0.0, quiet=False, paused=False, resident_bytes=1, version="1", tasks=None,
)  # fmt: skip


def concerns(
    queue: QueueInfo, *, served: bool = True, beat_age_s: float = 0.0, letters: tuple[str, ...] = ()
) -> list[str]:
    facts = AttentionFacts(
        queues=[queue],
        workers=[replace(WORKER, beat_age_s=beat_age_s)],
        served=["mail"] if served else [],
        stuck=[],
        letters=letters,
    )
    return [f"{one.grade} {one.kind}" for one in concerns_of(facts)]


def test_concerns_are_those_that_need_a_person() -> None:
    assert concerns(QUEUE) == []
    assert concerns(QUEUE, served=False) == ["error no-worker"]
    assert concerns(QUEUE, served=False, letters=("mail",)) == []
    assert concerns(QUEUE, served=False, letters=("graves",)) == ["error no-worker"]
    old = replace(QUEUE, oldest_waiting_s=900.0)
    assert concerns(old, served=False, letters=("mail",)) == []
    assert concerns(replace(QUEUE, oldest_waiting_s=2.0), served=False) == []
    assert concerns(replace(QUEUE, waiting=0, oldest_waiting_s=None), served=False) == []
    assert concerns(replace(QUEUE, paused=True), served=False) == ["note paused"]
    assert concerns(replace(QUEUE, oldest_waiting_s=900.0)) == ["warning old"]
    assert concerns(replace(QUEUE, held_s=900.0)) == ["note held"]
    failing = replace(QUEUE, failed=30, failed_total=30, completed_total=10)
    assert concerns(failing) == ["warning failing"]
    assert concerns(replace(failing, completed_total=90)) == []
    assert concerns(QUEUE, beat_age_s=8.0) == ["warning silent-worker"]
    assert concerns(failing, served=False, beat_age_s=8.0) == [
        "error no-worker", "warning failing", "warning silent-worker",
    ]  # fmt: skip


@pytest.mark.parametrize(("took_s", "pause"), [(0.0, 2.0), (0.1, 2.0), (0.5, 10.0)])
def test_figures_are_read_less_often_where_that_takes_long(took_s: float, pause: float) -> None:
    assert pause_s(2.0, took_s) == pause
