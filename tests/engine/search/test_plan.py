"""What a store sorts out for a search is never what the search means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from toril.engine.job import JobRecord
from toril.engine.search.grammar import parse
from toril.engine.search.matching import Subject, holds
from toril.engine.search.plan import stretches
from toril.engine.states import FINISHED, State

NOW_MS = 1_800_000_100_000


def _records() -> list[JobRecord]:
    common: dict[str, Any] = {
        "opts": "{}", "delay_ms": 0, "run_at_ms": None, "attempts_started": 0, "stalled": 0,
        "progress": "0", "result": None, "worker_id": None, "lease_remaining_ms": None,
        "deferred_failure": None, "cancel_reason": None, "attempts": [],
    }  # fmt: skip
    made = []
    for data in (
        '{"to":"jo@example.com","total":12.5,"lines":[{"sku":"A1"}]}',
        '{"to":"Jos\\u00e9","n":7}',
        '{"to":"\\u006ao@example.com"}',
        "label",
    ):
        for queue, name, state, reason, ended in (
            ("mail", "receipt", State.FAILED, "Timeout", 80_000),
            ("mail", "receipt", State.COMPLETED, None, 20_000),
            ("print", "label", State.WAIT, None, None),
            ("print", "jo", State.DELAYED, "Timeout", None),
        ):
            base_ms = NOW_MS - 100_000
            made.append(
                JobRecord(
                    id="own" if ended is None else "4",
                    queue=queue,
                    name=name,
                    state=state,
                    data=data,
                    priority=3 if queue == "print" else 0,
                    timestamp_ms=base_ms,
                    attempts_made=1 if ended else 0,
                    failed_reason=reason,
                    processed_on_ms=None if ended is None else base_ms + 5_000,
                    finished_on_ms=None if ended is None else base_ms + ended,
                    data_bytes=len(data),
                    **common,
                )
            )
    return made


RECORDS = _records()


WORDS = st.sampled_from(
    [
        "state:wait", "-state:failed", "name:receipt", "name~e", "data.to:*example*", "data~jo",
        "jo", "-jo", "error~timeout", "-error~timeout", "attempts>0", "attempts:0", "data.n:7",
        "since:70s", "until:70s", "queue:mail", "-queue:mail", "size>20", "data.total<99", "label",
        "id:own", "-id:own", "josé", "data.lines.sku:A*", "age>1s", "priority>0", "*",
    ]
)  # fmt: skip
QUERIES = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), max_size=3).map(
    " OR ".join
)


@given(st.lists(QUERIES, min_size=1, max_size=5))
def test_needles_and_lists_find_what_reading_each_job_finds(texts: Sequence[str]) -> None:
    """A store that sorts jobs out must never sort out one that is meant."""
    for text in texts:
        query = parse(text)
        for record in RECORDS:
            meant = any(holds(terms, Subject(record, NOW_MS)) for terms in query.alternatives)
            passes = False
            for stretch in stretches(query, ["mail", "print"], NOW_MS):
                if (stretch.queue, stretch.state) != (record.queue, record.state):
                    continue
                needles = stretch.needles
                data = record.data.lower()
                reason = (record.failed_reason or "").lower()
                sifted = (
                    (needles.name is None or needles.name in record.name.lower())
                    and (needles.error is None or needles.error in reason)
                    and (needles.data is None or needles.data in data or "\\u00" in data)
                    and (
                        needles.text is None
                        or needles.text in f"{record.id} {record.name.lower()} {reason} {data}"
                        or "\\u00" in data
                    )
                )
                in_time = record.state not in FINISHED or (
                    (stretch.since_ms is None or record.ended_ms >= stretch.since_ms)
                    and (stretch.until_ms is None or record.ended_ms <= stretch.until_ms)
                )
                passes = sifted and in_time
                if passes and stretch.every:
                    assert meant, (text, record)
            assert passes or not meant, (text, record)
