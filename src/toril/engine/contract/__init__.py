"""What a backend must do: one Protocol for each role.

Each call is atomic, and each job within it: a call that raises has changed nothing. No object of a
client library crosses the contract: no connection, no cursor, no key. Times are whole milliseconds
of the store's clock. Each role has the same file name here, in both backends and, as
`test_<role>*.py`, in the conformance tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from toril.core.clock import Clock
from toril.engine.contract.access import (
    AccessRecords,
    Grant,
    KeyRecord,
    SessionRecord,
    UserAnswer,
    UserRecord,
)
from toril.engine.contract.alerts import AlertRow, AlertStore
from toril.engine.contract.audit import Audit, AuditLine
from toril.engine.contract.bulk import Bulk
from toril.engine.contract.counts import Counts
from toril.engine.contract.dead_letters import DeadLetterRule, DeadLetters, Redrive
from toril.engine.contract.deduplication import DeduplicationIds
from toril.engine.contract.dispatch import (
    BlockingClaim,
    Claim,
    Dispatch,
    Exchange,
    ExchangeReply,
    HeldJob,
)
from toril.engine.contract.events import Events
from toril.engine.contract.flows import Flows, NewNode
from toril.engine.contract.history import History, HistoryRow, Level
from toril.engine.contract.jobs import JobFilter, Jobs
from toril.engine.contract.lifecycle import Health, Lifecycle, Repair
from toril.engine.contract.limits import Limits
from toril.engine.contract.logs import Logs
from toril.engine.contract.moving import Moving
from toril.engine.contract.operations import OperationStore
from toril.engine.contract.relaying import MarkedJob, Relaying
from toril.engine.contract.schedules import Schedules
from toril.engine.contract.search import Search
from toril.engine.contract.workers import Workers
from toril.engine.repeats import Repeats

__all__ = [
    "AccessRecords",
    "AlertRow",
    "AlertStore",
    "Audit",
    "AuditLine",
    "Backend",
    "BlockingClaim",
    "Bulk",
    "Claim",
    "Counts",
    "DeadLetterRule",
    "DeadLetters",
    "DeduplicationIds",
    "Dispatch",
    "Events",
    "Exchange",
    "ExchangeReply",
    "Flows",
    "Grant",
    "Health",
    "HeldJob",
    "History",
    "HistoryRow",
    "JobFilter",
    "Jobs",
    "KeyRecord",
    "Level",
    "Lifecycle",
    "Limits",
    "Logs",
    "MarkedJob",
    "Moving",
    "NewNode",
    "OperationStore",
    "Redrive",
    "Relaying",
    "Repair",
    "Schedules",
    "Search",
    "SessionRecord",
    "UserAnswer",
    "UserRecord",
    "Workers",
]


@dataclass(frozen=True, slots=True)
class Backend:
    """A store, role by role."""

    url: str
    """Where the store is, without secrets."""
    clock: Clock
    jobs: Jobs
    bulk: Bulk
    logs: Logs
    deduplication: DeduplicationIds
    moving: Moving
    relaying: Relaying
    dispatch: Dispatch
    events: Events
    counts: Counts
    limits: Limits
    dead_letters: DeadLetters
    schedules: Schedules
    workers: Workers
    lifecycle: Lifecycle
    flows: Flows
    access: AccessRecords
    audit: Audit
    search: Search
    operations: OperationStore
    history: History
    alerts: AlertStore
    capabilities: frozenset[str] = frozenset()
    """What not every backend has: `shared_processes` (several processes may use it at once),
    `stopwatch` (leases and windows run by one, so that a calendar that jumps is no matter),
    `foreign_queues` (others may make queues, which `counts.queues` lists once it has searched)."""
    repeats: Repeats | None = None
    """Calls that may be sent twice: no role, as only a server's store has them. None: of a file no
    answer is ever lost."""
