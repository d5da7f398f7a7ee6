"""The only Python file that spells a key. The layout is BullMQ's; ours is under `toril`.

| Key | Type | Contents |
|---|---|---|
| `<prefix>:<queue>:…` | | the layout of BullMQ (spec, section 1) |
| `<prefix>::toril:queues` | set | names of queues that Toril has used |
| `<prefix>::toril:here` | string | a name of the store, for two minutes: is another one the same? |
| `<prefix>::toril:{workers}` | hash | worker id to its description (JSON) |
| `<prefix>::toril:{workers}:wishes` | hash | worker id, or that and `:size`, to a wish |
| `<prefix>::toril:{workers}:<id>` | string | how a worker is; it expires a day after it was said |
| `<prefix>::toril:{workers}:lost` | list | workers that were found dead (JSON), newest first |
| `<prefix>::toril:{alerts}:watch` | hash | who watches for alerts, and until when |
| `<prefix>::toril:{alerts}:<kind>` | hash | what is kept for alerts (JSON), by key |
| `<prefix>::toril:{access}:digests` | hash | SHA-256 of a key to what it may do (JSON) |
| `<prefix>::toril:{access}:keys` | hash | name of a key to its digest |
| `<prefix>::toril:{access}:users` | hash | name of a user to what it may do (JSON) |
| `<prefix>::toril:{access}:passwords` | hash | name of a user to hash and stamp (JSON) |
| `<prefix>::toril:{access}:session:<digest>` | string | a session of a browser (JSON); it expires |
| `<prefix>::toril:{access}:sessions:<kind>:<name>` | zset | digests of somebody's, by their end |
| `<prefix>::toril:{audit}` | stream | the audit log: `body` (JSON) |
| `<prefix>::toril:{operations}` | sorted set | ids of operations on many jobs, by their begin |
| `<prefix>::toril:{operations}:<id>` | hash | what one is to do, and who does it; for a week |
| `<prefix>::toril:probe` | string | written by apps with a fallback store, to see that they can |

In a queue's own keys, fields of ours begin with `toril:`. In `meta`: `toril:events` (which events
are told), `toril:bull` (when Bull 4 was seen there last, ms), `toril:keepCompleted`,
`toril:keepFailed` (ages in ms), `toril:moving` (it is paused for a move only), `toril:pausedAt`
(since when, if we have paused it, ms), `toril:window` (the rate window that goes on behind a hold),
`toril:dead` (where failures leave letters), `toril:deadSeen` (up to when failures of other clients
have theirs), `toril:history` (`off`: none is written); in a job: `toril:history` (its attempts),
`toril:cancel` (why somebody wants it stopped), `toril:letter` (when the attempt began whose failure
has a letter), `toril:ready` (how often it had been started when a delay of it ended, a colon, and
when that was, in ms); in a job that was put aside (`dn:`): `toril:runAt` (no sooner than when, ms),
`toril:holder` (the job for which). They go when the queue or the job goes, whoever removes it. An
empty part, as in `<prefix>::toril`, no queue can have.

`<prefix>:<queue>:toril:schedules` is a hash: id of a schedule to what BullMQ cannot say of it, JSON
with `missed`, `jitterMs`, `paused`; one that is as BullMQ has it has no entry.
`<prefix>:<queue>:toril:declared` likewise says which code declares it.

`<prefix>:<queue>:toril:relayed` is a zset: the marks of outbox rows that have become jobs, by when
(ms), until the rows are gone.

`<prefix>:<queue>:toril:operation:<id>` is a hash: how far an operation has come here, for a week.
`<prefix>:<queue>:toril:removed:<id>` lists what it has removed, and under
`<prefix>:<queue>:toril:removed:<id>:<job>` lies each of these jobs whole, until both expire.

`<prefix>:<queue>:toril:calls:<book>` is a hash: number of a call that may come twice to its answer.

`<prefix>:<queue>:toril:history` is a hash of the minutes that are open, as `lua/lib/tally.lua`
counts them. `<prefix>:<queue>:toril:history:<m, h or d>:<number>` are hashes of the minutes, hours
and days that are over (`lua/lib/add_history.lua`), `…:blocks` a zset of these hashes, `…:ever` a
hash of totals, and `…:calendar` one of what the server's calendar was.

`<prefix>:<queue>:toril:stalled` are, during a sweep, the marks of the one before, where Bull 4 is.
`<prefix>:<queue>:toril:aside:<name>:<ms>` is a key of the queue's that held what does not belong
there, and which a repair has renamed.
"""

