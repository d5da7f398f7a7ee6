"""Workers as pages show them: the silent first, what each runs now, and whose version differs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from toril.engine.search.grammar import MAX_CHARS
from toril.engine.search.query import Pattern, Query, Term
from toril.engine.states import State
from toril.rest.answers import JobLine, WorkerFacts
from toril.rest.bodies import SearchQuery
from toril.web.access.port import Permission
from toril.web.dashboard.visit import Visit
from toril.web.routes.search import search_jobs

ORDER = ("silent", "paused", "quiet", "working")
"""States of workers, those that need somebody first."""
MOST_JOBS = 200
"""Running jobs that are read for one page."""
MOST_QUEUES = 50
BUDGET_S = 1.0


class Running(msgspec.Struct, frozen=True):
    """A job that a worker runs now."""

    job: JobLine
    elapsed_s: float | None


class Member(msgspec.Struct, frozen=True):
    """A worker, and what it runs now."""

    facts: WorkerFacts
    jobs: list[Running]
    drifts: bool
    """It is of another version than the newest of its fellows."""
    tellable: bool
    """The reader may tell it what to do."""


async def members(visit: Visit, found: Iterable[WorkerFacts]) -> list[Member]:
    """Return workers, those that need somebody first, with what they run now."""
    workers = by_need(found)
    jobs = await running(visit, workers)
    newest = newest_version(workers)
    return [
        Member(
            facts=one,
            jobs=jobs.get(one.id, []),
            drifts=one.version != newest,
            # Of one whose figures are hidden, there are queues that the reader may not see.
            tellable=one.concurrency is not None
            and all(visit.may(Permission.OPERATE, queue) for queue in one.queues),
        )
        for one in workers
    ]


def by_need(found: Iterable[WorkerFacts]) -> list[WorkerFacts]:
    """Return workers, those that need somebody first, the oldest of them before others."""
    return sorted(found, key=lambda one: (ORDER.index(one.state), one.started_at, one.id))


async def running(visit: Visit, workers: Sequence[WorkerFacts]) -> dict[str, list[Running]]:
    """Return the jobs that run now, by the worker that runs them, the longest first."""
    served = {queue for one in workers for queue in one.queues}
    active = sorted(
        info.name for info in await visit.queues() if info.active and info.name in served
    )
    query = query_for(active[:MOST_QUEUES])
    if query is None:
        return {}
    asked = SearchQuery(q=query, limit=MOST_JOBS, budget_s=BUDGET_S)
    found = (await visit.ask(search_jobs, query=asked)).items
    jobs: dict[str, list[Running]] = {}
    for job in found:
        if job.worker_id is not None:
            jobs.setdefault(job.worker_id, []).append(Running(job, elapsed(job, visit.now)))
    for some in jobs.values():
        some.sort(key=lambda one: -(one.elapsed_s or 0))
    return jobs


def query_for(queues: Sequence[str]) -> str | None:
    """Return a search for running jobs of queues, of as many as it can name. None: of none."""
    names = list(queues)
    while names:
        terms = (
            Term("state", ":", (Pattern((str(State.ACTIVE),)),)),
            Term("queue", ":", tuple(Pattern((name,)) for name in names)),
        )
        text = str(Query((terms,)))
        if len(text) <= MAX_CHARS:
            return text
        names = names[: len(names) // 2]
    return None


def elapsed(job: JobLine, now: datetime) -> float | None:
    """Return for how long a job has run, in seconds."""
    if job.processed_at is None:
        return None
    return max(0.0, (now - job.processed_at).total_seconds())


def versions(workers: Iterable[WorkerFacts]) -> dict[str, int]:
    """Return how many workers there are of each version, the newest first."""
    counted: dict[str, int] = {}
    for one in workers:
        counted[one.version] = counted.get(one.version, 0) + 1
    return dict(sorted(counted.items(), key=lambda pair: _order(pair[0]), reverse=True))


def newest_version(workers: Iterable[WorkerFacts]) -> str | None:
    """Return the newest version among workers; None if there are none."""
    return next(iter(versions(workers)), None)


def _order(version: str) -> tuple[list[int], bool, str]:
    """Return what versions are ordered by: `1.10.0` is after `1.9.2`, and after `1.10.0rc1`."""
    plain = re.match(r"\d+(?:\.\d+)*", version[:100])
    numbers = [int(part) for part in plain[0].split(".")] if plain else []
    return numbers, plain is not None and plain[0] == version, version
