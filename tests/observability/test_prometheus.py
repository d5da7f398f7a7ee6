"""The figures of a store as Prometheus reads them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from toril import (
    Figures,
    InvalidOptionError,
    JobOptions,
    Metric,
    MetricSample,
    MissingExtraError,
    RetryPolicy,
)
from toril.core.extras import how_to_install
from toril.observability.prometheus import exposition, metrics
from toril.testing import MemoryApp


@pytest.fixture
async def app() -> AsyncIterator[MemoryApp]:
    async with MemoryApp() as made:
        yield made


def parsed(text: str) -> dict[str, Any]:
    """Return what the official parser makes of it: each family by its name."""
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) == text.count("# TYPE ")
    return families


def value(families: dict[str, Any], name: str, **labels: str) -> float:
    """Return the one sample of a name and labels."""
    (found,) = (
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
    return float(found)


async def test_queues_are_told_in_bullmqs_names_and_ours(app: MemoryApp) -> None:
    @app.task(queue="mail")
    async def send() -> None: ...

    await send.enqueue()
    await app.run_until_idle()
    await app.queue("mail").add("send", {}, JobOptions(priority=3))
    await app.queue("mail").add("send", {}, JobOptions(delay_s=60))
    await app.queue("news").pause()
    app.clock.advance(2.5)

    found = parsed(await app.prometheus())

    assert found["bullmq_job_count"].type == "gauge"
    for name in ("bullmq_job_count", "toril_queue_jobs"):
        assert value(found, name, queue="mail", state="completed") == 1
        assert value(found, name, queue="mail", state="delayed") == 1
        assert value(found, name, queue="mail", state="prioritized") == 1
        assert value(found, name, queue="news", state="waiting-children") == 0
    assert found["bullmq_job_completed"].type == "counter"
    assert value(found, "bullmq_job_completed_total", queue="mail") == 1
    assert value(found, "bullmq_job_failed_total", queue="news") == 0
    assert value(found, "toril_oldest_waiting_seconds", queue="mail") == 2.5
    assert value(found, "toril_oldest_waiting_seconds", queue="news") == 0
    assert value(found, "toril_queue_paused", queue="news") == 1
    assert value(found, "toril_workers", queue="mail") == 0


async def test_totals_and_histograms_come_from_the_history(app: MemoryApp) -> None:
    @app.task(queue="mail")
    async def send() -> None: ...

    @app.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=0))
    async def fails() -> None:
        raise ValueError

    for _ in range(3):
        await send.enqueue()
    await fails.enqueue()
    app.clock.advance(2)
    await app.run_until_idle()

    for _ in range(2):
        found = parsed(await app.prometheus())
        total = "toril_jobs_total"
        assert value(found, total, queue="mail", task="send", outcome="completed") == 3
        assert value(found, total, queue="mail", task="fails", outcome="failed") == 1
        assert value(found, total, queue="mail", task="fails", outcome="retried") == 1
        assert found["toril_job_wait_seconds"].type == "histogram"
        wait = {"queue": "mail", "task": "send"}
        assert value(found, "toril_job_wait_seconds_bucket", **wait, le="1.024") == 0
        assert value(found, "toril_job_wait_seconds_bucket", **wait, le="4.096") == 3
        assert value(found, "toril_job_wait_seconds_bucket", **wait, le="+Inf") == 3
        assert value(found, "toril_job_wait_seconds_sum", **wait) == 6
        assert value(found, "toril_job_duration_seconds_count", task="fails") == 2
        app.clock.advance(3600)
        while await app.backend().history.roll_up(limit=2):
            pass


async def test_live_workers_and_their_slots_are_counted(app: MemoryApp) -> None:
    await app.queue("mail").pause()
    await app.queue("news").pause()
    async with (
        app.worker(queues=["mail"], concurrency=3),
        app.worker(queues=["mail", "news"], concurrency=4),
    ):
        found = parsed(await app.prometheus())

    assert value(found, "toril_workers", queue="mail") == 2
    assert value(found, "toril_workers", queue="news") == 1
    assert value(found, "toril_worker_slots") == 7
    assert value(found, "toril_busy_slots") == 0


async def test_letters_and_late_schedules_are_told(app: MemoryApp) -> None:
    @app.task(queue="mail", dead_letter="graveyard", retry=RetryPolicy(max_attempts=1))
    async def fails() -> None:
        raise ValueError

    await fails.enqueue()
    await app.run_until_idle()
    await app.schedules.put("often", fails, every=timedelta(minutes=10))
    app.clock.advance(600 + 90)

    found = parsed(await app.prometheus())

    assert value(found, "toril_dead_letters", queue="graveyard") == 1
    late_s = value(found, "toril_schedule_lag_seconds", queue="mail")
    assert 90 <= late_s <= 690


async def test_queues_that_are_named_are_told_alone(app: MemoryApp) -> None:
    await app.queue("mail").pause()
    await app.queue("news").pause()

    text = await app.prometheus(["news"])

    assert 'queue="news"' in text
    assert 'queue="mail"' not in text


async def test_store_without_queues_has_nothing_to_tell(app: MemoryApp) -> None:
    assert await app.prometheus() == ""


async def test_application_adds_its_own_names(app: MemoryApp) -> None:
    registry = CollectorRegistry()
    switches = Counter(
        "notification_queue_switches_total", "Switches", ["from", "to"], registry=registry
    )
    switches.labels("bull", "in-memory").inc()
    await app.queue("media").add("resize", {})

    @app.metrics
    def sizes(figures: Figures) -> Iterable[Metric]:
        for info in figures.queues:
            size = info.waiting + info.active
            yield Metric("media_processing_queue_size", "gauge", "Jobs", [MetricSample({}, size)])

    @app.metrics
    async def counted(figures: Figures) -> Iterable[object]:
        return registry.collect()

    found = parsed(await app.prometheus())

    assert value(found, "media_processing_queue_size") == 1
    assert value(found, "notification_queue_switches_total", **{"from": "bull"}) == 1


async def test_application_whose_function_fails_hides_nothing_else(
    app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    await app.queue("media").add("resize", {})

    @app.metrics
    def broken(figures: Figures) -> Iterable[Metric]:
        raise OSError("no database")

    with caplog.at_level(logging.ERROR, "toril.metrics"):
        found = parsed(await app.prometheus())

    assert value(found, "toril_queue_jobs", state="waiting") == 1
    assert "the metrics of" in caplog.text
    assert "no database" in caplog.text


@pytest.mark.parametrize("name", ["toril_workers", "twice"])
async def test_name_that_is_taken_is_refused(app: MemoryApp, name: str) -> None:
    await app.queue("media").add("resize", {})

    @app.metrics
    def again(figures: Figures) -> Iterable[Metric]:
        for _ in range(2):
            yield Metric(name, "gauge", "Again", [MetricSample({}, 1)])

    with pytest.raises(InvalidOptionError, match=f"metric '{name}': there are two of this name"):
        await app.prometheus()


def test_name_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="metric ''"):
        exposition([Metric("", "gauge", "None", [MetricSample({}, 1)])])


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", '\\"', "é{}"])
def test_labels_come_back_as_they_were(name: str) -> None:
    metric = Metric("x", "gauge", "one\nline \\ of help", [MetricSample({"queue": name}, 3)])

    found = parsed(exposition([metric]))

    assert value(found, "x", queue=name) == 3
    assert found["x"].documentation == "one\nline \\ of help"


def test_nothing_is_told_of_a_name_without_figures() -> None:
    assert exposition(metrics(Figures(queues=[], workers=[]))) == ""


async def test_lack_of_the_library_is_told(app: MemoryApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.exposition", None)

    with pytest.raises(MissingExtraError, match=re.escape(how_to_install("metrics"))):
        await app.prometheus()
