"""The pages of operations and of the audit log: what was done, by whom, and how to take it back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from tests.support.waiting import wait_until
from tests.web.dashboard.support import Reader, Site, site
from tests.web.dashboard.test_frame import enter, guarded

from toril import App
from toril.engine.audit import AuditEntry
from toril.web.dashboard.pages.audit import MOST_CHARS, line_of, short

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m" + "w" * 900


async def add(app: App, queue: str = "mail", many: int = 3) -> None:
    for number in range(many):
        await app.queue(queue, existing=True).add("send", {"to": number})


async def test_removal_is_shown_and_undone(app: App, pages: Site) -> None:
    await add(app)
    begun = await app.bulk.remove("state:wait queue:mail")
    await begun.run()

    found = await pages.read("/operations")
    assert "remove" in found.text
    assert found.all("a", href="/jobs?q=state%3Await+queue%3Amail")
    assert found.all("tr", id=f"op-{begun.id}")
    assert "done 3 0" in found.text
    assert "Undo, 9m" in found.text or "Undo, 10m" in found.text

    page = await pages.act("undo_operation", operation_id=begun.id)
    assert "The jobs are put back." in page.text
    info = await app.queue("mail", existing=True).info()
    assert info is not None
    assert info.waiting == 3
    found = await pages.read("/operations")
    assert "Undo" not in found.text
    assert "undone" in found.text
    assert "No operation is like that" in (await pages.read("/operations?state=failed")).text
    assert begun.id in (await pages.get("/operations?state=undone")).text


async def test_operation_under_way_is_shown_and_ended(app: App, pages: Site) -> None:
    await add(app, many=50)
    answer = await pages.http.post(
        f"{pages.url}/api/v1/operations",
        json={"action": "remove", "query": "queue:mail", "max_per_s": 1, "reason": "a <b> mistake"},
    )
    begun = answer.json()["id"]

    found = await pages.read("/operations")
    assert found.all("li", id=f"op-{begun}")
    assert "of at most 50 looked at" in found.text
    assert "at most 1.0 a second" in found.text
    assert "“ a <b> mistake ”" in found.text
    page = await pages.act("cancel_operation", operation_id=begun)
    assert "The operation ends where it stands." in page.text

    async def is_over() -> bool:
        return "cancelled" in (await pages.read("/operations")).text

    await wait_until(is_over, what="the end")


async def test_nothing_was_done_yet(pages: Site) -> None:
    assert "Nothing was done to many jobs" in (await pages.read("/operations")).text
    assert "Nothing was done yet" in (await pages.read("/audit")).text


async def test_refused_jobs_and_chosen_ones_are_said(app: App, pages: Site) -> None:
    await add(app, many=1)
    begun = await app.bulk.retry(queue="mail", ids=["1", "nobody"])
    await begun.run()

    found = await pages.read("/operations")
    assert "chosen jobs of mail" in found.text
    assert found.all("a", href="/queues/mail")
    assert "0 2" in found.text, "two are refused"


async def test_roles_see_operations_and_only_operators_end_them(app: App) -> None:
    await add(app, "mail")
    await add(app, "secret")
    access = await guarded(app)
    await access.users.add("part", "part has a password", role="operator", queues=["mail"])
    mail = await app.bulk.remove("queue:mail")
    secret = await app.bulk.remove("queue:secret")
    for one in (mail, secret):
        await one.run()
    async with site(app, access=access) as pages:
        for who, undo, audit in (
            ("viewer", 0, 403), ("submitter", 0, 403), ("operator", 2, 403), ("admin", 2, 200),
        ):  # fmt: skip
            await enter(pages, who)
            found = await pages.read("/operations")
            assert len(found.all("form", action="/act/undo_operation")) == undo, who
            assert (await pages.get("/audit")).status_code == audit, who
            assert bool(found.all("a", href="/audit")) == (audit == 200), who
        await enter(pages, "part")
        found = await pages.read("/operations")
        assert found.all("tr", id=f"op-{mail.id}")
        assert "secret" not in found.text
        page = await pages.act("undo_operation", operation_id=secret.id)
        assert "may" in page.text
        info = await app.queue("secret", existing=True).info()
        assert info is None or info.waiting == 0


async def test_audit_shows_who_did_what_and_links_narrow_it_down(app: App, pages: Site) -> None:
    await add(app)
    await pages.act("pause_queue", queue="mail", reason="the gateway is down")
    await pages.act("resume_queue", queue="mail")
    await pages.act("change_queue", queue="mail", concurrency="7")
    await pages.act("cancel_job", queue="mail", job_id="2")

    found = await pages.read("/audit")
    assert "host:anybody" in found.text
    assert "paused false → true" in found.text
    assert "concurrency – → 7" in found.text
    assert "the gateway is down" in found.text
    assert found.all("a", href="/queues/mail/jobs/2")
    for link in ("verb=pause", "actor=host%3Aanybody", "queue=mail"):
        (first, *_) = [a["href"] for a in found.all("a") if link in (a["href"] or "")]
        assert first == f"/audit?{link}"
    only = await pages.read("/audit?verb=pause")
    assert "the gateway is down" in only.text
    assert "concurrency – → 7" not in only.text
    assert "1 entry" in only.text
    assert "Nothing like that" in (await pages.read("/audit?actor=user:nobody")).text
    assert "pause" in (await pages.read("/audit?span=1h&queue=mail")).text
    assert '"verb": "pause"' in only.text, "the whole entry"


async def test_audit_goes_on_page_by_page(app: App, pages: Site) -> None:
    await add(app, many=1)
    for _ in range(30):
        await pages.act("pause_queue", queue="mail")
        await pages.act("resume_queue", queue="mail")

    first = await pages.read("/audit?queue=mail")
    (older,) = first.all("a", rel="next")
    second = Reader((await pages.http.get(f"{pages.base}{older['href']}")).text)

    assert len(first.all("tr", **{"data-row": ""})) + len(second.all("tr")) > 0
    assert "50 entries" in first.text
    assert "10 entries" in second.text
    assert second.all("a", rel="first")
    assert not second.all("a", rel="next")


async def test_what_strangers_say_is_text(app: App, pages: Site) -> None:
    queue = "<script>alert(1)</script>" + "w" * 400
    await add(app, queue, many=1)
    await pages.act("pause_queue", queue=queue, reason=HOSTILE)

    answer = await pages.get("/audit")

    assert "<script>alert" not in answer.text
    assert "\x1b" not in Reader(answer.text).text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_values_are_shown_in_one_line() -> None:
    assert short(None) == "–"
    assert short(True) == "true"
    assert short(0) == "0"
    assert short(["a", "b"]) == "a, b"
    assert short({"a": [1]}) == '{ "a": [ 1 ] }'
    assert short("x\n y") == "x y"
    assert short("z" * MOST_CHARS) == "z" * MOST_CHARS
    assert short("z" * (MOST_CHARS + 1)) == "z" * MOST_CHARS + "…"


def test_only_facts_that_differ_are_changes() -> None:
    entry = AuditEntry(
        position="1", at=datetime.now(UTC), actor="user:jo", kind="user", verb="pause",
        queue="mail", job_id=None, arguments={"a": None, "b": 1, "c": ""}, count=None, reason=None,
        before={"same": 1, "other": 1, "gone": 2}, after={"same": 1, "other": 3, "new": 4},
        error=None,
    )  # fmt: skip
    line = line_of(entry)

    assert line.changes == [("other", "1", "3"), ("gone", "2", "–"), ("new", "–", "4")]
    assert line.given == [("b", "1")]


async def test_other_pages_do_not_wait_for_the_log(app: App, pages: Site) -> None:
    """Both pages are there at once, for two people."""
    await add(app)
    both = await asyncio.gather(pages.read("/operations"), pages.read("/audit"))
    assert all(len(one.all("h1")) == 1 for one in both)
