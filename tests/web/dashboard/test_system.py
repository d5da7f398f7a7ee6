"""The page of the system: alerts, health, settings without secrets; who may see what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.web.dashboard.support import Site, said, site
from tests.web.dashboard.test_frame import enter, guarded

from toril import App
from toril.alerts.handle import RULES
from toril.alerts.records import AlertRecord, key_of, row
from toril.settings import Settings
from toril.version import VERSION
from toril.web.dashboard.pages import system
from toril.web.own_facts import shown_settings


async def raised(app: App, **given: Any) -> None:
    """Store an alert as a watch does."""
    backend = app.backend()
    now_ms = backend.clock.now_ms()
    base: dict[str, Any] = {
        "rule": "queue_size", "subject": "mail", "queues": ["mail"], "state": "raised",
        "since_ms": now_ms - 60_000, "seen_ms": now_ms, "value": 9.0, "threshold": 5.0,
        "text": "9 jobs wait in <b>mail</b>", "told": True, "told_ms": now_ms,
    }  # fmt: skip
    record = AlertRecord(**{**base, **given})
    await backend.alerts.change([row("alert", key_of(record.rule, record.subject), record)])


async def test_page_shows_store_health_settings_and_versions(app: App, pages: Site) -> None:
    found = await pages.read("/system")

    url = app.backend().url
    assert url in found.text
    assert f"Store {url.split(':')[0]} answers in" in found.text
    assert f"Toril {VERSION}" in found.text
    assert "Health of the store" in found.text
    assert "thing is in order" in found.text or "things are in order" in found.text
    assert "audit_keep 10000 default" in found.text
    assert "max_body_bytes" in found.text
    assert "declares no alerts" in found.text


async def test_finding_is_shown_with_its_way_out(app: App, pages: Site) -> None:
    @app.task(queue="mail")
    async def send() -> None: ...

    await app.schedules.put("nightly", app.queue("mail"), {}, name="send", every=3600.0)
    stranger = App(app.backend().url)
    async with stranger:

        @stranger.task(queue="mail")
        async def other() -> None: ...

        async with site(stranger) as theirs:
            health = await stranger.check()
            wrong = [one for one in health.findings if one.grade != "ok"]
            assert wrong
            found = await theirs.read("/system?check=whole")
            for one in wrong:
                assert " ".join(one.text.split()) in found.text
            assert "All is well." not in found.text


async def test_long_look_is_left_to_the_reader(
    pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "CHECK_S", 0.0)

    found = await pages.read("/system")
    assert "Looking this store over takes long." in found.text
    assert found.all("a", href="/system?check=whole")
    assert "takes long" not in (await pages.read("/system?check=whole")).text


async def test_alerts_are_shown_and_muted(app: App, pages: Site) -> None:
    await raised(app)
    await raised(app, rule="no_worker", state="pending", told=False, told_ms=0)

    found = await pages.read("/system")
    assert "9 jobs wait in <b>mail</b>" in found.text
    assert found.text.index("queue_size mail") < found.text.index("no_worker mail")
    page = await pages.act(
        "mute_alerts", rule="queue_size", queue="mail", duration_s="3600", reason="a known peak"
    )
    assert "Nobody is told of these alerts" in page.text
    (mute,) = await app.alerts.mutes()
    assert (mute.rule, mute.queue, mute.by, mute.reason) == (
        "queue_size", "mail", "host:anybody", "a known peak",
    )  # fmt: skip
    found = await pages.read("/system")
    assert "muted" in found.text
    assert "a known peak" in found.text
    wrong = await pages.act("mute_alerts", rule="nothing", duration_s="60")
    assert "nothing" in wrong.text
    assert "told again" in (await pages.act("unmute_alerts", rule="queue_size", queue="mail")).text
    assert await app.alerts.mutes() == []
    again = await pages.act("unmute_alerts", rule="queue_size", queue="mail")
    assert "is not muted in these words" in again.text


async def test_roles_see_what_is_theirs(app: App) -> None:
    await raised(app)
    await raised(app, rule="dead_letter", text="the last: ValueError: jo@example.com")
    await raised(app, subject="secret", queues=["secret"], text="secret is long")
    access = await guarded(app)
    await access.users.add("part", "part has a password", role="admin", queues=["mail"])
    await app.alerts.mute("*", "secret", duration=60)
    async with site(app, access=access) as pages:
        for who, mutes, whole in (
            ("viewer", False, False), ("operator", True, False), ("admin", True, True),
        ):  # fmt: skip
            await enter(pages, who)
            found = await pages.read("/system")
            assert "secret is long" in found.text
            assert bool(found.all("form", action="/act/mute_alerts")) == mutes, who
            assert ("Settings" in [*found.words]) == whole, who
            page = await pages.act("mute_alerts", duration_s="60")
            assert ("Nobody is told" in page.text) == mutes
        await enter(pages, "part")
        found = await pages.read("/system")
        assert "secret" not in found.text
        assert "9 jobs wait" in found.text
        assert "jo@example.com" not in found.text, "who sees no payloads sees no errors"
        assert not found.all("form", action="/act/mute_alerts")
        refused = await pages.get("/api/v1/system")
        assert refused.status_code == 403
        assert "admin" in refused.text, said(refused.text)


def test_settings_come_without_secrets() -> None:
    settings = Settings(
        admin_key="k" * 32, encryption_keys=("a" * 44, "b" * 44),
        smtp_url="smtp://jo:swordfish@host:587", mask=("iban", "card"), concurrency=3,
    )  # fmt: skip
    found = {one.name: one for one in shown_settings(settings, "redis://:***@host/0")}

    assert found["admin_key"].value == "***"
    assert found["encryption_keys"].value == "***, ***"
    assert found["smtp_url"].value == "smtp://jo:***@host:587"
    assert found["url"].value == "redis://:***@host/0"
    assert found["mask"].value == "iban, card"
    assert (found["concurrency"].value, found["concurrency"].is_default) == ("3", False)
    assert (found["timezone"].value, found["timezone"].is_default) == ("UTC", True)
    assert found["mail_from"].value == ""
    assert "swordfish" not in repr(found)


async def test_open_page_is_brought_up_to_date_without_looking_the_store_over(
    app: App, pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    check = app.check

    async def counted() -> Any:
        nonlocal looked
        looked += 1
        return await check()

    monkeypatch.setattr(app, "check", counted)
    await pages.read("/system")
    assert looked == 1
    await asyncio.gather(
        *(pages.get("/system", headers={"x-toril-refresh": "1"}) for _ in range(3))
    )
    assert looked == 1
    assert RULES[0] in (await pages.get("/system")).text
