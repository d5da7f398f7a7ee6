"""Sealed fields with real workers: no clear text in the store, whatever becomes of the job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engine import sealed_tasks
from tests.engine.working import ONCE, working
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

from toril import (
    App,
    Context,
    InvalidOptionError,
    InvalidPayloadError,
    InvalidSettingError,
    Job,
    JobDraft,
    JobFailedError,
    JobInfo,
    KeepPolicy,
    Node,
    RetryPolicy,
    SealedFieldError,
    Settings,
    State,
)
from toril.core.sealing import is_sealed

SECRET = "4242-4242-4242-4242"
OLD = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2s="
NEW = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU="
TWICE = RetryPolicy(max_attempts=2, base_s=0, jitter_ratio=0)


def app_on(url: str, *keys: str) -> App:
    return App(url, durability="normal", settings=Settings(encryption_keys=keys or (OLD,)))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/toril.db"


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    app = app_on(url)
    yield app
    await app.close()


async def shown(job: Job[Any]) -> JobInfo:
    """Return what is told of a job."""
    info = await job.info()
    assert info is not None
    return info


def stored(url: str) -> Iterator[str]:
    """Return everything that is in the files of a store."""
    for path in Path(url.removeprefix("sqlite:///")).parent.glob("toril.db*"):
        yield path.read_bytes().decode("latin-1")


def everything(server: RedisServer, prefix: str) -> str:
    """Return the content of all keys."""
    read = {
        "string": ("GET",),
        "hash": ("HGETALL",),
        "list": ("LRANGE", 0, -1),
        "set": ("SMEMBERS",),
        "zset": ("ZRANGE", 0, -1),
        "stream": ("XRANGE", "-", "+"),
    }
    found = []
    for key in server.keys(prefix):
        verb, *rest = read[str(server.command("TYPE", key))]
        found.append(repr(server.command(str(verb), key, *rest)))
    return "\n".join(found)


def assert_hidden(url: str, secret: str = SECRET) -> None:
    assert not any(secret in content for content in stored(url))


async def test_task_sees_what_the_store_does_not(app: App, url: str) -> None:
    seen: list[object] = []

    @app.task(queue="pay", sealed=("card",))
    async def charge(context: Context, card: str, amount: float) -> None:
        seen.extend([card, amount, context.data["card"]])

    job = await charge.enqueue(SECRET, amount=12345678901234567890.5)
    assert is_sealed((await shown(job)).data["card"])
    async with working(app):
        await job.result(timeout_s=60)

    assert seen == [SECRET, 12345678901234567890.5, SECRET]
    assert_hidden(url)


async def test_errors_tracebacks_logs_and_progress_show_no_value(app: App, url: str) -> None:
    @app.task(queue="pay", sealed=("card", "pin"), retry=TWICE)
    async def charge(context: Context, card: str, pin: int) -> None:
        context.log(f"card {card}, pin {pin}, year 98765")
        context.progress({"card": card, "pin": pin})
        try:
            raise KeyError(card)
        except KeyError as error:
            raise ValueError(f"declined: {card!r} {pin}") from error

    await app.queue("pay").set_dead_letter("dead")
    job = await charge.enqueue(card=SECRET + '"\n', pin=9876)
    async with working(app):
        with pytest.raises(JobFailedError) as caught:
            await job.result(timeout_s=60)

    assert SECRET not in str(caught.value)
    info = await job.info()
    assert info is not None
    assert info.failed_reason == "ValueError: declined: '[sealed]' [sealed]"
    assert [attempt.outcome for attempt in info.attempts] == ["retried", "failed"]
    assert "[sealed]" in (info.attempts[0].traceback or "")
    assert (await job.logs())[0] == "card [sealed], pin [sealed], year 98765"
    assert "9876\\b" not in str(info.progress)
    (letter,) = (await app.dead_letters("dead").list()).letters
    assert is_sealed(letter.data["card"])
    assert_hidden(url)
    assert_hidden(url, "9876 ")


async def test_fields_of_a_result_are_sealed_and_read_by_who_has_the_key(
    app: App, url: str
) -> None:
    @app.task(queue="pay", sealed=("card",))
    async def charge(card: str) -> dict[str, str]:
        return {"card": card, "status": "paid"}

    job = await charge.enqueue(SECRET)
    async with working(app):
        assert await job.result(timeout_s=60) == {"card": SECRET, "status": "paid"}

    result = (await shown(job)).result
    assert is_sealed(result["card"])
    assert result["status"] == "paid"
    assert_hidden(url)


async def test_result_that_holds_the_value_elsewhere_is_sealed_whole(app: App, url: str) -> None:
    @app.task(queue="pay", sealed=("card",))
    async def charge(card: str) -> str:
        return f"paid by {card}"

    job = await charge.enqueue(SECRET)
    async with working(app):
        assert await job.result(timeout_s=60) == f"paid by {SECRET}"

    assert is_sealed((await shown(job)).result)
    assert_hidden(url)


async def test_field_of_an_object_is_sealed_alone(app: App, url: str) -> None:
    seen: list[dict[str, str]] = []

    @app.task(queue="pay", sealed=("owner.iban",), rename="camel")
    async def charge(owner: dict[str, str]) -> None:
        seen.append(owner)

    job = await charge.enqueue({"name": "Ann", "iban": SECRET})
    data = (await shown(job)).data
    assert data["owner"]["name"] == "Ann"
    assert is_sealed(data["owner"]["iban"])
    async with working(app):
        await job.result(timeout_s=60)

    assert seen == [{"name": "Ann", "iban": SECRET}]
    assert_hidden(url)


async def test_names_on_the_wire_are_those_of_the_task(app: App) -> None:
    @app.task(queue="pay", sealed=("card_number",), rename="camel")
    async def charge(card_number: str | None = None) -> None: ...

    given, none = await charge.enqueue(SECRET), await charge.enqueue(None)

    assert is_sealed((await shown(given)).data["cardNumber"])
    assert (await shown(none)).data == {"cardNumber": None}


async def test_every_door_seals(app: App, url: str) -> None:
    seen: list[str] = []

    @app.task(queue="pay", sealed=("card",))
    async def charge(card: str) -> None:
        seen.append(card[len(SECRET) :])

    @app.task(queue="order")
    async def order(context: Context) -> None:
        context.enqueue(charge, card=f"{SECRET}1")
        context.enqueue("charge", {"card": f"{SECRET}2"}, queue="pay")

    await charge.enqueue_many([{"card": f"{SECRET}3"}])
    await app.queue("pay").add("charge", {"card": f"{SECRET}4"})
    await app.flows.add(charge.node(f"{SECRET}5"))
    await app.flows.add(Node("pay", "charge", {"card": f"{SECRET}6"}))
    await app.schedules.put("by task", charge, {"card": f"{SECRET}7"}, every=timedelta(hours=1))
    put = app.schedules.put
    await put("by name", app.queue("pay"), {"card": f"{SECRET}8"}, name="charge", cron="0 0 * * *")
    changed = await charge.with_options(delay=3600).enqueue("other")
    await changed.update_data({"card": f"{SECRET}9"})
    await changed.promote()
    for schedule in ("by task", "by name"):
        await app.schedules.run(schedule)
    await order.enqueue()
    async with working(app):
        await wait_until(lambda: len(seen) == 9, what="all jobs")

    assert sorted(seen) == list("123456789")
    assert_hidden(url)


async def test_middleware_sees_sealed_fields_and_what_it_sets_is_sealed(app: App, url: str) -> None:
    seen: list[str] = []

    @app.task(queue="pay", sealed=("card",))
    async def charge(card: str) -> None:
        seen.append(card)

    @app.enqueue_middleware
    def other(job: JobDraft) -> None:
        assert is_sealed(job.payload["card"])
        job.payload["card"] = SECRET

    await charge.enqueue("one")
    await app.flows.add(charge.node("two"))
    await app.queue("pay").add("charge", {"card": "three"})
    async with working(app):
        await wait_until(lambda: len(seen) == 3, what="all jobs")

    assert seen == [SECRET, SECRET, SECRET]
    assert_hidden(url)


async def test_child_process_needs_no_key(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORIL_ENCRYPTION_KEYS", raising=False)
    app = app_on(url)
    app.include(sealed_tasks.bundle)
    job = await app.bound(sealed_tasks.charge).enqueue(SECRET)
    async with working(app):
        assert await job.result(timeout_s=60) == {"card": SECRET, "key": None}

    assert "[sealed]" in (await job.logs())[0]
    assert_hidden(url)
    await app.close()


async def test_wrong_key_fails_the_job_and_keeps_it(url: str) -> None:
    def make(*keys: str) -> tuple[App, Any]:
        app = app_on(url, *keys)

        @app.task(queue="pay", sealed=("card",), retry=TWICE, keep_failed=KeepPolicy(count=0))
        async def charge(card: str) -> str:
            return "paid" if card == SECRET else card

        return app, charge

    app, charge = make(OLD)
    job = await charge.enqueue(SECRET)
    await app.close()
    app, _ = make(NEW)
    async with working(app):
        await wait_until(lambda: _is_failed(app, job.id), what="the failure")
    info = await app.queue("pay").job(job.id).info()
    assert info is not None
    assert "sealed with key" in (info.failed_reason or "")
    assert len(info.attempts) == 1
    await app.close()

    app, _ = make(NEW, OLD)
    job = app.queue("pay").job(job.id)
    await job.retry()
    async with working(app):
        assert await job.result(timeout_s=60) == "paid"
    await app.close()


async def _is_failed(app: App, job_id: str) -> bool:
    return await app.queue("pay").job(job_id).state() is State.FAILED


async def test_keys_change_with_jobs_in_line(url: str) -> None:
    seen: list[str] = []

    def make(*keys: str) -> tuple[App, Any]:
        app = app_on(url, *keys)

        @app.task(queue="pay", sealed=("card",))
        async def charge(card: str) -> None:
            seen.append(card)

        return app, charge

    for keys, card in (((OLD,), "1"), ((NEW, OLD), "2"), ((NEW,), "3")):
        app, charge = make(*keys)
        await charge.enqueue(card * 8)
        await app.close()
    app, _ = make(NEW, OLD)
    async with working(app):
        await wait_until(lambda: len(seen) == 3, what="all jobs")
    await app.close()

    assert seen == ["1" * 8, "2" * 8, "3" * 8]


async def test_nothing_is_added_or_worked_without_a_key(url: str) -> None:
    app = App(url, settings=Settings())

    @app.task(queue="pay", sealed=("card",))
    async def charge(card: str) -> None: ...

    with pytest.raises(SealedFieldError, match="set TORIL_ENCRYPTION_KEYS"):
        await charge.enqueue(SECRET)
    with pytest.raises(SealedFieldError, match="set TORIL_ENCRYPTION_KEYS"):
        app.worker()
    assert await app.queue("pay").info() is None
    await app.close()


async def test_clear_values_of_other_producers_are_taken(app: App) -> None:
    @app.task(queue="pay", sealed=("card",), retry=ONCE)
    async def charge(card: str) -> str:
        raise ValueError(card)

    other = App(app.url, settings=Settings())
    job = await other.queue("pay").add("charge", {"card": SECRET})
    async with working(app):
        with pytest.raises(JobFailedError, match=r"\[sealed\]"):
            await job.result(timeout_s=60)
    await other.close()


def test_fields_that_cannot_be_are_refused_where_they_are_named() -> None:
    app = App("sqlite://:memory:", settings=Settings(encryption_keys=(OLD,)))
    for sealed, said in (
        (("crad",), "no parameter 'crad'; it has: card"),
        (("",), "names of fields"),
        (("card.",), "names of fields"),
    ):
        with pytest.raises(InvalidOptionError, match=said):

            @app.task(queue="pay", sealed=sealed)
            async def charge(card: str) -> None: ...


def test_declared_schedule_shows_no_secret_in_code() -> None:
    app = App("sqlite://:memory:", settings=Settings(encryption_keys=(OLD,)))
    with pytest.raises(InvalidOptionError, match=r"app\.schedules\.put"):

        @app.schedule("@daily", payload={"card": SECRET})
        @app.task(queue="pay", sealed=("card",))
        async def charge(card: str) -> None: ...


def test_payload_that_does_not_fit_is_refused_at_the_door() -> None:
    app = App("sqlite://:memory:", settings=Settings(encryption_keys=(OLD,)))

    @app.task(queue="pay", sealed=("card",), max_payload_bytes=40)
    async def charge(card: str) -> None: ...

    with pytest.raises(InvalidPayloadError, match="Expected `str`"):
        asyncio.run(charge.enqueue(5))  # type: ignore[arg-type]
    with pytest.raises(InvalidPayloadError, match="at most max_payload_bytes=40"):
        asyncio.run(charge.enqueue("x" * 40))


@pytest.mark.parametrize("value", ["x", f"{OLD},x"])
def test_setting_that_is_no_key_stops_the_start(value: str) -> None:
    with pytest.raises(InvalidSettingError, match="32 bytes in base64") as caught:
        Settings.load({"TORIL_ENCRYPTION_KEYS": value})
    assert OLD not in str(caught.value)


def test_settings_show_no_key() -> None:
    settings = Settings.load({"TORIL_ENCRYPTION_KEYS": f"{NEW},{OLD}"})

    assert settings.encryption_keys == (NEW, OLD)
    assert NEW not in repr(settings)


async def test_nothing_clear_is_on_redis_either(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    app = app_on(f"{redis_server.url}?prefix={redis_prefix}")

    @app.task(queue="pay", sealed=("card",), retry=TWICE)
    async def charge(context: Context, card: str) -> None:
        context.log(card)
        raise ValueError(card)

    await app.queue("pay").set_dead_letter("dead")
    job = await charge.enqueue(SECRET)
    async with working(app):
        with pytest.raises(JobFailedError, match=r"\[sealed\]"):
            await job.result(timeout_s=60)
    await app.close()

    dump = await asyncio.to_thread(everything, redis_server, redis_prefix)
    assert "[sealed]" in dump
    assert SECRET not in dump


def test_sealed_payload_is_plain_json_for_other_languages() -> None:
    app = App("sqlite://:memory:", settings=Settings(encryption_keys=(OLD,)))

    @app.task(queue="pay", sealed=("card",))
    async def charge(card: str, note: str) -> None: ...

    data = json.loads(charge.new_job(SECRET, note="hi").data)

    assert list(data) == ["card", "note"]
    assert list(data["card"]) == ["$sealed"]


async def test_payload_that_the_task_changes_is_sealed_for_the_next_attempt(
    app: App, url: str
) -> None:
    seen: list[str] = []

    @app.task(queue="pay", sealed=("card",), retry=TWICE)
    async def charge(context: Context, card: str) -> None:
        seen.append(card)
        if card != SECRET:
            await context.update_data({"card": SECRET})
            assert context.data == {"card": SECRET}
            raise ValueError("once more")

    job = await charge.enqueue("other")
    async with working(app):
        await job.result(timeout_s=60)

    assert seen == ["other", SECRET]
    assert_hidden(url)


async def test_job_that_is_claimed_by_hand_is_opened_and_its_result_is_sealed(
    app: App, url: str
) -> None:
    @app.task(queue="pay", sealed=("card",))
    async def charge(card: str) -> dict[str, str]:
        return {"card": card}

    await charge.enqueue(SECRET)
    async with app.claims("pay") as claims:
        job = await claims.claim()
        assert job is not None
        assert job.data == {"card": SECRET}
        await job.complete({"card": job.data["card"]})

    assert_hidden(url)


async def test_job_that_is_claimed_by_hand_fails_without_its_key(url: str) -> None:
    first, second = app_on(url), app_on(url, NEW)
    for app in (first, second):

        @app.task(queue="pay", sealed=("card",))
        async def charge(card: str) -> None: ...

    job = await first.queue("pay").add("charge", {"card": SECRET})
    async with second.claims("pay") as claims:
        waiting = asyncio.create_task(claims.claim())
        await wait_until(lambda: _is_failed(second, job.id), what="the failure")
        waiting.cancel()
    await first.close()
    await second.close()
