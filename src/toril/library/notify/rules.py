"""Rules: each event becomes the notifications that rules name, each of them once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from toril.engine.handle import Job
from toril.library.notify.channel_service import NotificationService
from toril.library.notify.checking import check_delay, check_message, check_name
from toril.library.notify.placeholders import filled, matches
from toril.library.notify.scenarios import ScenarioEngine
from toril.services.rules.port import Rule, RuleStore
from toril.services.unusable import UnusableInputError


class EventRulesHandler:
    """Stores rules, and adds the jobs that follow an event.

    Parameters:
        rules: Where rules are.
        notifications: What adds the jobs.
        scenarios: Told of each event, as one may stop a scenario. Default: nobody.
    """

    def __init__(
        self,
        rules: RuleStore,
        notifications: NotificationService,
        scenarios: ScenarioEngine | None = None,
    ) -> None:
        self._rules = rules
        self._notifications = notifications
        self._scenarios = scenarios

    async def save(self, rule: Rule | Mapping[str, Any]) -> Rule:
        """Check a rule and store it; it counts from the next event on.

        Raises:
            UnusableInputError: It makes no sense; the message names the field.
        """
        read = rule if isinstance(rule, Rule) else _read(rule)
        check_name("id", read.id)
        check_name("event", read.event)
        check_delay("delayMs", read.delay_ms)
        check_message(read.channel, read.options)
        await self._rules.save_rule(read)
        return read

    async def handle(
        self, event: str, payload: Mapping[str, Any], *, event_id: str | None = None
    ) -> Sequence[Job[Any]]:
        """Add a job for each rule that matches; with a delay if the rule has one.

        An event of an id that was handled before adds nothing, as its jobs have the same ids; as
        long as the store keeps them.

        Parameters:
            event: What happened, such as `order.paid`.
            payload: What rules may ask for. Its `userId` is the subject of scenarios that stop.
            event_id: Which one it was. Default: another one than any before.

        Raises:
            UnusableInputError: The payload lacks a value that a rule asks for. Nothing was added.
        """
        event_id = secrets.token_hex(16) if event_id is None else event_id
        found = [rule for rule in await self._rules.rules(event) if matches(rule.when, payload)]
        options = [filled(rule.options, payload, f"rule {rule.id!r}: options") for rule in found]
        if self._scenarios is not None and isinstance(payload.get("userId"), str):
            await self._scenarios.note(event, payload["userId"])
        jobs = []
        for rule, given in zip(found, options, strict=True):
            jobs.append(
                await self._notifications.send(
                    rule.channel,  # type: ignore[arg-type]
                    given,
                    delay_s=rule.delay_ms / 1000,
                    job_id=_job_id(event_id, rule.id),
                )
            )
        return jobs


def _read(rule: Mapping[str, Any]) -> Rule:
    try:
        return msgspec.convert(dict(rule), Rule)
    except msgspec.ValidationError as error:
        raise UnusableInputError("rule", str(error)) from None


def _job_id(event_id: str, rule_id: str) -> str:
    return "rule-" + hashlib.sha256(f"{event_id}\n{rule_id}".encode()).hexdigest()[:32]
