"""The figures of queues as Prometheus reads them."""

from __future__ import annotations

import re

import pytest

from toril import JobOptions
from toril.observability.prometheus import Metric, Sample, bullmq_metrics, exposition
from toril.testing import MemoryApp

LINE = re.compile(
    r"# (HELP [a-z_]+ [^\n]+|TYPE [a-z_]+ (counter|gauge))"
    r'|[a-z_]+\{[a-z]+="([^"\\\n]|\\[\\n"])*"(, [a-z]+="([^"\\\n]|\\[\\n"])*")*\} \d+(\.\d+)?'
)


async def test_queues_are_told_in_bullmqs_names_and_ours() -> None:
    async with MemoryApp() as app:

        @app.task(queue="mail")
        async def send() -> None: ...

        await send.enqueue()
        await app.run_until_idle()
        await app.queue("mail").add("send", {}, JobOptions(priority=3))
        await app.queue("mail").add("send", {}, JobOptions(delay_s=60))
        await app.queue("news").pause()
        app.clock.advance(2.5)

        text = await app.prometheus()

    lines = text.splitlines()
    assert text.endswith("\n")
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    for expected in (
        "# TYPE bullmq_job_count gauge",
        'bullmq_job_count{queue="mail", state="completed"} 1',
        'bullmq_job_count{queue="mail", state="delayed"} 1',
        'bullmq_job_count{queue="mail", state="prioritized"} 1',
        'bullmq_job_count{queue="mail", state="waiting"} 0',
        'bullmq_job_count{queue="news", state="waiting-children"} 0',
        "# TYPE bullmq_job_completed_total counter",
        'bullmq_job_completed_total{queue="mail"} 1',
        'bullmq_job_failed_total{queue="news"} 0',
        'toril_oldest_waiting_seconds{queue="mail"} 2.5',
        'toril_oldest_waiting_seconds{queue="news"} 0',
        'toril_queue_paused{queue="news"} 1',
        'toril_workers{queue="mail"} 0',
    ):
        assert expected in lines, text
    # The lines of a name stand together, what it means before them.
    names = [
        re.split(r"[ {]", line.removeprefix("# HELP ").removeprefix("# TYPE "))[0] for line in lines
    ]
    assert len({*names}) == sum(a != b for a, b in zip(["", *names], names, strict=False))
    assert len([line for line in lines if line.startswith("# TYPE")]) == len({*names})


async def test_live_workers_are_counted_for_each_queue_that_they_serve() -> None:
    async with MemoryApp() as app:
        await app.queue("mail").pause()
        await app.queue("news").pause()
        async with app.worker(queues=["mail"]), app.worker(queues=["mail", "news"]):
            text = await app.prometheus()

    assert 'toril_workers{queue="mail"} 2\n' in text
    assert 'toril_workers{queue="news"} 1\n' in text


async def test_store_without_queues_has_nothing_to_tell() -> None:
    async with MemoryApp() as app:
        assert await app.prometheus() == ""


@pytest.mark.parametrize(
    ("name", "written"),
    [('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb"), ('\\"', r"\\\""), ("é{}", "é{}")],
)
def test_labels_are_escaped(name: str, written: str) -> None:
    metric = Metric("x", "gauge", "one\nline \\ of help", [Sample({"queue": name}, 3)])

    assert exposition([metric]) == (
        "# HELP x one\\nline \\\\ of help\n# TYPE x gauge\n" + f'x{{queue="{written}"}} 3\n'
    )


def test_nothing_is_told_of_a_name_without_figures() -> None:
    assert exposition(bullmq_metrics([])) == ""
