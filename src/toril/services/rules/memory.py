"""Rules, scenarios and runs in memory, for tests: gone with the process."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toril.services.rules.port import Rule, Run, RunState, Scenario


class MemoryRules:
    """Fulfils `RuleStore`."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._scenarios: dict[str, Scenario] = {}
        self._runs: dict[str, Run] = {}

    async def save_rule(self, rule: Rule) -> None:
        """Store a rule."""
        self._rules[rule.id] = rule

    async def rules(self, event: str | None = None) -> Sequence[Rule]:
        """Return rules."""
        every = sorted(self._rules.values(), key=lambda rule: rule.id)
        return [rule for rule in every if event is None or rule.event == event]

    async def remove_rule(self, rule_id: str) -> bool:
        """Remove a rule."""
        return self._rules.pop(rule_id, None) is not None

    async def save_scenario(self, scenario: Scenario) -> None:
        """Store a scenario."""
        self._scenarios[scenario.id] = scenario

    async def scenario(self, scenario_id: str) -> Scenario | None:
        """Return a scenario."""
        return self._scenarios.get(scenario_id)

    async def remove_scenario(self, scenario_id: str) -> bool:
        """Remove a scenario."""
        return self._scenarios.pop(scenario_id, None) is not None

    async def begin(self, run: Run) -> Run:
        """Store a run, unless one is running."""
        for other in await self.runs_of(run.subject):
            if other.scenario_id == run.scenario_id:
                return other
        return self._runs.setdefault(run.id, run)

    async def run(self, run_id: str) -> Run | None:
        """Return a run."""
        return self._runs.get(run_id)

    async def runs_of(self, subject: str) -> Sequence[Run]:
        """Return what is running for a subject."""
        every = sorted(self._runs.values(), key=lambda run: run.id)
        return [run for run in every if run.subject == subject and run.state == "running"]

    async def advance(self, run_id: str, step: int, state: RunState = "running") -> bool:
        """Note how far a run is."""
        run = self._runs.get(run_id)
        if run is None or run.state != "running":
            return False
        self._runs[run_id] = msgspec.structs.replace(run, step=step, state=state)
        return True

    async def close(self) -> None:
        """Nothing is open."""
