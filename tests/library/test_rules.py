"""Rules and scenarios, by workers, on both stores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from toril import App
from toril.library.notify import (
    Channels,
    EventRulesHandler,
    NotificationService,
    ScenarioEngine,
)
from toril.library.notify.tasks import notifications, notify_send, notify_step, scenario_steps
from toril.services.messengers.memory import MemoryMessenger
from toril.services.messengers.port import MessengerError
from toril.services.rules.port import Rule, RuleStore, Step
from toril.services.rules.sql import SqlRules
from toril.services.unusable import UnusableInputError

pytestmark = pytest.mark.timeout(240)
QUEUE = "notifications"


@dataclass
class Desk:
    """An app with rules and scenarios."""

    app: App
    rules: SqlRules
    phone: MemoryMessenger
    handler: EventRulesHandler
    engine: ScenarioEngine

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(one.to, one.text) for one in self.phone.sent]

    async def until_sent(self, count: int) -> None:
        """Run a worker until so many texts were sent, and nothing runs."""
        async with asyncio.timeout(120), self.app.worker():
            while len(self.phone.sent) < count or await self.open("active"):
                await asyncio.sleep(0.01)

    async def open(self, *states: str) -> int:
        info = await self.app.queue(QUEUE).info()
        return 0 if info is None else sum(getattr(info, state) for state in states)

    async def close(self) -> None:
        await self.app.close()
        await self.rules.close()


def desk_of(url: str, folder: Path, phone: MemoryMessenger) -> Desk:
    app = App(url)
    rules = SqlRules(f"sqlite:///{folder}/rules.db")
    app.include(notifications)
    app.include(scenario_steps)
    app.provide(Channels(telegram=phone))
    app.provide(rules, RuleStore)
    engine = ScenarioEngine(app, app.bound(notify_step), rules)
    service = NotificationService(app.bound(notify_send))
    return Desk(app, rules, phone, EventRulesHandler(rules, service, engine), engine)


@pytest.fixture
async def desk(url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    made = desk_of(url, tmp_path, MemoryMessenger())
    yield made
    await made.close()


def rule(rule_id: str = "r1", **fields: Any) -> dict[str, Any]:
    options = {"to": "{{ payload.chat }}", "text": "Order {{payload.order.id}}: {{ payload.sum }}"}
    return {"id": rule_id, "event": "paid", "channel": "telegram", "options": options, **fields}


PAYLOAD = {"chat": "77", "order": {"id": "o1"}, "sum": 5, "userId": "jo"}


async def test_event_and_rule_make_one_job(desk: Desk) -> None:
    await desk.handler.save(rule())
    await desk.handler.save(rule("r2", when={"payload.order.id": "o2"}))
    await desk.handler.save(rule("r3", event="other"))
    first = await desk.handler.handle("paid", PAYLOAD, event_id="e1")
    again = await desk.handler.handle("paid", PAYLOAD, event_id="e1")
    assert [job.id for job in first] == [job.id for job in again]
    await desk.handler.handle("paid", {**PAYLOAD, "order": {"id": "o2"}}, event_id="e2")
    await desk.until_sent(3)
    assert sorted(desk.texts) == [
        ("77", "Order o1: 5"),
        ("77", "Order o2: 5"),
        ("77", "Order o2: 5"),
    ]
    assert (await desk.app.queue(QUEUE).info()).completed_total == 3  # type: ignore[union-attr]


async def test_delay_of_a_rule_delays_its_job(desk: Desk) -> None:
    await desk.handler.save(rule(delayMs=600))
    began = time.monotonic()
    (job,) = await desk.handler.handle("paid", PAYLOAD)
    assert (await job.info()).state == "delayed"
    await desk.until_sent(1)
    assert time.monotonic() - began >= 0.59


async def test_rules_are_edited_while_running(desk: Desk) -> None:
    await desk.handler.save(rule())
    await desk.handler.handle("paid", PAYLOAD)
    new = {"to": "78", "text": "New"}
    await desk.handler.save(rule(options=new))
    await desk.handler.handle("paid", PAYLOAD)
    await desk.until_sent(2)
    assert sorted(desk.texts) == [("77", "Order o1: 5"), ("78", "New")]
    await desk.rules.remove_rule("r1")
    assert await desk.handler.handle("paid", PAYLOAD) == []


async def test_values_keep_their_types(desk: Desk) -> None:
    options = {"to": ["{{ payload.chat }}"], "text": "x", "data": {"n": "{{ payload.sum }}"}}
    saved = await desk.handler.save(rule(options=options))
    assert saved == Rule(id="r1", event="paid", channel="telegram", options=options)
    (job,) = await desk.handler.handle("paid", PAYLOAD)
    assert (await job.info()).data["options"] == {"to": ["77"], "text": "x", "data": {"n": 5}}
    assert (await job.info()).delay_s == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"channel": "fax"}, "email, browser, telegram, database, sms"),
        ({"id": " "}, "id ' ': expected 1 to 128"),
        ({"event": ""}, "event ''"),
        ({"delayMs": -1}, "delayMs=-1"),
        ({"delayMs": 10**12}, "expected 0 to"),
        ({"options": {"to": "a"}}, "give template, text or html"),
        ({"options": {"to": [], "text": "x"}}, "at least one receiver"),
        ({"options": {"to": "a", "txt": "x"}}, "'txt': unknown; expected data"),
        ({"options": {"to": "a", "text": 5}}, "text"),
        ({"options": {"to": "a", "text": "{{ order.id }}"}}, "expected placeholders such as"),
        ({"options": {"to": "a", "text": "x", "data": {"a": ["{{ payload. }}"]}}}, "placeholders"),
        ({"delay": 5}, "delay"),
        ({"when": 5}, "when"),
    ],
)
async def test_bad_rules_are_refused_when_saved(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    desk = desk_of("sqlite://:memory:", tmp_path, MemoryMessenger())
    with pytest.raises(UnusableInputError) as error:
        await desk.handler.save(rule(**fields))
    assert words in str(error.value)
    assert await desk.rules.rules() == []
    await desk.close()


async def test_missing_value_adds_nothing(desk: Desk) -> None:
    await desk.handler.save(rule("a", options={"to": "1", "text": "x"}))
    await desk.handler.save(rule("b"))
    with pytest.raises(UnusableInputError, match=r"rule 'b': options.text.*'order.id'"):
        await desk.handler.handle("paid", {"chat": "1", "sum": 1, "order": None})
    assert await desk.open("waiting", "delayed", "active") == 0


def steps(*after_ms: int, unless: str | None = "paid") -> list[dict[str, Any]]:
    return [
        {
            "afterMs": wait,
            "channel": "telegram",
            "options": {"to": "{{ payload.chat }}", "text": f"step {number}"},
            "unless": unless,
        }
        for number, wait in enumerate(after_ms)
    ]


async def test_steps_follow_each_other(desk: Desk) -> None:
    await desk.engine.save({"id": "s", "steps": steps(0, 150, 0)})
    run = await desk.engine.start("s", "jo", {"chat": "77"})
    assert (await desk.engine.start("s", "jo", {"chat": "78"})).id == run.id
    await desk.engine.save({"id": "s", "steps": steps(0)})  # runs go on as they began
    began = time.monotonic()
    await desk.until_sent(3)
    assert time.monotonic() - began >= 0.14
    assert desk.texts == [("77", f"step {number}") for number in range(3)]
    ended = await desk.rules.run(run.id)
    assert ended is not None
    assert (ended.state, ended.step) == ("ended", 3)


async def test_unless_stops_what_is_left(desk: Desk) -> None:
    await desk.engine.save({"id": "s", "steps": steps(0, 600_000, 0)})
    run = await desk.engine.start("s", "jo", {"chat": "77"})
    await desk.until_sent(1)
    await desk.handler.handle("paid", {"userId": "flo"})
    await desk.handler.handle("seen", {"userId": "jo"})
    assert await desk.open("delayed") == 1
    await desk.handler.handle("paid", {"userId": "jo"})
    assert await desk.open("waiting", "delayed", "active") == 0
    assert (await desk.rules.run(run.id)).state == "stopped"  # type: ignore[union-attr]
    assert desk.texts == [("77", "step 0")]


async def test_cancel_stops_and_another_may_begin(desk: Desk) -> None:
    await desk.engine.save({"id": "s", "steps": steps(600_000)})
    await desk.engine.start("s", "jo", {"chat": "77"})
    assert await desk.engine.cancel("s", "flo") is False
    assert await desk.engine.cancel("other", "jo") is False
    assert await desk.engine.cancel("s", "jo") is True
    assert await desk.engine.cancel("s", "jo") is False
    assert await desk.open("waiting", "delayed", "active") == 0
    await desk.engine.save({"id": "s", "steps": steps(0)})
    await desk.engine.start("s", "jo", {"chat": "77"})
    await desk.until_sent(1)


async def test_step_of_a_stopped_run_sends_nothing(desk: Desk) -> None:
    """The event comes when the step's job is at the door already."""
    await desk.engine.save({"id": "s", "steps": steps(0)})
    run = await desk.engine.start("s", "jo", {"chat": "77"})
    assert await desk.rules.advance(run.id, 0, "stopped")
    await asyncio.wait_for(desk.app.worker().run(until_idle=True), 120)
    assert desk.texts == []
    assert (await desk.app.queue(QUEUE).info()).completed_total == 1  # type: ignore[union-attr]


