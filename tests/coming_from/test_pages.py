"""The pages for those who come from another queue: both sides of each run, and say the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.coming_from.programs import PAGES, Programs, celery_python, peers_python
from tests.support.redis_servers import RedisServer

ALL = sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "index")
SHARED = [page for page in ALL if page.startswith("bullmq")]
"""Those whose queues are ours as well."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that these programs have to themselves."""
    with RedisServer.start(tmp_path_factory.mktemp("redis"), software="redis") as server:
        yield server.port


@pytest.fixture
def programs(port: int, tmp_path: Path) -> Iterator[Callable[[str], Programs]]:
    made: list[Programs] = []

    def make(page: str) -> Programs:
        made.append(Programs(page, tmp_path, port))
        return made[-1]

    yield make
    for each in made:
        each.end_all()


@pytest.mark.parametrize("page", ALL)
def test_both_sides_of_the_page_say_what_it_says(
    programs: Callable[[str], Programs], page: str
) -> None:
    these = programs(page)

    these.work("theirs")
    assert these.call("theirs") == these.says
    these.end_all()

    these.work("ours")
    assert these.call("ours") == these.says


@pytest.mark.parametrize("page", SHARED)
def test_calls_of_one_side_are_answered_by_the_other(
    programs: Callable[[str], Programs], page: str
) -> None:
    these = programs(page)

    these.work("ours")
    assert these.call("theirs") == these.says
    these.end_all()

    these.work("theirs")
    assert these.call("ours") == these.says


CELERY = """
import json
from celery import Celery
from kombu.transport.redis import Channel

app = Celery()

@app.task
def task(): ...

print(json.dumps([task.max_retries, task.default_retry_delay, app.conf.task_acks_late,
                  Channel.visibility_timeout]))
"""
OTHERS = """
import inspect, json
import arq.worker, dramatiq.brokers.redis, dramatiq.middleware, huey.storage, rq

def of(function, *names):
    return [inspect.signature(function).parameters[name].default for name in names]

print(json.dumps({
    "arq": of(arq.worker.Worker, "job_timeout", "keep_result", "poll_delay", "max_tries",
              "max_jobs", "allow_abort_jobs"),
    "rq": [rq.Queue.DEFAULT_TIMEOUT],
    "dramatiq": [*of(dramatiq.middleware.Retries, "max_retries"),
                 *of(dramatiq.middleware.TimeLimit, "time_limit"),
                 *of(dramatiq.brokers.redis.RedisBroker, "dead_message_ttl"),
                 dramatiq.middleware.retries.DEFAULT_MIN_BACKOFF,
                 dramatiq.middleware.retries.DEFAULT_MAX_BACKOFF],
    "huey": [*of(huey.Huey.task, "retries"), *of(huey.storage.SqliteStorage, "fsync")],
}))
"""


def answer(python: Path, program: str) -> object:
    done = subprocess.run(
        [str(python), "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_their_defaults_are_those_that_the_pages_tell() -> None:
    assert answer(celery_python(), CELERY) == [3, 180, False, 3600]
    assert answer(peers_python(), OTHERS) == {
        "arq": [300, 3600, 0.5, 5, 10, False],
        "rq": [180],
        "dramatiq": [20, 600_000, 7 * 86_400_000, 15_000, 7 * 86_400_000],
        "huey": [0, None],
    }


def test_every_page_has_the_same_parts() -> None:
    for page in ALL:
        text = (PAGES / f"{page}.md").read_text("utf-8")
        heads = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
        assert heads[:4] == [
            "The same program",
            "Their words and ours",
            "What moves over as it is",
            "What does not",
        ]
        assert heads[4].startswith("What ")
        assert heads[4].endswith(" better")
        assert f"({page}.md)" in (PAGES / "index.md").read_text("utf-8")
