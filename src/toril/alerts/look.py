"""Looks at a store: reads what the rules need, and returns what is wrong.

Costs a few calls for each queue and none for each job. Schedules, flows and the rules of dead
letters are looked at once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from toril.alerts import rules
from toril.alerts.options import AlertOptions, AlertThresholds
from toril.alerts.records import NoteRecord, SizesRecord
from toril.alerts.turn import Finding
from toril.core.durations import in_words
from toril.engine.contract import Backend, JobFilter, Level
from toril.engine.contract.workers import LostWorker, WorkerRecord
from toril.engine.flow_stuck import find_stuck
from toril.engine.info import QueueInfo
from toril.engine.letters import is_letter, read_letter
from toril.engine.states import State
from toril.engine.tally import Tally

TOGETHER = 50
"""Queues that are asked for at the same time."""
SLOW_MS = 60_000
"""Between two looks at schedules, flows and rules of dead letters."""
SILENT_MS = 15_000
"""A worker whose last heartbeat is older serves nothing."""
FOREIGN_MS = 45_000
"""How long it counts who is no worker of ours: the server lists all of its connections for that."""
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
LETTERS = 20
"""Letters of a queue that are read: the newest."""
SCHEDULES = 50
"""Schedules of a queue that are read: those whose slots came first."""
PARENTS = 200
"""Parents of flows that are looked at in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one look found."""

    findings: list[Finding] = field(default_factory=list)
    sizes: SizesRecord | None = None
    """The samples with a new one. None: it is not time for one."""


class Look:
    """Looks of one process. What is read once a minute is remembered between them."""

    def __init__(
        self,
        backend: Backend,
        options: AlertOptions,
        *,
        letter_queues: Callable[[], Iterable[str]],
        clean: Callable[[str], str],
    ) -> None:
        """Make it.

        Parameters:
            backend: The store.
            options: The app's.
            letter_queues: Names dead-letter queues beside those that rules of queues name.
            clean: Makes the reason of a failure fit to be told: short, and without secrets.
        """
        self._backend = backend
        self._options = options
        self._letter_queues = letter_queues
        self._clean = clean
        self._slow_at_ms: int | None = None
        self._slow: list[Finding] = []
        self._letters: set[str] = set()
        self._foreign: dict[str, tuple[int, bool]] = {}
        """By queue: when the store was asked for workers of BullMQ, and whether there were any."""

    async def look(self, notes: Sequence[NoteRecord], sizes: SizesRecord, *, now_ms: int) -> Looked:
        """Return what is wrong now."""
        backend = self._backend
        records = await backend.counts.queues()
        infos = [QueueInfo.from_record(record) for record in records]
        workers = await backend.workers.list()
        served = {
            queue
            for worker in workers
            if worker.beat_age_ms < SILENT_MS and not worker.quiet
            for queue in worker.queues
        }
        watched = {
            info.name: limits
            for info in infos
            if (limits := self._options.of(info.name)) is not None
        }
        await self._look_slowly(watched, now_ms)
        findings = [one for one in self._slow if one.subject in watched]
        # Letters wait until somebody comes; where a worker takes them, it is a queue like any.
        lines = [
            info for info in infos
            if info.name in watched and (info.name not in self._letters or info.name in served)
        ]  # fmt: skip
        for first in range(0, len(lines), TOGETHER):
            some = lines[first : first + TOGETHER]
            for found in await asyncio.gather(
                *(self._of_queue(info, watched[info.name], served, now_ms) for info in some)
            ):
                findings += found
        new_sizes = rules.next_sizes(sizes, lines, now_ms)
        for info in lines:
            past = (new_sizes or sizes).sizes.get(info.name, ())
            if (one := rules.growth(info, watched[info.name], past)) is not None:
                findings.append(one)
        findings += await self._dead_letters(infos, watched, notes, now_ms)
        findings += self._blocked(notes, now_ms)
        findings += await self._lost(workers, served, now_ms)
        return Looked(findings=findings, sizes=new_sizes)

    async def _of_queue(
        self, info: QueueInfo, limits: AlertThresholds, served: set[str], now_ms: int
    ) -> list[Finding]:
        found = [rules.size(info, limits), rules.oldest(info, limits)]
        waiting = info.waiting + info.prioritized
        if waiting and not info.paused and limits.no_worker_s is not None:
            if info.name not in served and not await self._is_served_by_bullmq(info.name, now_ms):
                found.append(rules.no_worker(info.name, limits, waiting))
        if info.history:
            found.append(await self._errors(info.name, limits, now_ms))
        return [one for one in found if one is not None]

    async def _is_served_by_bullmq(self, queue: str, now_ms: int) -> bool:
        """Whether a worker of BullMQ serves a queue, or nobody can say."""
        asked_ms, is_served = self._foreign.get(queue, (0, False))
        if not 0 <= now_ms - asked_ms < FOREIGN_MS:
            is_served = await self._backend.workers.foreign(queue) != 0
            self._foreign[queue] = (now_ms, is_served)
        return is_served

    async def _errors(self, queue: str, limits: AlertThresholds, now_ms: int) -> Finding | None:
        if limits.failure_ratio is None and limits.surge_factor is None:
            return None
        begin_ms = now_ms - round(limits.window_s * 1000)
        begin_ms -= begin_ms % rules.MINUTE_MS
        done = await self._tally(queue, Level.MINUTE, begin_ms, now_ms + 1)
        found = rules.error_rate(queue, limits, done)
        if found is not None or not rules.may_surge(limits, done):
            return found
        until_ms = begin_ms - begin_ms % HOUR_MS  # an hour's row holds all of its minutes
        usual = await self._tally(queue, Level.HOUR, until_ms - DAY_MS, until_ms)
        return rules.surge(queue, limits, done, usual)

    async def _tally(self, queue: str, level: Level, since_ms: int, until_ms: int) -> Tally:
        total = Tally()
        for row in await self._backend.history.read(
            queue, level, since_ms=since_ms, until_ms=until_ms
        ):
            total.merge(row.tally)
        return total

    async def _dead_letters(
        self,
        infos: Sequence[QueueInfo],
        watched: Mapping[str, AlertThresholds],
        notes: Sequence[NoteRecord],
        now_ms: int,
    ) -> list[Finding]:
        """Count letters by what processes have noted, and by those that lie there.

        A process that is killed notes nothing, and a letter that a worker takes at once lies there
        no more: the greater number counts.
        """
        by_queue: dict[str, tuple[int, int, str]] = {}
        for note in notes:
            if note.rule == "dead_letter":
                limits = self._options.of(note.queue)
                if limits is not None and note.latest_ms >= now_ms - limits.window_s * 1000:
                    many, latest_ms, text = by_queue.get(note.queue, (0, 0, ""))
                    text = note.text if note.latest_ms >= latest_ms else text
                    latest = max(latest_ms, note.latest_ms)
                    by_queue[note.queue] = (many + note.count, latest, text)
        lying: dict[str, tuple[int, int, str]] = {}
        for info in infos:
            if info.name in self._letters and info.waiting + info.prioritized:
                await self._read_letters(info.name, lying, now_ms)
        for queue, found in lying.items():
            noted = by_queue.get(queue, (0, 0, ""))
            by_queue[queue] = (
                max(found[0], noted[0]), max(found[1], noted[1]), noted[2] or found[2]
            )  # fmt: skip
        findings = []
        for queue, (many, latest_ms, text) in by_queue.items():
            limits = self._options.of(queue)
            if limits is None or limits.dead_letters is None or many < limits.dead_letters:
                continue
            what = "1 job" if many == 1 else f"{many:,} jobs"
            findings.append(
                Finding(
                    rule="dead_letter",
                    subject=queue,
                    value=many,
                    threshold=limits.dead_letters,
                    text=f"{what} of queue {queue} failed for good within"
                    f" {in_words(limits.window_s)}; the last: {text}",
                    latest_ms=latest_ms,
                )
            )
        return findings

    async def _read_letters(
        self, queue: str, lying: dict[str, tuple[int, int, str]], now_ms: int
    ) -> None:
        for limit in (1, LETTERS):  # in most looks the newest is old already
            page = await self._backend.jobs.page(
                JobFilter(
                    queue=queue,
                    states=(State.WAIT, State.PRIORITIZED),
                    limit=limit,
                    newest_first=True,
                )
            )
            fresh = [one for one in page.jobs if one.timestamp_ms >= now_ms - DAY_MS]
            if not fresh:
                return
        for record in fresh:
            letter = read_letter(record.data) if is_letter(record.id) else None
            limits = None if letter is None else self._options.of(letter.original_queue)
            if letter is None or limits is None:
                continue
            if record.timestamp_ms < now_ms - limits.window_s * 1000:
                continue
            many, latest_ms, text = lying.get(letter.original_queue, (0, 0, ""))
            if record.timestamp_ms >= latest_ms:
                text = told_letter(
                    letter.job_name, letter.original_job_id, letter.failed_reason, self._clean
                )
            latest = max(latest_ms, record.timestamp_ms)
            lying[letter.original_queue] = (many + 1, latest, text)

    def _blocked(self, notes: Sequence[NoteRecord], now_ms: int) -> list[Finding]:
        findings = []
        for queue in dict.fromkeys(one.queue for one in notes if one.rule == "blocked_loop"):
            limits = self._options.of(queue)
            if limits is None or limits.blocked_s is None:
                continue
            bad = [
                one
                for one in notes
                if one.rule == "blocked_loop"
                and one.queue == queue
                and one.value >= limits.blocked_s
                and one.latest_ms >= now_ms - limits.window_s * 1000
            ]
            if bad:
                worst = max(bad, key=lambda one: one.value)
                text = (
                    f"{worst.text} has blocked the event loop of its worker for"
                    f' {in_words(worst.value)}: give the task run_in="thread" or "process"'
                )
                findings.append(
                    rules.counted("blocked_loop", queue, bad, threshold=limits.blocked_s, text=text)
                )
        return findings

    async def _lost(
        self, workers: Sequence[WorkerRecord], served: set[str], now_ms: int
    ) -> list[Finding]:
        alive = {worker.id for worker in workers}
        groups: dict[tuple[str, ...], list[LostWorker]] = {}
        for one in await self._backend.workers.lost():
            queues = tuple(sorted(one.queues))
            limits = self._limits_of_worker(queues)
            if one.id in alive or limits is None or limits.worker_lost_s is None:
                continue
            age_ms = now_ms - one.seen_ms - limits.worker_lost_s * 1000
            is_fresh = age_ms < limits.window_s * 1000
            is_missed = age_ms < DAY_MS and not served.issuperset(queues)
            if age_ms >= 0 and (is_fresh or is_missed):
                groups.setdefault(queues, []).append(one)
        return [
            rules.lost_workers(queues, lost, limits)
            for queues, lost in groups.items()
            if (limits := self._limits_of_worker(queues)) is not None
        ]

    def _limits_of_worker(self, queues: Sequence[str]) -> AlertThresholds | None:
        """Return the thresholds of the queue of a worker that is soonest said to be lost."""
        found = [limits for queue in queues if (limits := self._options.of(queue)) is not None]
        found = [limits for limits in found if limits.worker_lost_s is not None]
        return min(found, key=lambda limits: limits.worker_lost_s or 0.0, default=None)

    async def _look_slowly(self, watched: Mapping[str, AlertThresholds], now_ms: int) -> None:
        if self._slow_at_ms is not None and 0 <= now_ms - self._slow_at_ms < SLOW_MS:
            return
        letters = set(self._letter_queues())
        for name in watched:
            rule = await self._backend.dead_letters.rule(name)
            if rule is not None:
                letters.add(rule.queue)
        slow = await self._schedules(watched, now_ms)
        slow += await self._flows(watched)
        self._foreign = {
            name: asked for name, asked in self._foreign.items() if now_ms - asked[0] < FOREIGN_MS
        }
        self._letters, self._slow, self._slow_at_ms = letters, slow, now_ms

    async def _schedules(
        self, watched: Mapping[str, AlertThresholds], now_ms: int
    ) -> list[Finding]:
        findings = []
        for queue in await self._backend.schedules.queues():
            limits = watched.get(queue)
            if limits is None or limits.schedule_late_s is None:
                continue
            late_ms = round(limits.schedule_late_s * 1000)
            late = await self._late(queue, late_ms)
            if late:
                first, by_ms = max(late.items(), key=lambda one: one[1])
                more = f" and {len(late) - 1} more" if len(late) > 1 else ""
                text = (
                    f"schedule {first}{more} of queue {queue} has not run; its slot came"
                    f" {in_words(by_ms / 1000)} ago"
                )
                findings.append(
                    Finding(
                        rule="missed_schedule",
                        subject=queue,
                        value=by_ms / 1000,
                        threshold=limits.schedule_late_s,
                        text=text,
                    )
                )
        return findings

    async def _late(self, queue: str, late_ms: int) -> dict[str, int]:
        """Return the schedules of a queue that are late, and by how long (ms)."""
        schedules, late = self._backend.schedules, {}
        ids = (await schedules.ids(queue))[:SCHEDULES]
        if not ids:
            return {}
        stopped = await schedules.overdue(queue, grace_ms=late_ms, limit=SCHEDULES)
        reading = await schedules.read(queue, list(dict.fromkeys([*ids, *stopped])))
        for one in reading.schedules:
            if one is None or one.paused:
                continue
            by_ms = reading.now_ms - one.next_ms - one.beside.jitter_ms
            if by_ms < late_ms or one.job_state == "active":
                continue
            if one.is_pending:
                job = await self._backend.jobs.get(queue, one.job_id)
                if job is None or job.attempts_started:  # it has begun, and is tried again
                    continue
            elif one.id not in stopped:
                continue
            late[one.id] = by_ms
        return late

    async def _flows(self, watched: Mapping[str, AlertThresholds]) -> list[Finding]:
        queues = [name for name, limits in watched.items() if limits.stuck_flows is not None]
        if not queues:
            return []
        stuck = await find_stuck(self._backend, queues=queues, limit=PARENTS)
        findings = []
        for queue in dict.fromkeys(one.queue for one in stuck):
            theirs = [one for one in stuck if one.queue == queue]
            limits = watched[queue]
            if limits.stuck_flows is None or len(theirs) < limits.stuck_flows:
                continue
            first = theirs[0]
            many = "1 flow" if len(theirs) == 1 else f"{len(theirs):,} flows"
            text = f"{many} of queue {queue} can never finish: {first.name} (job {first.job_id})"
            findings.append(
                Finding(
                    rule="stuck_flow",
                    subject=queue,
                    value=len(theirs),
                    threshold=limits.stuck_flows,
                    text=f"{text} {self._clean(first.text)}",
                )
            )
        return findings


def told_letter(task: str, job_id: str, reason: str | None, clean: Callable[[str], str]) -> str:
    """Return which job failed, and why, for a message."""
    why = clean(reason or "")
    return f"{task} (job {job_id})" + (f", {why}" if why else "")
