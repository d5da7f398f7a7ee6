"""Scenarios: notifications one after another, until an event or somebody stops them.

A run is a row. A step is a job, which adds the next one in the transition that completes it. So a
crash loses no step and doubles none, and a restart changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from toril.core.errors import JobNotFoundError, WrongStateError
from toril.engine.handle import Job
from toril.library.notify.checking import check_delay, check_message, check_name
from toril.library.notify.placeholders import filled
from toril.services.rules.port import RuleStore, Run, RunState, Scenario
from toril.services.unusable import UnusableInputError, named
from toril.tasks.task import Task


class Queues(Protocol):
    """What is needed of an app."""

    def queue(self, name: str) -> Any:
        """Return a queue."""
        ...


class ScenarioEngine:
    """Stores scenarios, starts and stops them.

    Parameters:
        app: Whose queues the steps are in.
        step: `app.bound(notify_step)`, or what `app.bind` returned for it.
        rules: Where scenarios and runs are.
    """

    def __init__(self, app: Queues, step: Task[..., Any], rules: RuleStore) -> None:
        self._app = app
        self._step = step
        self._rules = rules

    async def save(self, scenario: Scenario | Mapping[str, Any]) -> Scenario:
        """Check a scenario and store it. Runs go on with the steps that they began with.

        Raises:
            UnusableInputError: It makes no sense; the message names the field.
        """
        read = scenario if isinstance(scenario, Scenario) else _read(scenario)
        check_name("id", read.id)
        if not read.steps:
            raise UnusableInputError("steps", "there is none: give at least one")
        for number, step in enumerate(read.steps):
            try:
                check_delay("afterMs", step.after_ms)
                check_message(step.channel, step.options)
                if step.unless is not None:
                    check_name("unless", step.unless)
            except UnusableInputError as error:
                subject = f"steps[{number}]: {error.subject}"
                raise UnusableInputError(subject, error.reason) from None
        await self._rules.save_scenario(read)
        return read

    async def start(
        self, scenario_id: str, subject: str, payload: Mapping[str, Any] | None = None
    ) -> Run:
        """Start a scenario for somebody. If it is running for them, it goes on as it is.

        Parameters:
            scenario_id: Which.
            subject: Whom it is about. Events of this `userId` may stop it.
            payload: Fills the placeholders of its options.

        Raises:
            UnusableInputError: There is no such scenario, or the payload lacks a value.
        """
        scenario = await self._rules.scenario(scenario_id)
        if scenario is None:
            reason = "there is no such scenario; save it first"
            raise UnusableInputError(named("scenario", scenario_id), reason)
        given = dict(payload or {})
        where = f"scenario {scenario_id!r}: options"
        steps = [
            msgspec.structs.replace(step, options=filled(step.options, given, where))
            for step in scenario.steps
        ]
        new = Run(
            id=secrets.token_hex(16), scenario_id=scenario_id, subject=subject, steps=steps,
            payload=given,
        )  # fmt: skip
        run = await self._rules.begin(new)
        await self._add(run)  # again, if whoever began it was killed before this line
        return run

    async def cancel(self, scenario_id: str, subject: str) -> bool:
        """Stop what is left of a scenario; return whether it was running."""
        stopped = False
        for run in await self._rules.runs_of(subject):
            if run.scenario_id == scenario_id:
                stopped = await self._stop(run, "cancelled") or stopped
        return stopped

    async def note(self, event: str, subject: str) -> int:
        """Stop each run of a subject that has a step to come `unless` this event; count them."""
        count = 0
        for run in await self._rules.runs_of(subject):
            if any(step.unless == event for step in run.steps[run.step :]):
                count += await self._stop(run, "stopped")
        return count

    async def _add(self, run: Run) -> Job[Any]:
        step = run.steps[run.step]
        options: dict[str, Any] = {"job_id": step_job_id(run.id, run.step)}
        if step.after_ms:
            options["delay"] = step.after_ms / 1000
        task = self._step.with_options(**options)
        return await task.enqueue(**step_payload(run, run.step))

    async def _stop(self, run: Run, state: RunState) -> bool:
        if not await self._rules.advance(run.id, run.step, state):
            return False
        job = self._app.queue(self._step.queue).job(step_job_id(run.id, run.step))
        with suppress(JobNotFoundError, WrongStateError):  # it runs: it will see, or has just been
            await job.remove()
        return True


def step_job_id(run_id: str, step: int) -> str:
    """Return the id of a step's job: one for each step of a run."""
    return f"scenario-{run_id}-{step}"


def step_payload(run: Run, number: int) -> dict[str, Any]:
    """Return the parameters of a step's job."""
    step = run.steps[number]
    return {"channel": step.channel, "options": step.options, "run": run.id, "step": number}


def _read(scenario: Mapping[str, Any]) -> Scenario:
    try:
        return msgspec.convert(dict(scenario), Scenario)
    except msgspec.ValidationError as error:
        raise UnusableInputError("scenario", str(error)) from None
