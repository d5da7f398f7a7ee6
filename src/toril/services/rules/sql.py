"""Rules, scenarios and runs in SQLite or PostgreSQL, by SQLAlchemy.

Three tables, the family `rules` of `services/records`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.services.rules.port import Rule, Run, RunState, Scenario, Step
from toril.services.rules.tables import RULE_TABLE, RULES, RUNS, SCENARIOS

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("rules in a database need SQLAlchemy", "records") from error


class SqlRules:
    """Fulfils `RuleStore`, in a database that is opened when it is first asked.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one:
            `sqlite:///rules.db` or `postgresql://user:password@host/database`.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The URL cannot be read, or is of another kind of database.
    """

    def __init__(self, database: Records | str, *, file_mode: int = 0o600) -> None:
        self._owns = isinstance(database, str)
        self._records = (
            Records(database, file_mode=file_mode) if isinstance(database, str) else database
        )

    async def save_rule(self, rule: Rule) -> None:
        """Store a rule: see `RuleStore.save_rule`."""
        row = {"id": rule.id, "event": rule.event, "body": msgspec.to_builtins(rule)}
        await self._write(self._records.upsert(RULE_TABLE, row))

    async def rules(self, event: str | None = None) -> Sequence[Rule]:
        """Return rules: see `RuleStore.rules`."""
        query = sa.select(RULE_TABLE.c.body).order_by(RULE_TABLE.c.id)
        if event is not None:
            query = query.where(RULE_TABLE.c.event == event)
        return [msgspec.convert(row[0], Rule) for row in await self._read(query)]

    async def remove_rule(self, rule_id: str) -> bool:
        """Remove a rule: see `RuleStore.remove_rule`."""
        return await self._write(sa.delete(RULE_TABLE).where(RULE_TABLE.c.id == rule_id)) > 0

    async def save_scenario(self, scenario: Scenario) -> None:
        """Store a scenario: see `RuleStore.save_scenario`."""
        row = {"id": scenario.id, "body": msgspec.to_builtins(scenario)}
        await self._write(self._records.upsert(SCENARIOS, row))

    async def scenario(self, scenario_id: str) -> Scenario | None:
        """Return a scenario: see `RuleStore.scenario`."""
        rows = await self._read(sa.select(SCENARIOS.c.body).where(SCENARIOS.c.id == scenario_id))
        return msgspec.convert(rows[0][0], Scenario) if rows else None

    async def remove_scenario(self, scenario_id: str) -> bool:
        """Remove a scenario: see `RuleStore.remove_scenario`."""
        return await self._write(sa.delete(SCENARIOS).where(SCENARIOS.c.id == scenario_id)) > 0

    async def begin(self, run: Run) -> Run:
        """Store a run: see `RuleStore.begin`."""
        row = {
            "id": run.id,
            "active": _active(run),
            "scenario_id": run.scenario_id,
            "subject": run.subject,
            "state": run.state,
            "step": run.step,
            "steps": msgspec.to_builtins(run.steps),
            "payload": run.payload,
        }
        await self._write(self._records.insert_missing(RUNS, row, key=("active",)))
        found = await self._read(sa.select(RUNS).where(RUNS.c.active == _active(run)))
        return _run(found[0]) if found else run

    async def run(self, run_id: str) -> Run | None:
        """Return a run: see `RuleStore.run`."""
        rows = await self._read(sa.select(RUNS).where(RUNS.c.id == run_id))
        return _run(rows[0]) if rows else None

    async def runs_of(self, subject: str) -> Sequence[Run]:
        """Return what is running for a subject: see `RuleStore.runs_of`."""
        which = (RUNS.c.subject == subject) & (RUNS.c.state == "running")
        rows = await self._read(sa.select(RUNS).where(which).order_by(RUNS.c.id))
        return [_run(row) for row in rows]

    async def advance(self, run_id: str, step: int, state: RunState = "running") -> bool:
        """Note how far a run is: see `RuleStore.advance`."""
        values: dict[str, Any] = {"step": step, "state": state}
        if state != "running":
            values["active"] = None  # another run may begin
        which = (RUNS.c.id == run_id) & (RUNS.c.state == "running")
        return await self._write(sa.update(RUNS).where(which).values(values)) > 0

    async def close(self) -> None:
        """Close all connections, if they are its own. It may be used again."""
        if self._owns:
            await self._records.close()

    async def _write(self, statement: Any) -> int:
        await self._records.prepare(RULES)
        async with self._records.begin() as connection:
            return int((await connection.execute(statement)).rowcount)

    async def _read(self, query: Any) -> Sequence[Any]:
        await self._records.prepare(RULES)
        async with self._records.reading() as connection:
            return (await connection.execute(query)).all()


def _active(run: Run) -> str:
    """Return what only one run may have at a time."""
    return f"{run.scenario_id}\n{run.subject}"


def _run(row: Any) -> Run:
    held = row._mapping
    return Run(
        id=held["id"],
        scenario_id=held["scenario_id"],
        subject=held["subject"],
        state=held["state"],
        step=held["step"],
        steps=msgspec.convert(held["steps"], list[Step]),
        payload=held["payload"],
    )