async def test_start_after_a_crash_adds_the_step(desk: Desk) -> None:
    """Whoever began the run was killed before the job was there."""
    await desk.engine.save({"id": "s", "steps": steps(0)})
    run = await desk.engine.start("s", "jo", {"chat": "77"})
    await desk.app.queue(QUEUE).job(f"scenario-{run.id}-0").remove()
    await desk.engine.start("s", "jo", {"chat": "77"})
    await desk.until_sent(1)


async def test_step_that_was_sent_before_a_crash_is_not_sent_again(desk: Desk) -> None:
    await desk.engine.save({"id": "s", "steps": steps(0, 0)})
    run = await desk.engine.start("s", "jo", {"chat": "77"})
    await desk.rules.advance(run.id, 1)  # what the killed attempt did after it had sent
    await desk.until_sent(1)
    assert desk.texts == [("77", "step 1")]


class Shaky(MemoryMessenger):
    """Cannot be reached at first."""

    failures = 1

    async def send(self, to: str, text: str, *, key: str) -> str:
        if self.failures:
            self.failures -= 1
            raise MessengerError("it is away")
        return await super().send(to, text, key=key)


async def test_retried_step_adds_the_next_once(url: str, tmp_path: Path) -> None:
    desk = desk_of(url, tmp_path, Shaky())
    await desk.engine.save({"id": "s", "steps": steps(0, 0)})
    await desk.engine.start("s", "jo", {"chat": "77"})
    await desk.until_sent(2)
    assert desk.texts == [("77", "step 0"), ("77", "step 1")]
    await desk.close()


