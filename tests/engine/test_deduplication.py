from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from toril import App, Deduplication, InvalidOptionError, JobOptions
from toril.engine.deduplication import DeduplicationRule, id_in, rule
from toril.engine.wire_options import to_wire


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"id": ""}, "deduplication id"),
        ({"id": "x" * 513}, "deduplication id"),
        ({"id": "a\nb"}, "deduplication id"),
        ({"id": 7}, "deduplication id"),
        ({"id": "a", "ttl_s": 0}, "ttl_s"),
        ({"id": "a", "ttl_s": 0.0009}, "ttl_s"),
        ({"id": "a", "ttl_s": -1}, "ttl_s"),
        ({"id": "a", "ttl_s": math.inf}, "ttl_s"),
        ({"id": "a", "extend": True}, "extend"),
        ({"id": "a", "replace": True, "reschedule": True}, "reschedule"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"^{name}="):
        Deduplication(**options)


def test_everything_that_was_said_is_stored_in_bullmqs_words() -> None:
    whole = Deduplication("a: b", ttl_s=1.5, extend=True, replace=True, keep_last_if_active=True)

    stored = msgspec.json.decode(to_wire(JobOptions(deduplication=whole), None))

    assert stored["de"] == {
        "id": "a: b", "ttl": 1500, "extend": True, "replace": True, "keepLastIfActive": True,
    }  # fmt: skip
    plain = JobOptions(deduplication=Deduplication("a", reschedule=True))
    assert msgspec.json.decode(to_wire(plain, None))["de"] == {"id": "a", "reschedule": True}


def test_rule_has_what_was_said() -> None:
    assert rule(Deduplication("a", ttl_s=2, extend=True)) == DeduplicationRule(
        "a", ttl_ms=2000, extend=True
    )
    assert rule(Deduplication("a", ttl_s=2, keep_last_if_active=True)).hold_ms is None
    assert rule(Deduplication("a", ttl_s=2)).hold_ms == 2000


@pytest.mark.parametrize(
    ("opts", "found"),
    [
        ('{"de":{"id":"a"}}', "a"),
        ('{"de":{"id":7}}', None),
        ('{"de":"a"}', None),
        ('{"delay":5}', None),
        ('["de"]', None),
        ('{"de":', None),
    ],
)
def test_id_is_read_from_what_anybody_stored(opts: str, found: str | None) -> None:
    assert id_in(opts) == found


async def test_tasks_and_queues_take_it() -> None:
    async with App("sqlite://:memory:") as app:

        @app.task(queue="mail")
        async def send(to: str) -> None: ...

        once = Deduplication("jo")
        first = await send.with_options(deduplication=once).enqueue(to="jo")
        again = await send.with_options(deduplication=once).enqueue(to="jo")
        queue = app.queue("mail")
        third = await queue.add("send", {"to": "jo"}, JobOptions(deduplication=once))

        assert (first.duplicate, again.duplicate, third.duplicate) == (False, True, True)
        assert again.id == third.id == first.id
        holder = await queue.deduplicating_job("jo")
        assert holder is not None
        info = await holder.info()
        assert (info.id, info.deduplication_id) == (first.id, "jo")
        assert await queue.release_deduplication("jo")
        assert not await queue.release_deduplication("jo")
        assert await queue.deduplicating_job("jo") is None
        with pytest.raises(InvalidOptionError, match="deduplication id"):
            await queue.deduplicating_job("")
