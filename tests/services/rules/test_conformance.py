"""What every store of rules promises, on each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from toril.services.rules.memory import MemoryRules
from toril.services.rules.port import Rule, RuleStore, Run, Scenario, Step
from toril.services.rules.sql import SqlRules

OPTIONS = {"to": "{{ payload.userId }}", "text": "ü"}


@pytest.fixture
async def rules(database: str | None) -> AsyncIterator[RuleStore]:
    made: RuleStore = MemoryRules() if database is None else SqlRules(database)
    yield made
    await made.close()
    await made.close()


def rule(rule_id: str, event: str = "paid", **fields: object) -> Rule:
    return Rule(id=rule_id, event=event, channel="sms", options=OPTIONS, **fields)  # type: ignore[arg-type]


async def test_rules_are_kept_by_event(rules: RuleStore) -> None:
    await rules.save_rule(rule("b", when={"a.b": [1, None]}, delay_ms=5))
    await rules.save_rule(rule("a"))
    await rules.save_rule(rule("c", "sent"))
    assert await rules.rules("paid") == [rule("a"), rule("b", when={"a.b": [1, None]}, delay_ms=5)]
    await rules.save_rule(rule("a", "sent"))
    assert [one.id for one in await rules.rules("sent")] == ["a", "c"]
    assert [one.id for one in await rules.rules()] == ["a", "b", "c"]
    assert [await rules.remove_rule("a"), await rules.remove_rule("a")] == [True, False]
    assert [one.id for one in await rules.rules("sent")] == ["c"]


async def test_scenarios_are_kept(rules: RuleStore) -> None:
    steps = [Step(channel="sms", options=OPTIONS, after_ms=1, unless="x")]
    await rules.save_scenario(Scenario(id="s", steps=[]))
    await rules.save_scenario(Scenario(id="s", steps=steps))
    assert await rules.scenario("s") == Scenario(id="s", steps=steps)
    assert await rules.scenario("t") is None
    assert [await rules.remove_scenario("s"), await rules.remove_scenario("s")] == [True, False]


async def test_one_run_at_a_time_for_a_subject(rules: RuleStore) -> None:
    steps = [Step(channel="sms", options=OPTIONS)]
    first = Run(id="r1", scenario_id="s", subject="jo", steps=steps, payload={"a": 1})
    assert await rules.begin(first) == first
    again = await rules.begin(Run(id="r2", scenario_id="s", subject="jo", steps=[]))
    assert again == first
    other = Run(id="r3", scenario_id="s", subject="flo", steps=[])
    assert await rules.begin(other) == other
    assert await rules.runs_of("jo") == [first]
    assert await rules.run("r2") is None

    assert await rules.advance("r1", 1)
    assert (await rules.runs_of("jo"))[0].step == 1
    assert await rules.advance("r1", 1, "stopped")
    assert not await rules.advance("r1", 2)
    assert not await rules.advance("no", 2)
    found = await rules.run("r1")
    assert found is not None
    assert (found.state, found.step) == ("stopped", 1)
    assert await rules.runs_of("jo") == []
    new = Run(id="r4", scenario_id="s", subject="jo", steps=[])
    assert await rules.begin(new) == new
