"""Lists of jobs: what is looked for, as chips, and what was found, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from toril.core.errors import QueryError
from toril.engine.search.fields import FIELDS
from toril.engine.search.grammar import parse
from toril.engine.search.query import Pattern, Query, Term
from toril.engine.states import State
from toril.rest.answers import FoundJobs, JobLine
from toril.rest.bodies import SearchQuery
from toril.web.dashboard.visit import Visit
from toril.web.problems import Problem
from toril.web.routes.search import search_jobs

ROWS = 50
BUDGET_S = 2.0


class Row(msgspec.Struct, frozen=True):
    """A job in a list."""

    job: JobLine
    wait_s: float | None
    run_s: float | None


class Chip(msgspec.Struct, frozen=True):
    """One thing that is looked for, and the search without it."""

    text: str
    without: str


async def find_jobs(visit: Visit, queue: str | None = None) -> dict[str, Any]:
    """Return what a list of jobs shows: what `?q=` looks for, in a queue or in all.

    A search that cannot be read, or is not allowed, is shown beside the box, and finds nothing.
    """
    text = visit.param("q").strip()
    found: FoundJobs | None = None
    problem = ""
    query: Query | None = None
    try:
        query = parse(text)
        whole = text if queue is None else str(within(query, queue))
        asked = SearchQuery(
            q=whole, limit=ROWS, after=visit.param("after") or None, budget_s=BUDGET_S
        )
        found = await visit.ask(search_jobs, query=asked)
    except (QueryError, Problem) as error:
        if isinstance(error, Problem) and error.status >= 500:
            raise
        problem = str(error)
    return {
        "q": text,
        "rows": [] if found is None else [row(one, visit.now) for one in found.items],
        "found": found,
        "problem": problem,
        "chips": [] if query is None else chips(query),
        "only_state": None if query is None else only_state(query),
        "start": not visit.param("after"),
        "fields": [
            {"name": name, "operators": list(field.operators), "meaning": field.meaning}
            for name, field in FIELDS.items()
        ],
        "states": [str(state) for state in State],
    }


def within(query: Query, queue: str) -> Query:
    """Return a search that finds jobs of one queue only."""
    term = Term("queue", ":", (Pattern((queue,)),))
    return Query(tuple((term, *terms) for terms in query.alternatives))


def chips(query: Query) -> list[Chip]:
    """Return the words of a search, each with the search without it. None of one with `OR`."""
    if len(query.alternatives) != 1:
        return []
    terms = query.alternatives[0]
    return [
        Chip(str(term), str(Query((terms[:place] + terms[place + 1 :],))))
        for place, term in enumerate(terms)
    ]


def only_state(query: Query) -> str | None:
    """Return the one state that a search names; None if it names several or none."""
    named = [
        term
        for terms in query.alternatives
        for term in terms
        if term.field == "state" and not term.negated
    ]
    if len(query.alternatives) != 1 or len(named) != 1 or len(named[0].values) != 1:
        return None
    return named[0].values[0].exact


def with_state(text: str, state: str | None) -> str:
    """Return a search with another state, or with none; one that cannot be read is left out."""
    try:
        query = parse(text)
    except QueryError:
        query = Query(((),))
    kept: Sequence[Term] = ()
    if len(query.alternatives) == 1:
        kept = [term for term in query.alternatives[0] if term.field != "state"]
    first = [] if state is None else [Term("state", ":", (Pattern((state,)),))]
    return str(Query(((*first, *kept),)))


def row(job: JobLine, now: datetime) -> Row:
    """Return a row: how long the job has waited, and how long it has run."""
    ready_at = job.run_at or job.created_at
    began = job.processed_at
    wait_s = run_s = None
    if began is not None:
        wait_s = max(0.0, (began - job.created_at).total_seconds() - job.delay_s)
        ended = job.finished_at if job.finished_at is not None else now
        if job.state in (State.ACTIVE, State.COMPLETED, State.FAILED):
            run_s = max(0.0, (ended - began).total_seconds())
    elif job.state in (State.WAIT, State.PRIORITIZED):
        wait_s = max(0.0, (now - ready_at).total_seconds())
    return Row(job, wait_s, run_s)
