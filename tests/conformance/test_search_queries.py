"""Searches by text: what they find, page by page, on every store."""

from __future__ import annotations

import pytest
from tests.support.contract import HandWorker, Q, add, job, outcome
from tests.support.poison import TEXTS, poisonous

from toril.core.errors import InvalidOptionError
from toril.engine.contract import Backend
from toril.engine.search.found import SearchPage
from toril.engine.search.searcher import MAX_PAYLOAD_BYTES, Searcher
from toril.engine.states import State
from toril.testing.clock import ManualClock

JO = '{"to":"jo@example.com","total":12.5,"lines":[{"sku":"A1"}]}'
LATER = '{"to":"jo@example.com","at":"2026-05-01"}'


@pytest.fixture
def searcher(backend: Backend) -> Searcher:
    return Searcher(lambda: backend)


async def page(searcher: Searcher, text: str, **fields: object) -> SearchPage:
    """Return one page."""
    options = {"cursor": None, "limit": 50, "budget": 60.0, "progress": None, **fields}
    return await searcher.page(text, **options)  # type: ignore[arg-type]


async def find(searcher: Searcher, text: str, limit: int = 50) -> list[str]:
    """Return `queue/id` of all that is found, page by page."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        one = await page(searcher, text, cursor=cursor, limit=limit)
        found += [f"{info.queue}/{info.id}" for info in one.jobs]
        assert len(one.jobs) <= limit
        cursor = one.next
        if cursor is None:
            return found


@pytest.fixture
async def shop(backend: Backend, worker: HandWorker, clock: ManualClock) -> dict[str, str]:
    """Jobs of two queues in several states; word to `queue/id`."""
    there: dict[str, str] = {}
    ids = await add(
        backend,
        job("mail", name="receipt", data=JO),
        job("mail", name="receipt", data='{"to":"flo@example.org","paid":true,"note":null}'),
        job("mail", name="welcome", data='{"to":"Jos\\u00e9","n":7}', job_id="own"),
        job("print", name="label", data=LATER, delay_ms=9_000),
        job("print", name="label", data='"just text"', opts='{"attempts":5}', priority=3),
    )  # fmt: skip
    queues = ("mail", "mail", "mail", "print", "print")
    for word, queue, job_id in zip(("jo", "flo", "own", "later", "soon"), queues, ids, strict=True):
        there[word] = f"{queue}/{job_id}"
    clock.advance(5)
    (claimed,) = await worker.claim("mail")
    assert f"mail/{claimed.id}" == there["jo"]
    clock.advance(30)
    await worker.ask(outcomes=[outcome(claimed, "failed", reason="SmtpError: Timeout of 30 s")])
    clock.advance(60)
    return there


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "jo own flo soon later"),
        ("state:failed", "jo"),
        ("state:failed,delayed", "jo later"),
        ("-state:failed queue:mail", "own flo"),
        ("queue:pr*", "soon later"),
        ("queue~AI", "jo own flo"),
        ("name:receipt", "jo flo"),
        ("name:label,welcome", "own soon later"),
        ("name~CEI", "jo flo"),
        ("data.to:*@example.com", "jo later"),
        ("data.to:*@example.com queue:mail", "jo"),
        ("data.to:josé", ""),
        ("data.to~josÉ", "own"),
        ("data~josé", "own"),
        ("josé", "own"),
        ("data.lines.sku:A1", "jo"),
        ("data.lines.0.sku:A1", "jo"),
        ("data.lines.1.sku:A1", ""),
        ("data.total>12", "jo"),
        ("data.total:12.5", "jo"),
        ("data.n:7", "own"),
        ("data.paid:true", "flo"),
        ("data.note:null", "flo"),
        ("data.to:*", "jo own flo later"),
        ("-data.to:* queue:print", "soon"),
        ("data.at>=2026-04-30", "later"),
        ("data.at<2026-05-01", ""),
        ('data:"just text"', "soon"),
        ('"just text"', "soon"),
        ("opts.attempts>4", "soon"),
        ("error~timeout", "jo"),
        ('error:"SmtpError: Timeout of 30 s"', "jo"),
        ("error:Smtp*30*s", "jo"),
        ("error:Smtp*31*s", ""),
        ("timeout", "jo"),
        ("timeout OR label", "jo soon later"),
        ("state:failed OR state:delayed name:label", "jo later"),
        ("id:own", "own"),
        ("id:1,2,own queue:mail", "jo? flo? own"),
        ("id:own OR id:nothing", "own"),
        ("id~OW", "own"),
        ("worker:worker-1", "jo"),
        ("attempts:1", "jo"),
        ("attempts>0", "jo"),
        ("priority:3", "soon"),
        ("size>50", "jo"),
        ("size<=12", "soon"),
        ("since:70s", "jo"),
        ("since:50s", ""),
        ("until:70s", "own flo soon later"),
        ("since:2h until:1h", ""),
        ("-since:70s", "own flo soon later"),
        ("age>90s", "jo own flo soon later"),
        ("wait>=5s", "jo"),
        ("wait>6s", ""),
        ("runtime>=30s", "jo"),
        ("runtime<30s", ""),
        ("dedup:x", ""),
        ("parent:x", ""),
        ("result.x:1", ""),
        ("queue:nowhere", ""),
    ],
)
@pytest.mark.parametrize("limit", [1, 50])
async def test_finds_what_is_asked_for(
    searcher: Searcher, shop: dict[str, str], text: str, found: str, limit: int
) -> None:
    if text.startswith("id:1"):  # whatever numbers the jobs have
        ids = [shop[word].partition("/")[2] for word in ("jo", "flo")]
        text = text.replace("1,2", ",".join(ids))
    wanted = {shop[word.rstrip("?")] for word in found.split()}

    got = await find(searcher, text, limit)

    assert set(got) == wanted
    assert len(got) == len(wanted)


async def test_a_page_says_where_it_stands_and_goes_on_there(
    searcher: Searcher, shop: dict[str, str]
) -> None:
    told: list[int] = []
    first = await page(searcher, "queue:mail", limit=2, progress=told.append)
    rest = await page(searcher, "queue:mail", cursor=first.next)

    assert [info.state for info in first.jobs] == [State.FAILED, State.WAIT]
    assert (first.queue, first.state, first.ended) == ("mail", "wait", False)
    assert (first.looked_at, told[-1]) == (2, 2)
    assert (rest.queue, rest.state, rest.ended, len(rest.jobs)) == (None, None, True, 1)


async def test_no_time_is_one_look(searcher: Searcher, backend: Backend) -> None:
    await add(backend, *(job(data=f'{{"n":{n}}}') for n in range(900)))
    pages, cursor, found = 0, None, []
    while pages == 0 or cursor is not None:
        one = await page(searcher, "data.n:3,600", cursor=cursor, budget=0)
        assert one.looked_at <= 400
        found += one.jobs
        cursor = one.next
        pages += 1

    assert sorted(info.data["n"] for info in found) == [3, 600]
    assert pages >= 3


async def test_a_cursor_is_of_one_search(searcher: Searcher, shop: dict[str, str]) -> None:
    first = await page(searcher, "queue:mail", limit=1)

    for text, cursor in (("queue:print", first.next), ("queue:mail", "nonsense"), ("", "é")):
        with pytest.raises(InvalidOptionError, match="cursor="):
            await page(searcher, text, cursor=cursor)
    with pytest.raises(InvalidOptionError, match="limit=0"):
        await page(searcher, "", limit=0)


async def test_large_payloads_are_counted_where_they_matter(
    searcher: Searcher, backend: Backend
) -> None:
    await add(backend, job(name="big", data='"' + "x" * MAX_PAYLOAD_BYTES + '"'))

    by_payload = await page(searcher, "data~xx")
    by_name = await page(searcher, "name:big")

    assert (len(by_payload.jobs), by_payload.passed_over, by_payload.looked_at) == (0, 1, 1)
    assert (len(by_name.jobs), by_name.passed_over) == (1, 0)


async def test_poisonous_jobs_are_looked_at_like_others(
    searcher: Searcher, backend: Backend
) -> None:
    ids = await add(backend, *poisonous(Q), job(name="good"))

    assert len(await find(searcher, "")) == len(ids)
    assert len(await find(searcher, "name:good")) == 1
    for text in (
        "data.n>0",
        "data:x",
        "data~x",
        "opts.attempts:3",
        "dedup:x",
        "age>1s",
        "since:1h",
    ):
        await find(searcher, text)
    assert len(await find(searcher, "name:text")) == len([one for one in TEXTS.values() if one])


@pytest.mark.parametrize(
    ("text", "tier", "most", "says"),
    [
        ("id:1,2", "id", 4, "Looks up 2 ids in 2 queues: 4 short reads."),
        ("state:failed since:1h", "list", 1, "Of finished jobs only those of that time are read."),
        ("queue:mail", "list", 3, "Reads lists of states in 1 queue"),
        ("error~timeout", "scan", 5, 'The store itself passes over jobs without "timeout".'),
        ("attempts>3", "scan", 5, "Each job is read whole"),
        ("state:wait since:1h", "scan", 2, "Looks at up to 2 jobs in 2 queues one by one"),
    ],
)
async def test_a_plan_says_what_a_search_costs(
    searcher: Searcher, shop: dict[str, str], text: str, tier: str, most: int, says: str
) -> None:
    plan = await searcher.plan(text)

    assert (plan.query, plan.tier, plan.jobs_at_most) == (text, tier, most)
    assert says in " ".join(plan.sentences)
