"""Errors: groups of failures, and what is done to all jobs of one."""

from __future__ import annotations

import re

import pytest
from tests.support.waiting import wait_until
from tests.web.dashboard.support import Reader, Site, site
from tests.web.dashboard.test_frame import CHEAP, enter, guarded

from toril import App, RetryPolicy
from toril.web.access.control import AccessControl


async def fail(app: App, url: str, many: int = 4) -> None:
    """Let jobs of two queues fail in three ways."""
    working = App(url)

    @working.task(queue="mail", name="send", retry=RetryPolicy(max_attempts=1))
    async def send(to: str) -> None:
        if to.startswith("full"):
            raise OSError(f"quota of {to!r} is used up")
        raise ValueError(f"550 <b>mailbox</b>\n  unavailable: {to}")

    @working.task(queue="bills", name="print", retry=RetryPolicy(max_attempts=1))
    async def print_(no: int) -> None:
        raise RuntimeError(f"printer {no} is on fire")

    async with working, working.worker(queues=["mail", "bills"]):
        for n in range(many):
            await send.enqueue(to=f"jo{n}@example.com")
        await send.enqueue(to="full1")
        await print_.enqueue(no=7)

        async def all_failed() -> bool:
            found = {info.name: info.failed for info in await app.queues()}
            return found == {"mail": many + 1, "bills": 1}

        await wait_until(all_failed)


async def failed(app: App, queue: str) -> int:
    """Return how many jobs of a queue have failed."""
    info = await app.queue(queue, existing=True).info()
    assert info is not None
    return info.failed


def groups_of(html: str) -> dict[str, str]:
    """Return the groups of a page by their fingerprints, each as text."""
    parts = html.split('<tr id="g-')[1:]
    return {part.split('"')[0]: Reader(part.split("</tr>")[0]).text for part in parts}


async def test_failures_are_grouped_by_what_failed(app: App, pages: Site, url: str) -> None:
    assert "No job has failed" in (await pages.read("/errors")).text
    await fail(app, url)

    html = (await pages.get("/errors")).text
    page, rows = Reader(html), list(groups_of(html).values())

    assert "6 failed jobs, all looked at" in page.text
    assert len(rows) == 3
    assert "ValueError <n> <b>mailbox</b> unavailable: <mail>" in rows[0]
    assert "mail · send · dashboard/test_errors.py" in rows[0].replace(" test", "test")
    assert "67 %" in rows[0]
    assert "OSError" in "".join(rows)
    assert 'class="spark spark-bad"' in html
    links = [a["href"] or "" for a in page.all("a")]
    assert sum(link.startswith("/queues/mail/jobs/") for link in links) == 4  # three samples, one
    (jobs,) = {link for link in links if link.startswith("/jobs?q=") and "ValueError" in link}
    assert len(re.findall(r'<tr id="j-mail', (await pages.get(jobs)).text)) == 4


async def test_tab_of_a_queue_has_its_own_failures_only(app: App, pages: Site, url: str) -> None:
    await fail(app, url)
    html = (await pages.get("/queues/bills/errors")).text
    (row,) = groups_of(html).values()
    assert "RuntimeError printer <n> is on fire" in row
    assert "100 %" in row
    assert Reader(html).all("a", href="/queues/bills/errors", **{"aria-current": "page"})
    await app.queue("idle", existing=True).add("x", {})
    assert "No job has failed" in (await pages.read("/queues/idle/errors")).text


