"""What a backend must do, one Protocol per role, in the engine's words.

A backend is atomic per call and per job: a call that raises has changed nothing. Nothing of a
client library crosses this line: no connection, no cursor, no key. Times are whole milliseconds
and the clock is the store's.
"""

from __future__ import annotations

from dataclasses import dataclass

from toril.core.clock import Clock
from toril.engine.contract.counts import Counts
from toril.engine.contract.dispatch import (
    Claim,
    Dispatch,
    Exchange,
    ExchangeReply,
    Hold,
    Standing,
)
from toril.engine.contract.events import Events
from toril.engine.contract.flows import Flows, NewNode
from toril.engine.contract.jobs import JobFilter, Jobs
from toril.engine.contract.lifecycle import Health, Lifecycle, Repair
from toril.engine.contract.limits import Limits
from toril.engine.contract.workers import Workers

__all__ = [
    "Backend",
    "Claim",
    "Counts",
    "Dispatch",
    "Events",
    "Exchange",
    "ExchangeReply",
    "Flows",
    "Health",
    "Hold",
    "JobFilter",
    "Jobs",
    "Lifecycle",
    "Limits",
    "NewNode",
    "Repair",
    "Standing",
    "Workers",
]


@dataclass(frozen=True, slots=True)
class Backend:
    """A store, role by role."""

    url: str
    """Where it is, without secrets."""
    clock: Clock
    jobs: Jobs
    dispatch: Dispatch
    events: Events
    counts: Counts
    limits: Limits
    workers: Workers
    lifecycle: Lifecycle
    flows: Flows
    capabilities: frozenset[str] = frozenset()
    """What not every backend has: `shared_processes` (several processes may use it at once),
    `stopwatch` (leases and windows run by one, so that a calendar that jumps is no matter)."""
