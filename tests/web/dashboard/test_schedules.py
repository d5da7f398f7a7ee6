"""Schedules: the list, one of them, its past runs, and how it is changed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.waiting import wait_until
from tests.web.dashboard.support import Reader, Site, said, site
from tests.web.dashboard.test_frame import CHEAP, enter, guarded

from toril import App, RetryPolicy
from toril.engine.schedules.info import ScheduleInfo
from toril.web.access.control import AccessControl
from toril.web.dashboard.cron_words import cron_words, every_words
from toril.web.dashboard.messages import catalogue
from toril.web.dashboard.schedule_runs import next_runs

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class Speaker:
    """Says texts of a catalogue, as a visit does."""

    def __init__(self, language: str) -> None:
        self.language = language

    def t(self, text: str, **values: object) -> str:
        found = catalogue(self.language).gettext(text)
        return found % values if values else found

    def n(self, one: str, many: str, number: float) -> str:
        return catalogue(self.language).ngettext(one, many, number) % {"num": number}


@pytest.mark.parametrize(
    ("pattern", "english", "german"),
    [
        ("0 6 * * *", "every day at 06:00", "jeden Tag um 06:00"),
        ("30 6,18 * * *", "every day at 06:30 and 18:30", "jeden Tag um 06:30 und 18:30"),
        ("15 30 6 * * *", "every day at 06:30:15", "jeden Tag um 06:30:15"),
        ("0 9 * * 1-5", "Monday to Friday at 09:00", "Montag bis Freitag um 09:00"),
        ("0 9 * * MON,WED", "Monday and Wednesday at 09:00", "Montag und Mittwoch um 09:00"),
        ("0 0 * * 0", "Sunday at 00:00", "Sonntag um 00:00"),
        ("0 0 * * 6-7", "Saturday and Sunday at 00:00", "Samstag und Sonntag um 00:00"),
        ("0 0 1 * *", "on the 1st of the month at 00:00", "am 1. des Monats um 00:00"),
        (
            "5 4 2,13,22 * *", "on the 2nd, 13th and 22nd of the month at 04:05",
            "am 2., 13. und 22. des Monats um 04:05",
        ),
        (
            "0 3 L * *", "on the last day of the month at 03:00",
            "am letzten Tag des Monats um 03:00",
        ),
        (
            "0 0 1 1 *", "on the 1st of the month at 00:00, in Jan",
            "am 1. des Monats um 00:00, im Jan.",
        ),
        (
            "0 0 1 jan,jul *", "on the 1st of the month at 00:00, in Jan and Jul",
            "am 1. des Monats um 00:00, im Jan. und Juli",
        ),
        ("* * * * *", "every minute", "jede Minute"),
        ("*/5 * * * *", "every 5 minutes", "alle 5 Minuten"),
        ("*/15 * * * * *", "every 15 seconds", "alle 15 Sekunden"),
        ("* * * * * *", "every second", "jede Sekunde"),
        ("7 * * * *", "every hour at minute 07", "jede Stunde zur Minute 07"),
        ("0 */4 * * *", "every 4 hours at minute 00", "alle 4 Stunden zur Minute 00"),
        (
            "*/10 9-17 * * 1-5", "every 10 minutes from 09:00 to 17:59, Monday to Friday",
            "alle 10 Minuten von 09:00 bis 17:59, Montag bis Freitag",
        ),
        ("* 3 * * *", "every minute from 03:00 to 03:59", "jede Minute von 03:00 bis 03:59"),
    ],
)  # fmt: skip
def test_usual_patterns_are_said_in_words(pattern: str, english: str, german: str) -> None:
    assert cron_words(pattern, Speaker("en")) == english
    assert cron_words(pattern, Speaker("de")) == german


@pytest.mark.parametrize(
    "pattern",
    [
        "*/7 * * * *", "0 */5 * * *", "0 0 13 * 5", "0 0 * * 5#3", "0 0 * * 5L", "0 0 LW * *",
        "*/15 3 1,15 */2 *", "0 0 1-20 * *", "1-50 3 * * *", "0,30 * * * *", "30 */5 * * * *",
        "5 */10 9 * * *", "0 0 * * 7-1", "0/15 * * * *", "0 1-5/2 * * *", "* * * *", "",
        "0 0 1 13 *", "60 0 * * *", "*/0 * * * *", "*/5 1,9 * * *", "* 5 * * * *",
    ],
)  # fmt: skip
def test_of_what_cannot_be_said_truly_nothing_is_said(pattern: str) -> None:
    assert cron_words(pattern, Speaker("en")) is None


@pytest.mark.parametrize(
    ("span_s", "words"),
    [
        (0.5, "every 0.5 seconds"), (1, "every second"), (5, "every 5 seconds"),
        (60, "every minute"), (90, "every 90 seconds"), (300, "every 5 minutes"),
        (3600, "every hour"), (7200, "every 2 hours"), (86_400, "every day"),
        (172_800, "every 2 days"),
    ],
)  # fmt: skip
def test_spans_are_said_in_words(span_s: float, words: str) -> None:
    assert every_words(span_s, Speaker("en")) == words


def schedule(**changed: Any) -> ScheduleInfo:
    """Return a schedule whose next job is due at 13:00."""
    at = NOW + timedelta(hours=1)
    return ScheduleInfo(
        **{
            "id": "s", "queue": "q", "name": "send", "data": {}, "options": {}, "cron": "0 * * * *",
            "every_s": None, "timezone": "UTC", "start_at": None, "end_at": None, "limit": None,
            "offset_s": None, "jitter_s": 0.0, "missed": "one", "paused": False, "next_at": at,
            "job_id": f"repeat:s:{round(at.timestamp() * 1000)}", "made": 3, "declared": False,
            "problem": None, **changed,
        }
    )  # fmt: skip


def test_next_runs_follow_from_the_one_that_waits() -> None:
    assert [at.hour for at in next_runs(schedule(), NOW)] == [13, 14, 15]
    assert [at.hour for at in next_runs(schedule(limit=4), NOW)] == [13, 14]
    assert [at.hour for at in next_runs(schedule(limit=3), NOW)] == [13]
    end = NOW + timedelta(hours=2, minutes=30)
    assert [at.hour for at in next_runs(schedule(end_at=end), NOW)] == [13, 14]
    assert next_runs(schedule(next_at=None, job_id=None), NOW) == []
    assert next_runs(schedule(cron="odd"), NOW) == [NOW + timedelta(hours=1)]
    late = NOW + timedelta(hours=3, minutes=10)
    assert [at.hour for at in next_runs(schedule(), late)] == [16, 17, 18]
    every = schedule(cron=None, every_s=90 * 60.0, timezone=None)
    assert [f"{at:%H:%M}" for at in next_runs(every, NOW)] == ["13:00", "14:30", "16:00"]


def test_next_runs_are_put_off_as_their_jobs_are() -> None:
    found = next_runs(schedule(jitter_s=600.0), NOW)
    assert [at.hour for at in found] == [13, 14, 15]
    assert all(at.minute < 10 for at in found)
    assert len({at.minute * 60 + at.second for at in found}) > 1


async def put(app: App, schedule_id: str = "nightly", **how: Any) -> None:
    """Make a schedule of the queue mail."""
    given = {"name": "send", "cron": "0 6 * * *", "timezone": "Europe/Berlin", **how}
    await app.schedules.put(schedule_id, app.queue("mail"), {"to": "jo"}, **given)


async def get(app: App, schedule_id: str = "nightly") -> ScheduleInfo:
    """Return a schedule that has to be there."""
    info = await app.schedules.get(schedule_id, queue="mail")
    assert info is not None
    return info


async def test_page_says_how_to_get_a_schedule(pages: Site) -> None:
    page = await pages.read("/schedules")
    assert "No schedules yet" in page.text
    assert '@app.schedule("0 6 * * *", timezone="Europe/Berlin")' in page.text


async def test_schedules_are_said_in_words_with_their_next_runs(app: App, pages: Site) -> None:
    await put(app)
    await put(app, "odd", cron="13 3 1,15 */2 *", timezone="UTC")
    html = (await pages.get("/schedules")).text
    rows = {part.split('"')[0]: Reader(part.split("</tr>")[0]) for part in html.split('<tr id="s-')}
    nightly = rows["mail-nightly"]
    assert "runs send every day at 06:00 , Europe/Berlin" in nightly.text
    moments = [each["datetime"] or "" for each in nightly.all("time")]
    assert len(moments) == 3
    hours = {datetime.fromisoformat(each).astimezone(UTC).hour for each in moments}
    assert hours <= {4, 5}
    assert "13 3 1,15 */2 *" in rows["mail-odd"].text
    german = await pages.read("/schedules", headers={"accept-language": "de"})
    assert "jeden Tag um 06:00" in german.text
    assert "No schedule is like that" in (await pages.read("/schedules?queue=other")).text


async def test_runs_of_a_schedule_are_found_by_their_moments(
    app: App, pages: Site, url: str
) -> None:
    working = App(url)

    @working.task(queue="mail", name="send", retry=RetryPolicy(max_attempts=1))
    async def send(to: str) -> None:
        raise ValueError("550 <b>unknown</b>")

    async with working, working.worker(queues=["mail"]):
        await put(working, "hourly", cron="0 * * * *", timezone="UTC", immediately=True)

        async def has_failed() -> bool:
            info = await app.queue("mail", existing=True).info()
            return info is not None and info.failed == 1

        await wait_until(has_failed)
        await put(working, "seconds", cron="* * * * * *", timezone="UTC")

        html = ""

        async def has_failed_twice() -> bool:
            nonlocal html
            html = (await pages.get("/schedules/mail/seconds")).text
            return re.search(r'"0 completed, [2-9]\d* failed, ', html) is not None

        await wait_until(has_failed_twice)
    page = Reader(html)
    links = [a["href"] or "" for a in page.all("a")]
    assert sum("/queues/mail/jobs/repeat%3Aseconds%3A" in link for link in links) >= 2
    assert "550 <b>unknown</b>" in page.text
    (strip,) = page.all("svg", **{"class": "strip"})
    assert re.fullmatch(r"0 completed, [2-9]\d* failed, .*", strip["aria-label"] or "")
    listed = (await pages.get("/schedules")).text
    row = Reader(listed.split('<tr id="s-mail-seconds"')[1].split("</tr>")[0])
    assert "failed" in row.text
    assert row.all("rect", **{"class": "run-bad"})


async def test_schedule_is_run_paused_and_resumed(app: App, pages: Site) -> None:
    await put(app)
    place = {"queue": "mail", "schedule_id": "nightly", "next": "/schedules/mail/nightly"}
    after = await pages.act("run_schedule", **place)
    assert "A job of nightly is added" in after.text
    info = await app.queue("mail", existing=True).info()
    assert info is not None
    assert info.waiting == 1
    after = await pages.act("pause_schedule", **place)
    assert "nightly makes no jobs until it is resumed" in after.text
    assert after.all("form", action="/act/resume_schedule")
    assert (await get(app)).paused
    await pages.act("resume_schedule", **place)
    assert not (await get(app)).paused


async def test_schedule_is_changed_or_what_was_typed_stays(app: App, pages: Site) -> None:
    await put(app, jitter=30)
    place = "/schedules/mail/nightly"
    assert not (await pages.read(place)).all("textarea")
    page = await pages.read(f"{place}?edit=1")
    form = {
        name: each.get("value") or ""
        for each in page.all("input")
        if (name := each.get("name")) in ("name", "cron", "timezone", "jitter_s", "every_s")
    }
    assert form["jitter_s"] == "30"
    form |= {"do": "change", "data": '{"to": "al"}', "missed": "skip"}

    wrong = await pages.post(place, {**form, "cron": "0 25 * * *"})
    assert wrong.status_code == 200
    assert "hours are 0 to 23" in Reader(wrong.text).text
    assert Reader(wrong.text).all("input", name="cron", value="0 25 * * *")
    assert (await get(app)).cron == "0 6 * * *"
    wrong = await pages.post(place, {**form, "data": "{"})
    assert "data: this is not JSON" in Reader(wrong.text).text

    answer = await pages.post(place, {**form, "cron": "0 7 * * *", "max_attempts": "4"})

    assert (answer.status_code, answer.headers["location"]) == (303, place)
    assert "nightly is changed." in (await pages.read(place)).text
    info = await get(app)
    assert (info.cron, info.missed, info.data, info.jitter_s) == (
        "0 7 * * *", "skip", {"to": "al"}, 30.0,
    )  # fmt: skip
    assert info.options["attempts"] == 4
    again = await pages.read(f"{place}?edit=1")
    assert again.all("input", name="max_attempts", value="4")


async def test_form_loses_no_options_that_it_does_not_know(app: App, pages: Site) -> None:
    from toril import JobOptions

    await put(app, options=JobOptions(max_attempts=3, backoff="fixed", backoff_s=5))
    page = await pages.read("/schedules/mail/nightly?edit=1")
    assert "options that this form would lose: backoff" in page.text
    form = {"do": "change", "name": "send", "cron": "0 7 * * *"}
    refused = await pages.post("/schedules/mail/nightly", form)
    assert "options that this form would lose" in Reader(refused.text).text
    assert (await get(app)).cron == "0 6 * * *"


async def test_schedule_is_removed(app: App, pages: Site) -> None:
    await put(app)
    answer = await pages.post("/schedules/mail/nightly", {"do": "remove"})
    assert answer.headers["location"] == "/schedules"
    assert "nightly is removed." in (await pages.read("/schedules")).text
    assert await app.schedules.get("nightly", queue="mail") is None
    await pages.post("/schedules/mail/nightly", {"do": "remove"})
    missing = await pages.get("/schedules/mail/nightly")
    assert missing.status_code == 404
    assert "no schedule 'nightly'" in said(missing.text)


async def test_note_says_what_code_restores(app: App, pages: Site, url: str) -> None:
    working = App(url)

    @working.schedule("0 6 * * *")
    @working.task(queue="mail", name="send")
    async def send() -> None:
        return None

    async with working, working.worker(queues=["mail"]):

        async def is_there() -> bool:
            return bool(await app.schedules.list("mail"))

        await wait_until(is_there)
    (info,) = await app.schedules.list("mail")
    page = await pages.read(f"/schedules/mail/{info.id}")
    assert "It is defined in code." in page.text
    await put(app)
    assert "defined in code" not in (await pages.read("/schedules/mail/nightly")).text


async def test_roles_hide_and_refuse(app: App) -> None:
    await put(app)
    form = {"do": "change", "name": "send", "cron": "0 7 * * *", "data": "{}"}
    async with site(app, access=await guarded(app)) as pages:
        for role, may in (("viewer", False), ("operator", True)):
            await enter(pages, role)
            page = await pages.read("/schedules/mail/nightly?edit=1")
            assert bool(page.all("form", action="/act/pause_schedule")) is may
            assert bool(page.all("textarea")) is may
            assert bool(page.all("input", value="remove")) is may
            await pages.post("/schedules/mail/nightly", form)
            assert ((await get(app)).cron == "0 7 * * *") is may
            await pages.post("/schedules/mail/nightly", {"do": "remove"})
            assert (await app.schedules.get("nightly", queue="mail") is None) is may
            await pages.post("/logout")


async def test_hidden_data_is_not_shown_and_not_overwritten(app: App) -> None:
    await put(app)
    access = AccessControl(app, passwords=CHEAP)
    await access.users.add("blind", "blind has a password", role="operator")
    async with site(app, access=access) as pages:
        await enter(pages, "blind")
        page = await pages.get("/schedules/mail/nightly?edit=1")
        assert '"jo"' not in Reader(page.text).text
        assert "Parts of the data of its jobs are hidden here" in Reader(page.text).text
        form = {"do": "change", "name": "send", "cron": "0 7 * * *", "data": "{}"}
        await pages.post("/schedules/mail/nightly", form)
        assert (await get(app)).data == {"to": "jo"}


async def test_hostile_names_are_text_and_many_schedules_are_pages(app: App, pages: Site) -> None:
    name = "<script>alert(1)</script>" + "w" * 200
    await put(app, name, name="<b>send</b>")
    for n in range(30):
        await put(app, f"s{n}")
    html = (await pages.get("/schedules")).text
    page = Reader(html)
    assert "<script>alert" not in html
    assert "<b>send" not in html
    assert len(page.elements) <= 1_500
    (following,) = (a["href"] for a in page.all("a", rel="next"))
    rest = (await pages.http.get(f"{pages.base}{following}")).text
    ids = re.findall(r'<tr id="(s-[^"]+)"', html + rest)
    assert len(ids) == len(set(ids)) == 31
    (link,) = {
        a["href"]
        for a in Reader(html + rest).all("a")
        if "alert" in (a["href"] or "") and "/schedules/" in (a["href"] or "")
    }
    assert (await pages.http.get(f"{pages.base}{link}")).status_code == 200
