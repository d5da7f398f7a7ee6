"""What a store of rules, scenarios and their runs promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

RunState = Literal["running", "ended", "stopped", "cancelled"]


class Rule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What follows an event."""

    id: str
    event: str
    when: dict[str, Any] = {}
    """Only for payloads that have these values, by their paths: `{"order.currency": "EUR"}`."""
    channel: str
    options: dict[str, Any]
    """Of the notification; `{{ payload.order.id }}` stands for a value of the event's payload."""
    delay_ms: int = 0


class Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One notification of a scenario."""

    after_ms: int = 0
    """After the start, or after the step before."""
    channel: str
    options: dict[str, Any]
    unless: str | None = None
    """An event that stops the run if it comes before this step."""


class Scenario(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Notifications one after another."""

    id: str
    steps: list[Step]


class Run(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A scenario under way for somebody. It has the steps as they were at its start."""

    id: str
    scenario_id: str
    subject: str
    """Whom or what it is about, such as a user's id."""
    steps: list[Step]
    payload: dict[str, Any] = {}
    step: int = 0
    """Which comes next, from 0."""
    state: RunState = "running"


class RuleStore(Protocol):
    """Stores rules, scenarios and runs."""

    async def save_rule(self, rule: Rule) -> None:
        """Store a rule; it takes the place of the one of its id."""
        ...

    async def rules(self, event: str | None = None) -> Sequence[Rule]:
        """Return the rules of an event, or all, in the order of their ids."""
        ...

    async def remove_rule(self, rule_id: str) -> bool:
        """Remove a rule; return whether there was one."""
        ...

    async def save_scenario(self, scenario: Scenario) -> None:
        """Store a scenario; it takes the place of the one of its id. Runs go on as they began."""
        ...

    async def scenario(self, scenario_id: str) -> Scenario | None:
        """Return a scenario."""
        ...

    async def remove_scenario(self, scenario_id: str) -> bool:
        """Remove a scenario; return whether there was one. Runs go on."""
        ...

    async def begin(self, run: Run) -> Run:
        """Store a run. If one of its scenario and subject is running, return that one instead."""
        ...

    async def run(self, run_id: str) -> Run | None:
        """Return a run."""
        ...

    async def runs_of(self, subject: str) -> Sequence[Run]:
        """Return what is running for a subject."""
        ...

    async def advance(self, run_id: str, step: int, state: RunState = "running") -> bool:
        """Note which step comes next, or that a run is over; False if it does not run any more."""
        ...

    async def close(self) -> None:
        """Let go of connections, if they are its own. Twice is fine."""
        ...