from __future__ import annotations

import base64

from toril.core.ids import RESERVED_JOB_IDS

PARTS = frozenset({"lock", "logs", "dependencies", "processed", "failed", "unsuccessful"})
"""What a job has beside its hash, each under `<id>:<part>`."""
FAMILIES = frozenset({"de", "dn", "metrics", "repeat"})
"""With what keys of a queue begin that have a part too, and are no job's."""


class Keys:
    """The keys of all queues under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.queues = f"{prefix}::toril:queues"
        self.here = f"{prefix}::toril:here"
        self.workers = f"{prefix}::toril:{{workers}}"
        self.wishes = f"{self.workers}:wishes"
        self.lost = f"{self.workers}:lost"
        self.audit = f"{prefix}::toril:{{audit}}"
        self.operations = f"{prefix}::toril:{{operations}}"
        self.probe = f"{prefix}::toril:probe"

    def alerts(self, part: str) -> str:
        """Return a key of what is kept for alerts."""
        return f"{self.prefix}::toril:{{alerts}}:{part}"

    def access(self, part: str) -> str:
        """Return a key of what is known of keys, users and sessions."""
        return f"{self.prefix}::toril:{{access}}:{part}"

    def beat(self, worker_id: str) -> str:
        """Return the key of what a worker last said of itself."""
        return f"{self.workers}:{worker_id}"

    def operation(self, operation_id: str) -> str:
        """Return the key of an operation on many jobs."""
        return f"{self.operations}:{operation_id}"

    def meta(self, queue: str) -> str:
        """Return the key of a queue's settings, from which scripts make all its other keys."""
        return f"{self.prefix}:{queue}:meta"

    def marker(self, queue: str) -> str:
        """Return the key on which idle workers sleep."""
        return f"{self.prefix}:{queue}:marker"

    def events(self, queue: str) -> str:
        """Return the key of a queue's event stream."""
        return f"{self.prefix}:{queue}:events"

    def of(self, queue: str, suffix: str) -> str:
        """Return any key of a queue: one of its own, or a job's."""
        return f"{self.prefix}:{queue}:{suffix}"

    def calls(self, queue: str, book: str) -> str:
        """Return the key of the answers to calls that may come twice."""
        return f"{self.prefix}:{queue}:toril:calls:{book}"

    def job_of(self, key: str) -> tuple[str, str] | None:
        """Return the queue of a job's key and what is behind it: `<id>` or `<id>:<part>`.

        By its form it is a job's; what it holds is not known here. None: it is one of the layout's
        own, or of no queue.
        """
        queue, _, rest = key[len(self.prefix) + 1 :].partition(":")
        job_id, colon, part = rest.partition(":")
        if not queue or not job_id or job_id in RESERVED_JOB_IDS:
            return None
        if colon and (part not in PARTS or job_id in FAMILIES):
            return None
        return queue, rest

    def all_pattern(self) -> str:
        """Return a pattern for SCAN that finds the keys of all queues, and others."""
        return f"{_escaped(self.prefix)}:*"

    def queues_pattern(self) -> str:
        """Return a pattern for SCAN that finds a key or two of all queues, and others."""
        return f"{_escaped(self.prefix)}:*:[mi][ed]*"

    def queue_of(self, key: str) -> str | None:
        """Return the queue whose settings or counter of ids a key holds; None: it is neither.

        Bull 4 writes no settings.
        """
        name, _, suffix = key[len(self.prefix) + 1 :].partition(":")
        return name if name and suffix in ("meta", "id") else None

    def client_name(self, queue: str, worker_id: str) -> str:
        """Return the connection name by which BullMQ lists a worker (spec, section 5.4)."""
        encoded = base64.b64encode(queue.encode()).decode()
        return f"{self.prefix}:{encoded}:w:{worker_id}"


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]^\\" else char for char in text)
