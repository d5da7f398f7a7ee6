"""What a caller is shown: its own queues only, and without secrets.

A route has asked `Principal.may` before; here things of other queues are left out of what it has
found, and what jobs carry is hidden from those who may not see it. None says: as if it were not
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from toril.core.codec import encode_text
from toril.core.masking import MASK, Masker
from toril.core.reading import RawText, read
from toril.engine.audit import AuditEntry
from toril.engine.events import EventRecord
from toril.engine.explanation import Explanation, Reason, ReasonKind
from toril.engine.flow_tree import FlowNode
from toril.engine.info import AttemptInfo, JobInfo, QueueInfo, WorkerInfo
from toril.engine.letter_info import LetterInfo
from toril.engine.schedules.info import ScheduleInfo
from toril.web.access.port import Permission, Principal

_KIND = re.compile(r"[A-Za-z_][\w.]{0,100}(?=:|$)")
"""The type of an error, before its message."""
_CARRIED = frozenset({"returnvalue", "failedReason", "data"})
"""Fields of events that say what a job carries."""
_OF_OTHERS = frozenset(
    {
        ReasonKind.CHILDREN, ReasonKind.PARENT, ReasonKind.NO_WORKER, ReasonKind.NO_TASK,
        ReasonKind.STOPPING, ReasonKind.BUSY, ReasonKind.WORKER_RATE, ReasonKind.FOREIGN_WORKERS,
    }
)  # fmt: skip
"""Reasons that tell of other queues, or of workers that serve them as well."""


_OF_ERRORS = frozenset({ReasonKind.FAILED, ReasonKind.CANCELLED, ReasonKind.WILL_FAIL})
"""Reasons that repeat what a task has raised, or somebody has said."""


class Sight:
    """What one caller is shown."""

    def __init__(self, principal: Principal, masker: Masker) -> None:
        self._principal = principal
        self._masker = masker
        self.carried = principal.may(Permission.PAYLOADS)
        """Whether what jobs carry is shown."""

    def sees(self, queue: str | None) -> bool:
        """Whether a queue is there for the caller."""
        return queue is not None and self._principal.sees(queue)

    def queues(self, found: Iterable[QueueInfo]) -> list[QueueInfo]:
        """Return the queues that are there for the caller."""
        return [queue for queue in found if self.sees(queue.name)]

    def job(self, job: JobInfo) -> JobInfo | None:
        """Return a job, and of its parent only what is there for the caller."""
        if not self.sees(job.queue):
            return None
        secrets: set[str] = set()
        data = self.payload(job.data, job.queue, job.name, secrets)
        options = self._masker.value(job.options, queue=job.queue, task=job.name)
        orphan = not self.sees(job.parent_queue)
        if orphan and isinstance(options, dict):
            options = {name: one for name, one in options.items() if name != "parent"}
        return replace(
            job,
            data=data,
            options=options,
            progress=self._progress(job.progress, job.queue, job.name, secrets),
            result=self.payload(job.result, job.queue, job.name, secrets, known=secrets),
            failed_reason=self.error(job.failed_reason, secrets),
            cancel_reason=job.cancel_reason and self.text(job.cancel_reason, secrets),
            attempts=[self._attempt(one, secrets) for one in job.attempts],
            parent_queue=None if orphan else job.parent_queue,
            parent_id=None if orphan else job.parent_id,
        )

    def letter(self, letter: LetterInfo) -> LetterInfo | None:
        """Return a dead letter. It is there for those who see both its queue and its job's."""
        if not (self.sees(letter.queue) and self.sees(letter.original_queue)):
            return None
        secrets: set[str] = set()
        queue, task = letter.original_queue, letter.task
        return replace(
            letter,
            data=self.payload(letter.data, queue, task, secrets),
            options=self._masker.value(letter.options, queue=queue, task=task),
            failed_reason=self.error(letter.failed_reason, secrets) or "",
            stacktrace=[self.text(one, secrets) for one in letter.stacktrace] * self.carried,
            attempts=[self._attempt(one, secrets) for one in letter.attempts],
        )

    def schedule(self, schedule: ScheduleInfo) -> ScheduleInfo | None:
        """Return a schedule."""
        if not self.sees(schedule.queue):
            return None
        queue, task, secrets = schedule.queue, schedule.name, set[str]()
        return replace(
            schedule,
            data=self.payload(schedule.data, queue, task, secrets),
            options=self._masker.value(schedule.options, queue=queue, task=task),
            problem=schedule.problem and self._masker.text(schedule.problem, secrets),
        )

    def flow(self, root: FlowNode) -> FlowNode | None:
        """Return the nodes of a flow that are there for the caller, from the root down.

        Where one is left out, so is all below it, and its parent says that it was cut. Of errors
        only the types are shown: what the payloads of their jobs hide is not known here.
        """
        if not self.sees(root.queue):
            return None
        top = self._node(root)
        todo = [(root, top)]
        while todo:
            node, shown = todo.pop()
            for child in node.children:
                if self.sees(child.queue):
                    copy = self._node(child)
                    shown.children.append(copy)
                    todo.append((child, copy))
                else:
                    shown.cut = True
        return top

    def worker(self, worker: WorkerInfo) -> dict[str, Any] | None:
        """Return a worker's facts. Of one that serves other queues too, not how much it does."""
        if self._principal.queues is None:
            return asdict(worker)
        queues = [queue for queue in worker.queues if self.sees(queue)]
        if not queues:
            return None
        tasks = worker.tasks and {
            queue: names for queue, names in worker.tasks.items() if self.sees(queue)
        }
        facts = asdict(replace(worker, queues=queues, tasks=tasks))
        if len(queues) < len(worker.queues):
            facts |= {"running": None, "concurrency": None, "resident_bytes": None}
        return facts

    def event(self, queue: str, event: EventRecord) -> EventRecord | None:
        """Return an event of a queue.

        Of an error only the type: what the payload of its job hides is not known here.
        """
        if not self.sees(queue):
            return None
        fields = {name: self._field(name, value, queue) for name, value in event.fields.items()}
        return EventRecord(event.position, event.at_ms, event.name, fields)

    def logs(self, lines: Iterable[str], job: JobInfo) -> list[str]:
        """Return the lines of a job's log. Those who see no payloads see none.

        Parameters:
            lines: The lines.
            job: The job as the store has it: what its payload hides is hidden in the lines, too.
        """
        if not (self.carried and self.sees(job.queue)):
            return []
        secrets: set[str] = set()
        self._masker.value(job.data, queue=job.queue, task=job.name, secrets=secrets)
        return [self._masker.text(line, secrets) for line in lines]

    def explanation(
        self, explanation: Explanation, job: JobInfo | None = None
    ) -> Explanation | None:
        """Return why a job does not run, without what others' queues have to do with it.

        Parameters:
            explanation: As the engine gives it.
            job: The job as the store has it. None: it is gone.
        """
        if not self.sees(explanation.queue):
            return None
        secrets: set[str] = set()
        if job is not None:
            self._masker.value(job.data, queue=job.queue, task=job.name, secrets=secrets)
        reasons = [self._reason(reason, secrets) for reason in explanation.reasons]
        return replace(explanation, reasons=reasons)

    def entry(self, entry: AuditEntry) -> AuditEntry | None:
        """Return an entry of the audit log. What is about no queue is for those who see all."""
        if self._principal.queues is not None and not self.sees(entry.queue):
            return None
        return entry

    def may_search(self, path: tuple[str, ...]) -> bool:
        """Whether the caller may search by a field of payloads: what it may not see, it may not.

        Parameters:
            path: Names of fields, such as `("card", "number")`. Empty: the text as a whole, in
                which hidden values would be found.
        """
        return self.carried and path != () and not self._masker.hides(path)

    def payload(
        self,
        value: Any,
        queue: str,
        task: str | None,
        secrets: set[str],
        *,
        known: Iterable[str] = (),
    ) -> Any:
        """Return a payload or a result; add to `secrets` what was hidden in it.

        Parameters:
            value: Decoded.
            queue: The job's.
            task: The job's name.
            secrets: Grows.
            known: What the job's payload hides, to be hidden within texts of its result.
        """
        shown = self._masker.value(value, queue=queue, task=task, secrets=secrets, known=[*known])
        return shown if self.carried or value is None else MASK

    def error(self, reason: str | None, secrets: Iterable[str] = ()) -> str | None:
        """Return why a job failed; of who may not see payloads, the type of the error alone."""
        if reason is None or self.carried:
            return reason and self._masker.text(reason, secrets)
        return _kind_of(reason)

    def text(self, text: str, secrets: Iterable[str] = ()) -> str:
        """Return a text that may hold something of a payload."""
        return self._masker.text(text, secrets) if self.carried else MASK

    def _reason(self, reason: Reason, secrets: Iterable[str]) -> Reason:
        of_others = self._principal.queues is not None and reason.kind in _OF_OTHERS
        if of_others or (not self.carried and reason.kind in _OF_ERRORS):
            return replace(reason, sentence=str(reason.kind), values={})
        return replace(
            reason,
            sentence=self._masker.text(reason.sentence, secrets),
            values=self._masker.value(dict(reason.values), known=secrets),
        )

    def _progress(self, value: Any, queue: str, task: str | None, secrets: set[str]) -> Any:
        """Return a progress: a plain number is one for everybody."""
        plain = isinstance(value, int | float)
        return value if plain else self.payload(value, queue, task, secrets, known=secrets)

    def _attempt(self, attempt: AttemptInfo, secrets: set[str]) -> AttemptInfo:
        return replace(
            attempt,
            error=self.error(attempt.error, secrets),
            traceback=attempt.traceback and self.text(attempt.traceback, secrets),
        )

    def _node(self, node: FlowNode) -> FlowNode:
        return replace(
            node,
            result=self.payload(node.result, node.queue, node.name, set()),
            failed_reason=node.failed_reason and _kind_of(node.failed_reason),
            children=[],
        )

    def _field(self, name: str, value: Any, queue: str) -> Any:
        if name not in _CARRIED or not isinstance(value, str):
            return value
        if name == "failedReason":
            return _kind_of(value)
        found = read(value)
        show = self._progress if name == "data" else self.payload
        shown = show(found, queue, None, set())
        return str(shown) if isinstance(found, RawText) else encode_text(shown)


def _kind_of(error: str) -> str:
    """Return the type of an error without its message."""
    kind = _KIND.match(error)
    return f"{kind[0]}: {MASK}" if kind else MASK