async def test_group_is_replayed_after_a_look_at_what_it_would_do(
    app: App, pages: Site, url: str
) -> None:
    await fail(app, url)
    first = next(iter(groups_of((await pages.get("/errors")).text)))

    plan = await pages.read(f"/errors?group={first}&bulk=retry")

    assert "4 jobs match this search, and would be changed" in plan.text
    assert await failed(app, "mail") == 5
    fields = {
        name or "": each.get("value") or ""
        for each in plan.all("input")
        if (name := each.get("name")) in ("do", "query", "group", "action")
    }
    wrong = await pages.post("/errors", {**fields, "max_per_s": "-1", "reason": "smtp is back"})
    assert wrong.status_code == 200
    assert "max_per_s" in Reader(wrong.text).text
    assert Reader(wrong.text).all("input", name="reason", value="smtp is back")

    answer = await pages.post("/errors", {**fields, "max_per_s": "500", "reason": "smtp is back"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/errors")
    await wait_until(lambda: _failed_is(app, "mail", 1))
    await wait_until(lambda: _says(pages, "/errors", "4 of up to"))
    gone = await pages.read(f"/errors?group={first}&bulk=retry")
    assert "This group of failures is gone" in gone.text


async def test_group_is_removed_and_put_back(app: App, pages: Site, url: str) -> None:
    await fail(app, url)
    found = groups_of((await pages.get("/queues/mail/errors")).text)
    (one,) = (key for key, text in found.items() if "OSError" in text)
    plan = await pages.read(f"/queues/mail/errors?group={one}&bulk=remove")
    (query,) = (each["value"] for each in plan.all("input", name="query"))
    form = {"do": "bulk", "query": query, "group": one}

    odd = await pages.post("/queues/mail/errors", {**form, "action": "promote"})
    assert "Choose whether the jobs are retried or removed" in Reader(odd.text).text
    answer = await pages.post("/queues/mail/errors", {**form, "action": "remove"})

    assert answer.headers["location"] == "/queues/mail/errors"
    await wait_until(lambda: _failed_is(app, "mail", 4))
    await wait_until(lambda: _says(pages, "/errors", "Put back"))
    (operation,) = await app.bulk.list()
    await pages.act("undo_operation", operation_id=operation.id)
    await wait_until(lambda: _failed_is(app, "mail", 5))


async def test_many_jobs_need_a_word(
    app: App, pages: Site, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toril.web.dashboard.failures.MUCH", 4)
    await fail(app, url)
    first = next(iter(groups_of((await pages.get("/errors")).text)))
    plan = await pages.read(f"/errors?group={first}&bulk=remove")
    (query,) = (each["value"] for each in plan.all("input", name="query"))
    assert plan.all("input", name="confirm")
    form = {"do": "bulk", "query": query, "group": first, "action": "remove"}

    refused = await pages.post("/errors", form)

    assert "Type the word remove: these are many jobs." in Reader(refused.text).text
    assert await failed(app, "mail") == 5
    assert (await pages.post("/errors", {**form, "confirm": "remove"})).status_code == 303


async def test_window_is_said_where_not_all_were_looked_at(
    app: App, pages: Site, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toril.web.dashboard.failures.LOOK_AT", ("4", "5"))
    monkeypatch.setattr("toril.web.dashboard.failures.ROWS", 1)
    await fail(app, url)
    page = await pages.read("/errors")
    assert "The newest 4 of 6 failed jobs were looked at" in page.text
    more = await pages.read("/errors?look_at=5")
    assert "The newest 5 of 6 failed jobs were looked at" in more.text
    (following,) = (a["href"] for a in more.all("a", rel="next"))
    assert following == "/errors?look_at=5&from=1"
    assert len(groups_of((await pages.get(f"{following}")).text)) == 1


async def test_roles_hide_and_refuse(app: App, url: str) -> None:
    await fail(app, url)
    async with site(app, access=await guarded(app)) as pages:
        for role, may in (("viewer", False), ("operator", True)):
            await enter(pages, role)
            html = (await pages.get("/errors")).text
            first = next(iter(groups_of(html)))
            assert ("bulk=retry" in html) is may
            plan = await pages.read(f"/errors?group={first}&bulk=retry")
            assert ("may not do this" in plan.text) is not may
            form = {"do": "bulk", "query": "state:failed queue:mail", "action": "retry"}
            answer = await pages.post("/errors", form)
            assert (answer.status_code == 303) is may
            if not may:
                assert await failed(app, "mail") == 5
            await pages.post("/logout")


async def test_errors_are_not_for_those_who_see_no_payloads(app: App, url: str) -> None:
    await fail(app, url)
    access = AccessControl(app, passwords=CHEAP)
    await access.users.add("blind", "blind has a password", role="operator")
    async with site(app, access=access) as pages:
        await enter(pages, "blind")
        assert (await pages.get("/errors")).status_code == 403
        assert not (await pages.read("/")).all("a", href="/errors")
        assert not (await pages.read("/queues/mail")).all("a", href="/queues/mail/errors")


async def test_search_of_a_group_finds_its_jobs_and_the_trend_counts_them(
    app: App, pages: Site, url: str
) -> None:
    await fail(app, url)
    answer = (await pages.get("/api/v1/errors")).json()
    for group in answer["items"]:
        found = await pages.get("/api/v1/jobs", params={"q": group["search"]})
        assert len(found.json()["items"]) == group["count"]
        assert set(group["sample_ids"]) <= {job["id"] for job in found.json()["items"]}
        assert sum(group["trend"]) == group["count"]
        assert len(group["trend"]) == 12
    assert min(group["first_at"] for group in answer["items"]) == answer["since"]


async def _failed_is(app: App, queue: str, many: int) -> bool:
    return await failed(app, queue) == many


async def _says(pages: Site, path: str, text: str) -> bool:
    return text in (await pages.read(path)).text
