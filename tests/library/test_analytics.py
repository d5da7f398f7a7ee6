"""The figures: buckets, metrics on both databases, and the task on both stores of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from toril import App, Context, InvalidPayloadError
from toril.library.analytics.buckets import buckets, last_whole, read_range
from toril.library.analytics.payloads import BucketType, DateRange
from toril.library.analytics.tasks import aggregate, analytics
from toril.services.analytics.metrics import Only, Span, count_of, ratio_of
from toril.services.analytics.sql import Analytics, Event
from toril.services.analytics.tables import EVENTS
from toril.services.unusable import UnusableInputError
from toril.testing import ManualClock, MemoryApp

BERLIN, PLAIN = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
DAY1 = datetime(2026, 11, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Analytics]:
    url = f"sqlite:///{tmp_path}/shop.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")

    async def carts(connection: AsyncConnection, span: Span) -> float:
        query = sa.select(sa.func.count()).where(EVENTS.c.kind == "cart")
        return float((await connection.execute(query)).scalar_one())

    made = Analytics(url, metrics={"carts": carts})
    yield made
    await made.close()


async def fill(store: Analytics) -> None:
    """Three days: on day n there are n views by n users, and purchases on days 2 and 3."""
    events = [
        Event(id=f"v{day}-{n}", kind="page_view", at=DAY1 + timedelta(days=day), user_id=f"u{n}")
        for day in range(3)
        for n in range(day + 1)
    ]
    events += [
        Event(id="p1", kind="purchase", at=DAY1 + timedelta(days=1), user_id="u0",
              amount_minor=1000, currency="USD"),
        Event(id="p2", kind="purchase", at=DAY1 + timedelta(days=2), user_id="u0",
              amount_minor=501, currency="USD"),
        Event(id="p3", kind="purchase", at=DAY1 + timedelta(days=2), user_id="u0",
              amount_minor=500, currency="USD"),
        Event(id="p4", kind="purchase", at=DAY1 + timedelta(days=2), user_id="u9",
              amount_minor=777, currency="EUR"),
    ]  # fmt: skip
    events += [
        Event(id=f"r{n}", kind="request", at=DAY1, duration_ms=n, failed=n > 90)
        for n in range(1, 101)
    ]
    assert await store.add(*events) == len(events)
    assert await store.add(*events[:5]) == 0


async def values(store: Analytics, metric: str, type_: str = "daily") -> list[float | None]:
    found = await store.figures(metric, type_, start=DAY1, end=DAY1 + timedelta(days=40))
    return [one.value for one in found]


@pytest.fixture
async def app(url: str, store: Analytics) -> AsyncIterator[App]:
    made = App(url)
    made.include(analytics)
    made.provide(store)
    yield made
    await made.close()


async def run(app: App, payload: dict[str, Any]) -> Any:
    job = await app.queue("analytics-aggregation").add("analytics.aggregate", payload)
    await app.worker().run(until_idle=True)
    info = await job.info()
    return info.result if info.state == "completed" else info.failed_reason


async def test_three_days_of_three_metrics_are_nine_rows_also_the_second_time(
    app: App, store: Analytics
) -> None:
    await fill(store)
    payload = {
        "type": "daily",
        "dateRange": {"start": "2026-11-01", "end": "2026-11-03"},
        "metrics": ["page_views", "purchases", "conversion_rate"],
    }

    first = await run(app, payload)
    before = [await values(store, one) for one in payload["metrics"]]
    again = await run(app, payload)

    assert first == again
    assert first == {
        "type": "daily",
        "start": "2026-11-01T00:00:00+00:00",
        "end": "2026-11-04T00:00:00+00:00",
        "buckets": 3,
        "rows": 9,
    }
    assert before == [[1, 2, 3], [0, 1, 3], [0, 0.5, 2 / 3]]
    assert [await values(store, one) for one in payload["metrics"]] == before


async def test_second_run_replaces_what_has_changed(app: App, store: Analytics) -> None:
    payload = {
        "type": "daily",
        "dateRange": {"start": "2026-11-01", "end": "2026-11-01"},
        "metrics": ["page_views", "conversion_rate", "carts"],
    }
    await run(app, payload)
    empty = [await values(store, one) for one in payload["metrics"]]
    await store.add(Event(id="late", kind="page_view", at=DAY1, user_id="u"))
    await store.add(Event(id="cart", kind="cart", at=DAY1))

    await run(app, payload)

    assert empty == [[0], [None], [0]]
    assert [await values(store, one) for one in payload["metrics"]] == [[1], [0], [1]]


async def test_metrics_of_money_users_and_times(store: Analytics) -> None:
    await fill(store)
    days = [DAY1 + timedelta(days=day) for day in range(4)]
    for begin, after in pairwise(days):
        span = Span(round(begin.timestamp() * 1000), round(after.timestamp() * 1000))
        await store.compute(store.metrics, "daily", span)

    expected = {
        "revenue": [0, 1000, 1001],
        "average_order_value": [None, 1000, 500.5],
        "active_users": [1, 2, 4],
        "request_p50_ms": [50, None, None],
        "request_p95_ms": [95, None, None],
        "request_p99_ms": [99, None, None],
        "request_error_ratio": [0.1, None, None],
        "job_p95_ms": [None, None, None],
        "product_views": [0, 0, 0],
    }
    assert {name: await values(store, name) for name in expected} == expected


async def test_many_events_are_stored_in_one_call(store: Analytics) -> None:
    events = [Event(id=f"e{n}", kind="page_view", at=DAY1) for n in range(5000)]

    assert (await store.add(*events), await store.add(*events), await store.add()) == (5000, 0, 0)


async def test_range_without_dates_is_the_last_whole_bucket(app: App, store: Analytics) -> None:
    result = await run(app, {"type": "hourly", "metrics": ["page_views"]})

    end = at(result["end"])
    assert (result["rows"], end.minute, end.second) == (1, 0, 0)
    assert end - at(result["start"]) == timedelta(hours=1)
    assert timedelta(0) <= datetime.now(UTC) - end < timedelta(hours=2)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"metrics": ["page_view"]}, ["metric 'page_view'", "page_views", "known are active"]),
        ({"dateRange": {"start": "2026-11-02", "end": "2026-11-01"}}, ["dateRange.end"]),
        ({"dateRange": {"start": "yesterday!", "end": "2026-11-01"}}, ["dateRange.start"]),
        ({"dateRange": {"start": "1900-01-01", "end": "2026-11-01"}}, ["10,000 daily buckets"]),
        ({"timezone": "Europe/Berlln"}, ["timezone 'Europe/Berlln'", "IANA"]),
    ],
)
async def test_what_makes_no_sense_fails_at_once(
    app: App, more: dict[str, Any], words: list[str]
) -> None:
    reason = await run(app, {"type": "daily", **more})

    for word in words:
        assert word in reason


@pytest.mark.parametrize(
    ("field", "wire", "value"),
    [("type", "type", "yearly"), ("metrics", "metrics", []), ("timezone", "timezone", "")],
)
async def test_bad_fields_are_refused_at_the_door(
    app: App, field: str, wire: str, value: Any
) -> None:
    with pytest.raises(InvalidPayloadError) as refused:
        await app.bound(aggregate).enqueue(**{"type": "daily", field: value})
    assert refused.value.field == wire


@pytest.mark.parametrize(
    ("start", "end", "begin", "after"),
    [
        ("2024-01-01", "2024-01-31", "2024-01-01T00:00Z", "2024-02-01T00:00Z"),
        ("2024-01-01T00:00:00Z", "2024-01-31T23:59:59Z", "2024-01-01T00:00Z", "2024-02-01T00:00Z"),
        ("2024-01-01T12:00:00+02:00", "2024-01-01T13:00", "2024-01-01T10:00Z", "2024-01-01T13:00Z"),
        ("2024-01-01", "2024-01-01T23:59:59.500Z", "2024-01-01T00:00Z", "2024-01-02T00:00Z"),
    ],
)
def test_dates_are_whole_days_and_moments_are_moments(
    start: str, end: str, begin: str, after: str
) -> None:
    assert read_range(DateRange(start=start, end=end), PLAIN) == (at(begin), at(after))


@pytest.mark.parametrize("length_h", [23, 25])
def test_days_of_a_zone_are_as_long_as_they_are(length_h: int) -> None:
    day = {23: "2026-03-29", 25: "2026-10-25"}[length_h]
    start, end = read_range(DateRange(start=day, end=day), BERLIN)

    assert buckets("daily", start, end, BERLIN) == [(start, end)]
    assert end - start == timedelta(hours=length_h)
    hours = buckets("hourly", start, end, BERLIN)
    assert len(hours) == length_h
    assert {after - begin for begin, after in hours} == {timedelta(hours=1)}


def test_weeks_begin_on_monday_and_ends_are_cut() -> None:
    start, end = at("2026-11-04T06:00Z"), at("2026-11-17T00:00Z")  # a Wednesday, a Tuesday

    assert buckets("weekly", start, end, PLAIN) == [
        (start, at("2026-11-09T00:00Z")),
        (at("2026-11-09T00:00Z"), at("2026-11-16T00:00Z")),
        (at("2026-11-16T00:00Z"), end),
    ]


def test_months_have_their_own_lengths() -> None:
    found = buckets("monthly", at("2024-01-31T00:00Z"), at("2025-01-01T00:00Z"), PLAIN)

    assert [begin.month for begin, _ in found] == list(range(1, 13))
    assert found[1] == (at("2024-02-01T00:00Z"), at("2024-03-01T00:00Z"))
    assert found[-1][1] == at("2025-01-01T00:00Z")


@pytest.mark.parametrize(
    ("type_", "begin", "after"),
    [
        ("hourly", "2026-11-29T11:00Z", "2026-11-29T12:00Z"),
        ("daily", "2026-11-28T00:00Z", "2026-11-29T00:00Z"),
        ("weekly", "2026-11-16T00:00Z", "2026-11-23T00:00Z"),
        ("monthly", "2026-10-01T00:00Z", "2026-11-01T00:00Z"),
    ],
)
def test_last_whole_bucket_is_over(type_: BucketType, begin: str, after: str) -> None:
    assert last_whole(type_, at("2026-11-29T12:34:56Z"), PLAIN) == (at(begin), at(after))


def test_half_hours_of_a_zone_are_its_own() -> None:
    zone = ZoneInfo("Asia/Kolkata")

    assert last_whole("hourly", at("2026-11-29T12:34:56Z"), zone) == (
        at("2026-11-29T11:30Z"),
        at("2026-11-29T12:30Z"),
    )


def test_too_many_buckets_are_refused_at_ten_thousand() -> None:
    start = DAY1
    assert len(buckets("hourly", start, start + timedelta(hours=10_000), PLAIN)) == 10_000
    with pytest.raises(UnusableInputError, match="10,000 hourly"):
        buckets("hourly", start, start + timedelta(hours=10_001), PLAIN)


async def test_job_of_a_schedule_takes_the_bucket_before_its_slot() -> None:
    """It was added when the slot before ran: an hour earlier, and may be late besides."""
    clock = ManualClock(now_ms=round(at("2026-11-29T10:30:00Z").timestamp() * 1000))
    ran: list[tuple[datetime, datetime]] = []
    async with MemoryApp(clock=clock) as app:

        @app.schedule("5 * * * *", payload={})
        @app.task(queue="analytics")
        async def hour(ctx: Context) -> None:
            ran.append(last_whole("hourly", ctx.due_at, PLAIN))

        await app.run_for(3600)
        clock.advance(3600)
        await app.run_until_idle()

    assert ran == [
        (at("2026-11-29T10:00:00Z"), at("2026-11-29T11:00:00Z")),
        (at("2026-11-29T11:00:00Z"), at("2026-11-29T12:00:00Z")),
    ]


async def test_delayed_job_is_due_after_its_delay() -> None:
    due: list[datetime] = []
    clock = ManualClock(now_ms=round(at("2026-11-29T10:30:00Z").timestamp() * 1000))
    async with MemoryApp(clock=clock) as app:

        @app.task(queue="analytics")
        async def note(ctx: Context) -> None:
            due.append(ctx.due_at)

        await note.enqueue()
        await note.with_options(delay=90).enqueue()
        await app.run_until_idle(advance=True)

    assert due == [at("2026-11-29T10:30:00Z"), at("2026-11-29T10:31:30Z")]


async def fill_shops(store: Analytics) -> None:
    """Views and purchases of two users, in two shops, of two products; one has none of them."""
    where = [("u1", "s1", "p1"), ("u1", "s2", "p1"), ("u2", "s1", "p2"), (None, None, None)]
    kinds: list[dict[str, Any]] = [
        {"kind": "page_view"},
        {"kind": "purchase", "amount_minor": 100, "currency": "USD"},
        {"kind": "request", "duration_ms": 7, "failed": True},
    ]
    for number, (user, shop, product) in enumerate(where):
        for more in kinds:
            event = Event(
                id=f"{number}-{more['kind']}", at=DAY1, user_id=user, shop_id=shop,
                product_id=product, **more,
            )  # fmt: skip
            assert await store.add(event) == 1


async def only_of(store: Analytics, metric: str, **only: str) -> list[float | None]:
    found = await store.figures(
        metric, "daily", start=DAY1, end=DAY1 + timedelta(days=1), only=Only(**only)
    )
    return [one.value for one in found]


async def test_filters_are_heeded_and_have_rows_of_their_own(app: App, store: Analytics) -> None:
    await fill_shops(store)
    days = {"start": "2026-11-01", "end": "2026-11-01"}
    asked: dict[str, Any] = {"type": "daily", "dateRange": days}
    queue = app.queue("analytics-aggregation")
    for only in ({}, {"userId": "u1"}, {"shopId": "s1"}, {"shopId": "s1", "productId": "p1"}):
        for _ in range(2):
            job = await queue.add("analytics.aggregate", {**asked, **only})
            await app.worker().run(until_idle=True)
            assert (await job.info()).state == "completed"

    views = "page_views"
    assert await only_of(store, views) == [4.0]
    assert await only_of(store, views, user_id="u1") == [2.0]
    assert await only_of(store, views, shop_id="s1") == [2.0]
    assert await only_of(store, views, shop_id="s1", product_id="p1") == [1.0]
    assert await only_of(store, views, product_id="p1") == []  # nobody asked
    for metric, figure in (
        ("revenue", 200.0), ("average_order_value", 100.0), ("active_users", 2.0),
        ("conversion_rate", 1.0), ("request_p50_ms", 7.0), ("request_error_ratio", 1.0),
    ):  # fmt: skip
        assert await only_of(store, metric, shop_id="s1") == [figure], metric


async def test_metric_that_heeds_no_filter_is_refused_with_one(app: App, store: Analytics) -> None:
    queue = app.queue("analytics-aggregation")
    days = {"start": "2026-11-01", "end": "2026-11-01"}
    named = await queue.add(
        "analytics.aggregate",
        {"type": "daily", "dateRange": days, "metrics": ["carts"], "shopId": "s"},
    )
    every = await queue.add(
        "analytics.aggregate", {"type": "daily", "dateRange": days, "shopId": "s"}
    )
    await app.worker().run(until_idle=True)

    assert "metric 'carts': it knows figures of everything only" in str(
        (await named.info()).failed_reason
    )
    assert (await every.info()).result["rows"] == len(store.metrics) - 1


async def test_ratio_heeds_filters_if_both_parts_do() -> None:
    async def own(connection: AsyncConnection, span: Span) -> float:
        del connection, span
        return 1.0

    store = Analytics(
        "sqlite://",
        metrics={"a": ratio_of(count_of("x"), own), "b": ratio_of(count_of("x"), count_of("y"))},
    )

    names = store.metrics_of(Only(user_id="u"))
    assert ("a" in names, "b" in names) == (False, True)
    await store.close()


async def test_fields_that_nobody_knows_are_refused_at_the_door(app: App) -> None:
    app.bind("figures", aggregate, names="aggregate-analytics", rename="camel")
    queue = app.queue("figures")
    for field in ("shopID", "sellerId"):
        with pytest.raises(InvalidPayloadError) as refused:
            await queue.add("aggregate-analytics", {"type": "daily", field: "s"})
        assert refused.value.field == field
    with pytest.raises(InvalidPayloadError) as empty:
        await app.bound(aggregate).enqueue("daily", shop_id="")
    assert empty.value.field == "shopId"
