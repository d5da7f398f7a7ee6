"""The audit log: whose acts are recorded, with what, and what it costs those who want none."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from toril import (
    App,
    AuditEntry,
    HookEvent,
    InvalidOptionError,
    InvalidSettingError,
    JobNotFoundError,
    JobOptions,
    Masker,
    Settings,
    acting,
)
from toril.engine import audit as module
from toril.engine.options import RateLimit
from toril.testing.clock import ManualClock


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the store is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/toril.db"
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
async def app(url: str, no_thread_left: None) -> AsyncIterator[App]:
    """An app on an empty store, with settings of its own."""
    async with App(url, durability="normal", settings=Settings()) as app:
        yield app


async def entries(app: App, **filters: Any) -> list[AuditEntry]:
    return (await app.audit.page(**filters)).entries


async def test_what_a_person_does_is_recorded_with_all_there_is_to_know(app: App) -> None:
    queue = app.queue("mail")
    await queue.add("send", {"to": "jo"})
    before = datetime.now(UTC) - timedelta(seconds=1)

    with acting("user:jo", "the deploy"):
        assert await queue.drain() == 1

    (entry,) = await entries(app)
    assert before <= entry.at <= datetime.now(UTC) + timedelta(seconds=1)
    expected = {
        "actor": "user:jo", "kind": "user", "verb": "drain", "queue": "mail", "job_id": None,
        "arguments": {"delayed": False}, "count": 1, "reason": "the deploy", "before": None,
        "after": None, "error": None,
    }  # fmt: skip
    assert expected.items() <= dataclasses.asdict(entry).items()


async def test_what_was_changed_is_recorded_as_it_was_and_as_it_is(app: App) -> None:
    queue = app.queue("mail")
    job = await queue.add("send", {"to": "jo"}, JobOptions(delay_s=60))
    with acting("user:jo"):
        await queue.set_rate(RateLimit(limit=5, window_s=2.0))
        await queue.set_dead_letter("dead")
        await job.change_priority(3)
        await job.promote()
        await job.remove()

    removed, promoted, priority, dead, rate = await entries(app)
    assert rate.before is not None
    assert rate.after is not None
    assert (rate.before["rate_limit"], rate.after["rate_limit"]) == (None, 5)
    assert dead.before is not None
    assert dead.after is not None
    assert (dead.before["dead_letter"], dead.after["dead_letter"]) == (None, "dead")
    assert priority.before is not None
    assert priority.after is not None
    assert (priority.before["priority"], priority.after["priority"]) == (0, 3)
    assert promoted.before is not None
    assert promoted.after is not None
    assert (promoted.before["state"], promoted.after["state"]) == ("delayed", "prioritized")
    assert removed.before is not None
    assert (removed.before["state"], removed.after) == ("prioritized", None)
    assert {one.job_id for one in (removed, promoted, priority)} == {job.id}


async def test_of_a_payload_it_is_recorded_only_that_it_is_another_one(app: App) -> None:
    job = await app.queue("mail").add("send", {"to": "old@example.com"})

    with acting("user:jo"):
        await job.update_data({"to": "new@example.com", "more": 1})

    (entry,) = await entries(app)
    assert entry.before is not None
    assert entry.after is not None
    assert entry.before["data_sha256"] != entry.after["data_sha256"]
    assert entry.before["data_bytes"] < entry.after["data_bytes"]
    (line,) = await app.backend().audit.page(before=None, limit=9)
    assert "example.com" not in line.text


async def test_schedules_are_recorded_as_they_were_and_as_they_are(app: App) -> None:
    with acting("user:jo"):
        await app.schedules.put("daily", app.queue("mail"), name="digest", cron="0 6 * * *")
        await app.schedules.put("daily", app.queue("mail"), name="digest", cron="0 7 * * *")
        await app.schedules.remove("daily")

    removed, changed, made = await entries(app)
    assert made.before is None
    assert made.after is not None
    assert changed.before is not None
    assert changed.after is not None
    assert (changed.before["cron"], changed.after["cron"]) == ("0 6 * * *", "0 7 * * *")
    assert (removed.before or {})["cron"] == "0 7 * * *"
    assert removed.after is None


async def test_hook_is_told_as_before_and_after_it_is_recorded(app: App) -> None:
    recorded: list[int] = []

    @app.on("operated")
    async def told(event: HookEvent) -> None:
        recorded.append(len(await entries(app)))

    with acting("user:jo"):
        await app.queue("mail").pause()

    assert recorded == [1]


async def test_what_failed_or_did_nothing_is_not_recorded(app: App) -> None:
    with acting("user:jo"):
        with pytest.raises(JobNotFoundError):
            await app.queue("mail").job("gone").promote()
        assert not await app.queue("mail").job("gone").remove()

    assert await entries(app) == []


async def test_what_was_cut_short_is_recorded_with_how_far_it_came(app: App) -> None:
    await app.queue("mail").add_many([("send", {"n": n}) for n in range(600)])

    def stop(_: int) -> None:
        raise ValueError("no more")

    with acting("user:jo"), pytest.raises(ValueError, match="no more"):
        await app.queue("mail").drain(progress=stop)

    (entry,) = await entries(app)
    assert (entry.count, entry.error) == (500, "ValueError")


@pytest.mark.parametrize(
    ("which", "recorded"),
    [("people", ["user:jo"]), ("all", ["program", "user:jo"]), ("off", [])],
)
async def test_setting_says_whose_acts_are_recorded(
    url: str, which: Any, recorded: list[str]
) -> None:
    async with App(url, durability="normal", settings=Settings(audit=which)) as app:
        with acting("user:jo"):
            await app.queue("mail").pause()
        await app.queue("mail").resume()

        assert [entry.actor for entry in await entries(app)] == recorded


@pytest.mark.parametrize("which", ["people", "off"])
async def test_program_that_is_not_recorded_asks_the_store_no_more(url: str, which: Any) -> None:
    """Nor does anybody, with the log off: no further read, no write."""
    async with App(url, durability="normal", settings=Settings(audit=which)) as app:
        backend = app.backend()
        asked: list[str] = []

        class Counting:
            def __init__(self, role: Any, name: str) -> None:
                self._role, self._name = role, name

            def __getattr__(self, verb: str) -> Any:
                asked.append(f"{self._name}.{verb}")
                return getattr(self._role, verb)

        roles = {
            field.name: Counting(getattr(backend, field.name), field.name)
            for field in dataclasses.fields(backend)
            if field.name not in ("url", "clock", "capabilities", "lifecycle")
        }
        counting = dataclasses.replace(backend, **roles)  # type: ignore[arg-type]
        app._producer.backend = lambda: counting

        job = await app.queue("mail").add("send")
        await job.change_priority(2)
        await app.queue("mail").pause()

    assert asked == ["jobs.add", "jobs.change_priority", "limits.pause"]


async def test_secrets_are_recorded_nowhere(
    app: App, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app.masker = Masker(["iban"])
    with acting("user:jo", "see https://jo:hunter2@example.com, password=hunter2"):
        async with app.operating(
            "import", filter={"iban": "DE02120300000000202051", "to": "jo"}, token="hunter2"
        ):
            pass

    (entry,) = await entries(app)
    assert entry.arguments == {"filter": {"iban": "***", "to": "jo"}, "token": "***"}
    assert entry.reason == "see https://jo:***@example.com, password=***"


async def test_settings_say_what_else_is_hidden(url: str) -> None:
    settings = Settings.load({"TORIL_MASK": "iban, card.number", "TORIL_URL": url})
    async with App(durability="normal", settings=settings) as app:
        with acting("user:jo"):
            async with app.operating("import", iban="DE0212", card={"number": "4", "type": "visa"}):
                pass
        (entry,) = await entries(app)
    assert entry.arguments == {"iban": "***", "card": {"number": "***", "type": "visa"}}


async def test_long_and_odd_arguments_are_cut_and_still_recorded(app: App) -> None:
    with acting("user:jo"):
        async with app.operating(
            "import",
            "mail",
            long="x" * 100_000,
            odd="\ud800",
            number=float("nan"),
            thing=object(),
            moment=datetime(2030, 1, 1, tzinfo=UTC),
        ):
            pass

    (entry,) = await entries(app)
    assert entry.verb == "import"
    (line,) = await app.backend().audit.page(before=None, limit=9)
    assert len(line.text) < 3_000
    assert entry.arguments["moment"] == "2030-01-01T00:00:00Z"
    assert entry.arguments["odd"] == "'\\ud800'"


async def test_caller_that_is_cancelled_is_recorded(app: App) -> None:
    """It is done by then; nobody may do things unseen by hanging up."""
    queue = app.queue("mail")
    await queue.pause()
    reached = asyncio.Event()

    async def operate() -> None:
        with acting("user:eve"):
            async with app.operating("import", "mail"):
                reached.set()

    task = asyncio.create_task(operate())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await app._producer.operations.finish()

    assert [entry.actor for entry in await entries(app)] == ["user:eve"]


async def test_store_that_cannot_record_is_logged_and_the_act_stays_done(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = app._producer.operations.audit
    assert recorder is not None

    def away() -> Any:
        raise OSError("the store is away")

    recorder._open = away
    with acting("user:jo"):
        await app.queue("mail").pause()

    assert "the audit log could not be written: 'pause' by 'user:jo'" in caplog.text
    info = await app.queue("mail").info()
    assert info is not None
    assert info.paused


async def test_log_is_capped(url: str) -> None:
    async with App(url, durability="normal", settings=Settings(audit_keep=3)) as app:
        for number in range(6):
            with acting(f"user:{number}"):
                await app.queue("mail").pause()
        assert [entry.actor for entry in await entries(app)] == ["user:5", "user:4", "user:3"]


async def test_pages_join_and_filters_hold(app: App) -> None:
    for number in range(12):
        with acting("user:jo" if number % 3 else "key:deploy"):
            await app.queue("mail" if number % 2 else "shop").pause()

    found, after = [], None
    while True:
        page = await app.audit.page(limit=5, after=after)
        found += page.entries
        after = page.next
        if after is None:
            break
    assert len(found) == 12
    assert len({entry.position for entry in found}) == 12
    assert [entry.at for entry in found] == sorted((one.at for one in found), reverse=True)

    def count(**facts: str) -> int:
        return sum(all(getattr(one, n) == v for n, v in facts.items()) for one in found)

    for facts in (
        {"actor": "key:deploy"},
        {"queue": "mail"},
        {"queue": "shop", "actor": "user:jo"},
    ):
        assert len(await entries(app, limit=1_000, **facts)) == count(**facts) > 0
    assert await entries(app, verb="resume") == []
    assert await entries(app, since=datetime.now(UTC) + timedelta(hours=1)) == []
    assert len(await entries(app, since=datetime.now(UTC) - timedelta(hours=1))) == 12


async def test_page_ends_in_bounded_time_where_few_are_wanted(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    monkeypatch.setattr(module, "SCANNED", 8)
    for number in range(20):
        with acting("user:first" if number == 0 else "user:jo"):
            await app.queue("mail").pause()

    page = await app.audit.page(actor="user:first")
    assert page.entries == []
    pages = 1
    while page.next is not None and not page.entries:
        page = await app.audit.page(actor="user:first", after=page.next)
        pages += 1

    assert [entry.actor for entry in page.entries] == ["user:first"]
    assert pages == 3


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ({"limit": 0}, "limit=0"),
        ({"limit": 1_001}, "limit=1001"),
        ({"after": "x"}, "after='x'"),
        ({"after": "9" * 30}, "after="),
        ({"after": "-1"}, "after='-1'"),
    ],
)
async def test_page_that_makes_no_sense_is_refused(
    app: App, filters: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidOptionError, match=problem):
        await app.audit.page(**filters)


async def test_page_may_be_one_entry_or_a_thousand(app: App) -> None:
    for number in range(3):
        await app.backend().audit.append(json.dumps({"verb": f"v{number}"}), keep=10)

    one, all_of_them = await app.audit.page(limit=1), await app.audit.page(limit=1_000)

    assert [entry.verb for entry in one.entries] == ["v2"]
    assert [entry.verb for entry in all_of_them.entries] == ["v2", "v1", "v0"]


@pytest.mark.parametrize("text", ["", "[]", "null", '{"actor":1,"count":"x","arguments":[]}', "{"])
async def test_foreign_entry_is_shown_as_far_as_it_can_be(app: App, text: str) -> None:
    await app.backend().audit.append(text, keep=10)

    (entry,) = await entries(app)

    assert (entry.actor, entry.verb, entry.arguments, entry.count) == (
        "unknown",
        "unknown",
        {},
        None,
    )


@pytest.mark.parametrize(
    ("actor", "kind"),
    [
        ("program", "program"),
        ("cli:root", "cli"),
        ("key:deploy", "key"),
        ("user:jo", "user"),
        ("host:jo", "host"),
        ("jo@example.com", "named"),
        ("user", "named"),
        ("robot:7", "named"),
    ],
)
def test_kind_of_an_actor(actor: str, kind: str) -> None:
    assert module.kind_of(actor) == kind


@pytest.mark.parametrize("value", ["sometimes", ""])
def test_setting_that_makes_no_sense_is_refused(value: str, tmp_path: Path) -> None:
    (tmp_path / "toril.toml").write_text(f"audit = {json.dumps(value)}\n")
    with pytest.raises(InvalidSettingError, match="expected one of people, all, off"):
        Settings.load({}, tmp_path)


async def test_times_are_those_of_the_stores_clock(tmp_path: Path) -> None:
    clock = ManualClock()
    async with App(f"sqlite:///{tmp_path}/t.db", clock=clock, settings=Settings()) as app:
        with acting("user:jo"):
            await app.queue("mail").pause()
        clock.advance(60)
        with acting("user:jo"):
            await app.queue("mail").resume()
        second, first = await entries(app)
    assert second.at - first.at == timedelta(seconds=60)


async def test_log_file_has_the_line_as_well(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "toril.operator")
    with acting("user:jo"):
        await app.queue("mail").pause()

    assert "user:jo: pause() in queue 'mail'" in caplog.text
