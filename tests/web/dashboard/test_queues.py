"""The overview, the list of queues, and the pages of one queue."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from tests.support.waiting import wait_until
from tests.web.dashboard.support import SAME, Reader, Site, said, site
from tests.web.dashboard.test_frame import CHEAP, enter, guarded

from toril import App, RetryPolicy
from toril.core.errors import InvalidOptionError
from toril.web.access.control import AccessControl
from toril.web.dashboard.pages.queues import PAGE_ROWS
from toril.web.options import ServerOptions

HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}",
    "\x1b[31mred\x1b[0m", "\u202egnp.exe", "x" * 400, "a,b", "%28%29", "ümläut ☃", "a/b?c#d",
]  # fmt: skip


async def fill(app: App, **queues: int) -> None:
    """Add some jobs to each queue."""
    for name, many in queues.items():
        await app.queue(name, existing=True).add_many([("send", {"n": n}) for n in range(many)])


async def work(app: App, url: str) -> App:
    """Run jobs that complete and jobs that fail, and return an app with their task."""
    working = App(url)

    @working.task(queue="mail", name="send", retry=RetryPolicy(max_attempts=1))
    async def send(to: str, card: str = "") -> str:
        if to == "nobody":
            raise ValueError("550 mailbox unavailable <b>")
        return f"sent to {to}"

    async with working, working.worker(queues=["mail"]):
        for n in range(6):
            await send.enqueue(to="nobody" if n % 3 == 2 else f"jo{n}@example.com")

        async def all_ended() -> bool:
            info = await app.queue("mail", existing=True).info()
            return info is not None and (info.completed, info.failed) == (4, 2)

        await wait_until(all_ended)
    return working


def rows_of(html: str) -> list[str]:
    """Return the ids of the rows of a page, in their order."""
    return re.findall(r'<tr id="([^"]+)"', html)


async def test_overview_says_what_needs_attention_first(app: App, pages: Site) -> None:
    assert "No queues yet" in (await pages.read("/")).text
    await fill(app, mail=3)
    assert "Nothing needs attention" in (await pages.read("/")).text
    await app.queue("mail", existing=True).pause()

    html = (await pages.get("/")).text

    assert "1 thing needs attention" in html
    assert html.index("the queue is paused; 3 jobs wait") < html.index("Done per min")
    assert Reader(html).all("form", action="/act/resume_queue")
    assert "mail goes on" in (await pages.act("resume_queue", queue="mail")).text


async def test_overview_charts_have_a_table_with_the_same_figures(
    app: App, pages: Site, url: str
) -> None:
    await work(app, url)
    for span in ("1h", "6h", "24h", "7d", "30d", "90d", "odd"):
        found = await pages.read(f"/?span={span}")
        assert "4 completed, 2 failed, 0 tried again" in found.text, span
        assert len(found.all("figure", **{"data-chart": None})) == 2  # type: ignore[arg-type]  # an attribute without a value
    found = await pages.read("/?span=1h")
    figure = found.all("figure", id="chart-rates")[0]
    drawn = [point[1] for point in json.loads(figure["data-points"] or "")]
    assert len(drawn) in (60, 61)
    assert sum(drawn) == 4
    (way,) = [link for link in found.all("a") if "table=rates" in (link.get("href") or "")]
    html = (await pages.http.get(f"{pages.base}{way['href']}")).text
    (table, *_) = re.findall(r"<tbody>(.*?)</tbody>", html, re.DOTALL)
    assert [float(one) for one in re.findall(r'</th><td class="num">([0-9.]+)', table)] == drawn
    assert "33 %" in Reader(html).text  # most failing


async def test_queues_are_rows_with_a_word_for_their_health(
    app: App, pages: Site, url: str
) -> None:
    await work(app, url)
    await fill(app, backlog=2, paused=1)
    await app.queue("paused", existing=True).pause()

    html = (await pages.get("/queues")).text
    rows = {part.split('"')[0]: Reader(part).text for part in html.split('<tr id="q-')[1:]}

    assert list(rows) == ["paused", "backlog", "mail"] or set(rows) == {"paused", "backlog", "mail"}
    assert "paused" in rows["paused"]
    assert " 2 " in rows["backlog"]
    assert " 4 " in rows["mail"]
    assert '<svg class="spark' in html
    only = (await pages.get("/queues?health=paused")).text
    assert rows_of(only) == ["q-paused"]
    assert rows_of((await pages.get("/queues?q=ACK")).text) == ["q-backlog"]
    assert rows_of((await pages.get("/queues?sort=-waiting")).text) == [
        "q-backlog",
        "q-paused",
        "q-mail",
    ]
    assert rows_of((await pages.get("/queues?sort=name")).text) == [
        "q-backlog",
        "q-mail",
        "q-paused",
    ]
    assert rows_of((await pages.get("/queues?sort=odd&from=x&group=zz&health=odd")).text)
    assert "No queue is like that" in (await pages.read("/queues?q=nothing")).text


async def test_groups_sum_their_members_and_unfold(app: App, pages: Site) -> None:
    await fill(app, **{"video.thumbs": 2, "video.cut": 3, "mail": 1})

    closed = (await pages.get("/queues?group=.&sort=name")).text
    opened = (await pages.get("/queues?group=.&sort=name&open=video.")).text

    assert rows_of(closed) == ["q-mail", "q-video."]
    (group,) = (part for part in closed.split("<tr ") if 'id="q-video."' in part)
    assert " 5 " in Reader(group).text
    assert rows_of(opened) == ["q-mail", "q-video.", "q-video.cut", "q-video.thumbs"]


async def test_many_queues_are_pages_of_few_elements(app: App, pages: Site) -> None:
    await asyncio.gather(*(fill(app, **{f"team-{n:03}": 1}) for n in range(PAGE_ROWS + 10)))

    first = await pages.get("/queues?sort=name")
    second = await pages.get(f"/queues?sort=name&from={PAGE_ROWS}")

    assert len(rows_of(first.text)) == PAGE_ROWS
    assert rows_of(second.text) == [f"q-team-{n:03}" for n in range(PAGE_ROWS, PAGE_ROWS + 10)]
    assert len(Reader(first.text).elements) <= 1_500
    assert f"{PAGE_ROWS + 10} queues" in Reader(first.text).text


async def test_jobs_of_a_queue_are_searched_and_paged(app: App, pages: Site, url: str) -> None:
    await work(app, url)
    await fill(app, other=3)

    failed = await pages.read("/queues/mail?q=state:failed")
    assert len(failed.all("input", name="ids")) == 2
    assert "550 mailbox unavailable <b>" in failed.text
    assert failed.all("a", href="/queues/mail")  # the chip without its word
    everything = await pages.read("/queues/mail")
    assert len(everything.all("input", name="ids")) == 6
    either = await pages.read("/queues/mail", params={"q": "data.to:jo0* OR data.to:jo1*"})
    assert len(either.all("input", name="ids")) == 2, "OR must not look into other queues"
    wrong = await pages.read("/queues/mail?q=state:done")
    assert "the search cannot be read at character 7" in wrong.text
    assert "No job is like that" in (await pages.read("/queues/mail?q=name:nope")).text
    await fill(app, long=60)
    page = await pages.get("/queues/long")
    ids = rows_of(page.text)
    (older,) = {a["href"] for a in Reader(page.text).all("a", rel="next")}
    rest = rows_of((await pages.http.get(f"{pages.base}{older}")).text)
    assert (len(ids), len(rest), len({*ids, *rest})) == (50, 10, 60)
    assert len(Reader(page.text).elements) <= 1_500


async def test_jobs_of_all_queues_are_searched(app: App, pages: Site) -> None:
    await fill(app, one=1, two=2)
    assert len(rows_of((await pages.get("/jobs")).text)) == 3
    assert len(rows_of((await pages.get("/jobs?q=queue:two")).text)) == 2
    assert "there is no field 'queu'" in (await pages.read("/jobs?q=queu:x")).text


async def test_chosen_jobs_are_retried(app: App, pages: Site, url: str) -> None:
    await work(app, url)
    page = await pages.read("/queues/mail?q=state:failed")
    ids = [each["value"] for each in page.all("input", name="ids")]

    answer = await pages.post(
        "/act/begin_operation",
        {"queue": "mail", "action": "retry", "ids": ids, "next": "/queues/mail"},
    )

    assert answer.status_code == 303
    assert "It has begun" in (await pages.read("/queues/mail")).text

    async def waits() -> bool:
        info = await app.queue("mail", existing=True).info()
        return info is not None and info.waiting == 2

    await wait_until(waits)
    await wait_until(lambda: _says(pages, "/queues/mail", "2 of up to 2"))


async def _says(pages: Site, path: str, text: str) -> bool:
    return text in (await pages.read(path)).text


async def test_all_that_match_are_shown_before_anything_is_changed(
    app: App, pages: Site, url: str
) -> None:
    await work(app, url)
    plan = await pages.read("/queues/mail?q=state:completed&bulk=remove")

    assert "4 jobs would be changed" in plan.text
    info = await app.queue("mail", existing=True).info()
    assert info is not None
    assert info.completed == 4
    wrong = await pages.post(
        "/queues/mail",
        {"do": "bulk", "q": "state:completed", "action": "remove", "max_per_s": "-1"},
    )
    assert wrong.status_code == 200
    assert "max_per_s" in Reader(wrong.text).text

    answer = await pages.post(
        "/queues/mail", {"do": "bulk", "q": "state:completed", "action": "remove", "reason": "tidy"}
    )

    assert answer.status_code == 303
    await wait_until(lambda: _says(pages, "/queues/mail", "Put back"))
    info = await app.queue("mail", existing=True).info()
    assert info is not None
    assert (info.completed, info.failed) == (0, 2)


async def test_many_jobs_need_the_name_of_the_queue(
    app: App, pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toril.web.dashboard.pages.queue.MUCH", 3)
    await fill(app, mail=3)
    form = {"do": "bulk", "q": "", "action": "remove"}
    assert (await pages.read("/queues/mail?bulk=remove")).all("input", name="confirm")

    refused = await pages.post("/queues/mail", form)
    assert "Type the name of the queue" in Reader(refused.text).text
    refused = await pages.post("/queues/mail", {**form, "confirm": "mial"})
    assert refused.status_code == 200
    assert (await pages.post("/queues/mail", {**form, "confirm": "mail"})).status_code == 303


async def test_a_job_is_added_or_what_was_typed_stays(app: App, pages: Site) -> None:
    await fill(app, mail=1)
    form = {"do": "add", "name": "send", "data": '{"to": "jo"', "delay_s": "5", "priority": ""}
    wrong = await pages.post("/queues/mail/add", form)
    assert wrong.status_code == 200
    assert "data: this is not JSON" in Reader(wrong.text).text
    assert "{&#34;to&#34;: &#34;jo&#34;</textarea>" in wrong.text

    answer = await pages.post("/queues/mail/add", {**form, "data": '{"to": "jo"}'})

    assert answer.headers["location"] == "/queues/mail"
    assert "is added" in (await pages.read("/queues/mail")).text
    jobs = (await app.queue("mail", existing=True).jobs("delayed")).jobs
    assert [(job.data, job.delay_s) for job in jobs] == [({"to": "jo"}, 5.0)]
    again = await pages.post("/queues/mail/add", {**form, "data": "{}", "job_id": "mine-1"})
    again = await pages.post("/queues/mail/add", {**form, "data": "{}", "job_id": "mine-1"})
    assert "Nothing was added: job mine-1" in (await pages.read("/queues/mail")).text
    assert again.status_code == 303
    assert (await pages.post("/queues/mail", {"do": "odd"})).status_code == 404


async def test_limits_are_set_and_taken_away(app: App, pages: Site) -> None:
    await fill(app, mail=1)
    form = {
        "queue": "mail",
        "nulls": "concurrency,rate_limit",
        "concurrency": "7",
        "rate_limit": "50",
    }
    after = await pages.act("change_queue", **form, rate_window_s="2.5")
    assert "The settings of mail are changed" in after.text
    info = await app.queue("mail", existing=True).info()
    assert info is not None
    assert (info.concurrency, info.rate_limit, info.rate_window_s) == (7, 50, 2.5)
    shown = await pages.read("/queues/mail/settings")
    assert shown.all("input", name="concurrency", value="7")
    assert "7 at once" in shown.text
    await pages.act("change_queue", **{**form, "concurrency": "", "rate_limit": ""})
    info = await app.queue("mail", existing=True).info()
    assert info is not None
    assert (info.concurrency, info.rate_limit) == (None, None)
    wrong = await pages.act("change_queue", **{**form, "concurrency": "many"})
    assert "concurrency: expected" in wrong.text


async def test_queue_is_emptied_and_removed(app: App, pages: Site) -> None:
    await fill(app, mail=4)
    assert (
        "4 waiting jobs are removed"
        in (await pages.act("drain_queue", queue="mail", delayed="false")).text
    )
    wrong = await pages.act("obliterate_queue", queue="mail", confirm="mial")
    assert "expected the queue's name" in wrong.text
    await pages.act("pause_queue", queue="mail")
    gone = await pages.act("obliterate_queue", queue="mail", confirm="mail")
    assert "mail is gone" in gone.text
    missing = await pages.get("/queues/mail")
    assert missing.status_code == 404
    assert "no queue 'mail'" in said(missing.text)


async def test_other_tabs_are_whole(app: App, pages: Site, url: str) -> None:
    working = await work(app, url)
    assert working is not None
    found = await pages.read("/queues/mail/metrics?span=1h")
    assert "4 completed, 2 failed" in found.text
    assert "send" in found.text
    one = await pages.read("/queues/mail/metrics?span=1h&task=send")
    assert "4 completed, 2 failed" in one.text
    workers = await pages.read("/queues/mail/workers")
    assert "No worker serves this queue" in workers.text
    await app.schedules.put("nightly", app.queue("mail"), {}, name="send", cron="0 3 * * *")
    schedules = await pages.read("/queues/mail/schedules")
    assert "0 3 * * *" in schedules.text
    ran = await pages.act("run_schedule", queue="mail", schedule_id="nightly")
    assert "A job of nightly is added" in ran.text
    current = [a for a in schedules.all("a") if a.get("aria-current") == "page"]
    assert [a["href"] for a in current] == ["/queues/mail/schedules"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_texts_are_shown_as_text(app: App, pages: Site, text: str) -> None:
    data = {"text": text, text[:50]: [text]}
    await app.queue("mail", existing=True).add("".join(filter(str.isprintable, text))[:200], data)
    try:
        await app.queue(text, existing=True).add("send", {})
        queue = text
    except InvalidOptionError:
        queue = "mail"
    for path in ("/", "/queues", "/jobs", f"/queues/{pages.dashboard and _quoted(queue)}"):
        html = (await pages.get(path)).text
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "\x1b" not in html
        assert "\u202e" not in html
        assert Reader(html).all("main", id="main")
    echoed = await pages.get("/jobs", params={"q": text})
    assert "<script>alert" not in echoed.text
    assert "<img src=x" not in echoed.text
    after = await pages.act("pause_queue", queue=queue, reason=text)
    assert "is paused" in after.text


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


async def test_payloads_are_hidden_from_those_who_may_not_see_them(app: App) -> None:
    await app.queue("mail", existing=True).add(
        "send", {"to": "secret@example.com", "password": "p4ss"}
    )
    access = AccessControl(app, passwords=CHEAP)
    await access.users.add("blind", "blind has a password", role="operator")
    await access.users.add("seeing", "seeing has a password", role="operator", payloads=True)
    async with site(app, access=access) as pages:
        await enter(pages, "blind")
        for path in ("/queues/mail", "/jobs", "/queues/mail?bulk=remove"):
            for headers in ({}, {"x-toril-refresh": "1"}):
                html = (await pages.get(path, headers=headers)).text
                assert "hidden" in html
                assert "secret@" not in html
        refused = await pages.read("/queues/mail?q=data.to:secret*")
        assert "may not search by what it may not see" in refused.text
        await enter(pages, "seeing")
        for headers in ({}, {"x-toril-refresh": "1"}):
            html = (await pages.get("/queues/mail", headers=headers)).text
            assert "secret@example.com" in html
            assert "p4ss" not in html


async def test_viewer_has_no_way_to_change_anything(app: App) -> None:
    await fill(app, mail=2)
    async with site(app, access=await guarded(app)) as pages:
        await enter(pages, "viewer")
        for path in (
            "/",
            "/queues",
            "/queues/mail",
            "/queues/mail/settings",
            "/queues/mail/schedules",
        ):
            found = await pages.read(path)
            acts = [form for form in found.all("form", method="post")
                    if form["action"] not in ("/preferences", "/logout")]  # fmt: skip
            assert acts == [], path
        assert (await pages.get("/queues/mail/add")).status_code == 403
        form = {"queue": "mail", "action": "remove", "ids": "1", "next": "/queues"}
        await pages.post("/act/begin_operation", form)
        assert "may not do this" in (await pages.read("/queues")).text
        info = await app.queue("mail", existing=True).info()
        assert info is not None
        assert info.waiting == 2
        await enter(pages, "submitter")
        assert (await pages.get("/queues/mail/add")).status_code == 200


async def test_open_pages_share_what_is_read(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(app, mail=2)
    async with site(app, options=ServerOptions(tick_s=30.0)) as pages:
        asked = 0
        real = App.queues

        async def counted(self: App, **how: Any) -> Any:
            nonlocal asked
            asked += 1
            return await real(self, **how)

        monkeypatch.setattr(App, "queues", counted)
        for _ in range(3):
            await asyncio.gather(*(
                pages.get(path, headers={"x-toril-refresh": "1"})
                for path in ("/", "/queues", "/queues/mail") for _ in range(5)
            ))  # fmt: skip
        assert asked == 1
        await pages.post("/act/pause_queue", {"queue": "mail"}, headers=SAME)
        fresh = (await pages.get("/queues", headers={"x-toril-refresh": "1"})).text
        assert "/act/resume_queue" in fresh, "somebody has acted: figures are read anew"
