"""Reports, by workers, on both stores: PDF, CSV and JSON agree in every number."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pypdfium2
import pytest

from toril import App
from toril.core.errors import InvalidOptionError
from toril.library.reports import (
    ReportContent,
    ReportFigure,
    Reports,
    ReportSeries,
    ReportSettings,
    ReportTable,
)
from toril.library.reports.content import change_percent
from toril.library.reports.periods import daily_period, weekly_period
from toril.library.reports.published import daily_of, defaults, weekly_of
from toril.library.reports.tasks import daily, reports, weekly
from toril.services.objects.memory import MemoryObjects
from toril.services.unusable import UnusableInputError
from toril.testing import ManualClock, MemoryApp

DUE = datetime(2026, 11, 30, 6, tzinfo=UTC)  # a Monday


@dataclass
class Shop:
    """A source whose numbers follow from the day."""

    asked: list[tuple[datetime, datetime]] = field(default_factory=list)
    factor: int = 1

    async def gather(self, start: datetime, end: datetime) -> ReportContent:
        self.asked.append((start, end))
        days = (end - start).days
        day = start.timetuple().tm_yday
        points = [(f"D{n}", (day + n) * 100 * self.factor) for n in range(days)]
        return ReportContent(
            figures=[
                ReportFigure(name="orders", label="Orders", value=1000 + day * self.factor),
                ReportFigure(
                    name="revenue_EUR", label="Revenue", value=4_210_950 + day, currency="EUR"
                ),
                ReportFigure(name="refunds", label="Refunds", value=3, less_is_better=True),
                ReportFigure(name="conversion", label="Conversion", value=None),
            ],
            series=[ReportSeries(name="sales", label="Sales", currency="EUR", points=points)],
            tables=[
                ReportTable(
                    name="products",
                    label="Top products",
                    columns=["Product", "Sold"],
                    rows=[["=cmd()", 12_345], ["#strong[*] Käse", 7]],
                )
            ],
        )


@dataclass
class Made:
    app: App
    objects: MemoryObjects
    source: Shop
    mails: list[dict[str, Any]]

    async def run(self, queue: str, name: str, payload: dict[str, Any]) -> Any:
        job = await self.app.queue(queue).add(name, payload)
        await self.app.worker().run(until_idle=True)
        info = await job.info()
        assert info.state == "completed", info.failed_reason
        return info.result

    async def content(self, key: str) -> bytes:
        return await (await self.objects.get(key)).read(10**7)


@pytest.fixture
async def made(url: str) -> AsyncIterator[Made]:
    app, objects, source = App(url), MemoryObjects(), Shop()
    mails: list[dict[str, Any]] = []

    @app.task(name="email.send", queue="email")
    async def send(to: str, template: str, variables: dict[str, Any]) -> None:
        mails.append({"to": to, "template": template, **variables})

    app.include(reports)
    app.bind(
        "daily-reports", daily, names="generate-daily-report", adapter=daily_of, rename="camel"
    )
    app.bind(
        "weekly-reports", weekly, names="generate-weekly-report", adapter=weekly_of, rename="camel"
    )
    app.bind("daily-reports", daily, names="daily-reports-scheduler", adapter=defaults)
    settings = ReportSettings(brand="Northwind", recipients=["boss@example.com"])
    app.provide(Reports(source, objects, settings=settings))
    yield Made(app, objects, source, mails)
    await app.close()


def text_of(content: bytes) -> str:
    document = pypdfium2.PdfDocument(content)
    text = "\n".join(page.get_textpage().get_text_bounded() for page in document)
    document.close()
    return text


async def test_all_formats_have_the_same_numbers(made: Made) -> None:
    result = await made.run("weekly-reports", "reports.weekly", {"weekStart": "2026-11-16"})

    assert (result["start"], result["end"], result["mailed"]) == ("2026-11-16", "2026-11-22", 1)
    files = {one["format"]: await made.content(one["key"]) for one in result["files"]}
    assert {kind: len(content) for kind, content in files.items()} == {
        one["format"]: one["bytes"] for one in result["files"]
    }
    document = json.loads(files["json"])
    rows = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    pages = text_of(files["pdf"])
    figures = {row["name"]: row for row in rows if row["section"] == "figures"}
    day = date(2026, 11, 16).timetuple().tm_yday
    expected = {
        "orders": (1000 + day, 1000 + day - 7),
    }
    names = [one["name"] for one in document["figures"]]
    assert names == ["orders", "revenue_EUR", "refunds", "conversion"] == [*figures]
    for one in document["figures"]:
        for key in ("value", "previous", "changePercent"):
            said = "" if one[key] is None else str(one[key])
            assert figures[one["name"]][key] == said
        if one["value"] is not None:
            whole, point, rest = str(one["value"]).partition(".")
            assert f"{int(whole):,}{point}{rest}" in pages
    assert document["figures"][0]["value"] == expected["orders"][0]
    assert document["figures"][0]["previous"] == expected["orders"][1]
    assert document["figures"][1]["value"] == f"{(4_210_950 + day) / 100:.2f}"
    points = [
        (row["label"], row["value"], row["previous"]) for row in rows if row["name"] == "sales"
    ]
    assert points == [
        (one["label"], one["value"], one["previous"]) for one in document["series"][0]["points"]
    ]
    assert len(points) == 7
    for _, value, _ in points:
        assert value.partition(".")[0][-3:] in pages
    assert "12,345" in pages
    assert "Top products" in pages
    assert "Northwind" in pages


async def test_texts_are_neither_markup_nor_formulas(made: Made) -> None:
    result = await made.run("daily-reports", "reports.daily", {"date": "2026-11-16"})

    files = {one["format"]: await made.content(one["key"]) for one in result["files"]}
    assert "#strong[*] Käse" in text_of(files["pdf"])
    assert "'=cmd()" in files["csv"].decode()
    assert "\n=" not in files["csv"].decode()
    assert json.loads(files["json"])["tables"][0]["rows"][0] == ["=cmd()", 12_345]


async def test_chart_and_comparison_are_drawn_only_if_they_are_asked_for(made: Made) -> None:
    asked = {"weekStart": "2026-11-16", "formats": ["pdf"]}
    result = await made.run("weekly-reports", "reports.weekly", asked)
    with_all = text_of(await made.content(result["files"][0]["key"]))
    none = {**asked, "includeCharts": False, "includeComparison": False}
    await made.run("weekly-reports", "reports.weekly", none)
    without = text_of(await made.content(result["files"][0]["key"]))

    assert "a week before" in with_all
    assert "D6" in with_all
    assert "compared with the week before" in with_all
    assert "before" not in without
    assert "D6" not in without
    assert len(made.source.asked) == 3


async def test_same_day_replaces_its_files(made: Made) -> None:
    first = await made.run("daily-reports", "reports.daily", {"date": "2026-11-16"})
    before = await made.content(first["files"][1]["key"])
    made.source.factor = 2
    second = await made.run("daily-reports", "reports.daily", {"date": "2026-11-16"})

    assert [one["key"] for one in first["files"]] == [one["key"] for one in second["files"]]
    assert len((await made.objects.list()).entries) == 3
    assert await made.content(first["files"][1]["key"]) != before


async def test_mail_has_links_and_the_first_figures(made: Made) -> None:
    payload = {"date": "2026-11-16", "recipients": ["ann@example.com", "bo@example.com"]}
    result = await made.run("daily-reports", "reports.daily", payload)

    assert sorted(mail["to"] for mail in made.mails) == ["ann@example.com", "bo@example.com"]
    mail = made.mails[0]
    assert (mail["template"], mail["title"]) == ("report_ready", "Daily report")
    assert (mail["period"], mail["expires_in"]) == ("16 November 2026", "7 days")
    assert sorted(mail["links"]) == ["CSV", "JSON", "PDF"]
    assert all("signature=" in link for link in mail["links"].values())
    assert mail["figures"]["Orders"].isdigit()
    assert mail["figures"]["Revenue"].endswith(" EUR")
    assert result["mailed"] == 2
    nobody = await made.run(
        "daily-reports", "reports.daily", {"recipients": [], "formats": ["csv"]}
    )
    assert (nobody["mailed"], len(made.mails)) == (0, 2)


async def test_payloads_of_older_producers(made: Made) -> None:
    beside = {"reportType": "sales", "recipients": ["a@example.com"], "format": "csv"}
    day = await made.run(
        "daily-reports", "generate-daily-report", {"date": "2026-11-16T00:00:00.000Z", **beside}
    )
    week = await made.run(
        "weekly-reports",
        "generate-weekly-report",
        {"weekStart": "2026-11-16", "weekEnd": "2026-11-22", "includeCharts": True, **beside},
    )
    scheduled = await made.run("daily-reports", "daily-reports-scheduler", {"scheduled": True})

    assert (day["start"], day["end"]) == ("2026-11-16", "2026-11-16")
    assert [one["format"] for one in day["files"]] == ["csv"]
    assert (week["start"], week["end"]) == ("2026-11-16", "2026-11-22")
    assert scheduled["start"] == (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    assert len(scheduled["files"]) == 3


async def test_schedules_report_yesterday_and_last_week_each_once() -> None:
    clock = ManualClock(now_ms=round(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp() * 1000))
    source, objects = Shop(), MemoryObjects()
    async with MemoryApp(clock=clock) as app:
        app.schedule("0 6 * * *", payload={"formats": ["json"]})(app.include(daily))
        app.schedule("0 8 * * 1", payload={"formats": ["json"]})(app.include(weekly))
        app.provide(Reports(source, objects))
        await app.run_for(timedelta(days=4))

    keys = [one.key for one in (await objects.list()).entries]
    assert keys == [
        "reports/daily/2026-11-27/report.json",
        "reports/daily/2026-11-28/report.json",
        "reports/daily/2026-11-29/report.json",
        "reports/daily/2026-11-30/report.json",
        "reports/weekly/2026-11-23/report.json",
    ]


def test_periods_are_days_of_the_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    day = daily_period(None, DUE, "Europe/Berlin")
    week = weekly_period(None, DUE, "UTC")
    changed = daily_period("2026-10-25", DUE, "Europe/Berlin")

    assert (day.first, day.last) == (date(2026, 11, 29), date(2026, 11, 29))
    assert day.start.astimezone(berlin).hour == 0
    assert (week.first, week.last) == (date(2026, 11, 23), date(2026, 11, 29))
    assert week.earlier(7).first == date(2026, 11, 16)
    assert changed.end - changed.start == timedelta(hours=25)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: daily_period("yesterday!", DUE, "UTC"), "date 'yesterday!'"),
        (lambda: daily_period(None, DUE, "Europe/Berlln"), "Europe/Berlin"),
        (lambda: weekly_period("2026-11-17", DUE, "UTC"), "expected 2026-11-16"),
    ],
)
def test_period_that_is_none_is_refused(call: Any, said: str) -> None:
    with pytest.raises(UnusableInputError, match=re.escape(said)):
        call()


def test_change_is_in_percent_of_what_was_before() -> None:
    assert change_percent(110, 100) == 10.0
    assert change_percent(50, -100) == 150.0
    assert (change_percent(1, 0), change_percent(None, 1), change_percent(1, None)) == (None,) * 3


@pytest.mark.parametrize(
    "wrong", [{"prefix": ""}, {"prefix": "/a"}, {"link_s": 10}, {"mail_task": ""}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        ReportSettings(**wrong)