async def test_scenario_goes_on_after_a_restart(url: str, tmp_path: Path) -> None:
    before = desk_of(url, tmp_path, MemoryMessenger())
    await before.engine.save({"id": "s", "steps": steps(0, 300)})
    await before.engine.start("s", "jo", {"chat": "77"})
    await before.until_sent(1)
    await before.close()
    after = desk_of(url, tmp_path, MemoryMessenger())
    await after.until_sent(1)
    assert after.texts == [("77", "step 1")]
    await after.close()


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ({"id": "s", "steps": []}, "steps: there is none"),
        ({"id": "", "steps": steps(0)}, "id ''"),
        ({"id": "s", "steps": steps(-1)}, "steps[0]: afterMs=-1"),
        ({"id": "s", "steps": [*steps(0), {"channel": "fax", "options": {}}]}, "steps[1]: channel"),
        ({"id": "s", "steps": steps(0, unless="")}, "steps[0]: unless ''"),
        ({"id": "s"}, "steps"),
    ],
)
async def test_bad_scenarios_are_refused_when_saved(
    tmp_path: Path, scenario: dict[str, Any], words: str
) -> None:
    desk = desk_of("sqlite://:memory:", tmp_path, MemoryMessenger())
    with pytest.raises(UnusableInputError) as error:
        await desk.engine.save(scenario)
    assert words in str(error.value)
    with pytest.raises(UnusableInputError, match="there is no such scenario"):
        await desk.engine.start("s", "jo")
    await desk.engine.save({"id": "t", "steps": steps(0)})
    with pytest.raises(UnusableInputError, match="has no 'chat'"):
        await desk.engine.start("t", "jo")
    assert Step(channel="sms", options={}).unless is None
    await desk.close()
