"""Queues whose jobs fail or pile up, as `toril doctor` tells them: one look, without alerts.

Judges by the rules of `rules.py`. Costs a call for each queue, and none for each job.
"""

from __future__ import annotations

from collections.abc import Sequence

from toril.alerts import rules
from toril.alerts.look import SILENT_MS
from toril.alerts.options import AlertThresholds
from toril.engine.contract import Backend, Level
from toril.engine.contract.lifecycle import Finding
from toril.engine.info import QueueInfo
from toril.engine.tally import Tally

THRESHOLDS = AlertThresholds(window_s=3600.0)
"""More than a tenth of an hour's attempts failed, of 20 or more; more than 1,000 jobs wait, or the
next one for longer than 15 minutes."""


async def busy_findings(backend: Backend) -> list[Finding]:
    """Return a finding for each queue whose jobs fail, and for each that is backed up.

    A queue that no worker serves is not backed up: another finding tells of it, and letters lie
    there on purpose.

    Raises:
        BackendError: The store does not answer.
    """
    infos = [QueueInfo.from_record(record) for record in await backend.counts.queues()]
    served = {
        queue
        for worker in await backend.workers.list()
        if worker.beat_age_ms < SILENT_MS
        for queue in worker.queues
    }
    found: list[Finding] = []
    for info in infos:
        if (failing := await _failing(backend, info)) is not None:
            found.append(failing)
        reasons = _backed_up(info)
        if reasons and (info.name in served or await backend.workers.foreign(info.name)):
            found.append(Finding(f"backlog of {info.name}", "warning", _text(info, reasons)))
    return found


async def _failing(backend: Backend, info: QueueInfo) -> Finding | None:
    if not info.history:
        return None
    now_ms = backend.clock.now_ms()
    done = Tally()
    since_ms = now_ms - round(THRESHOLDS.window_s * 1000)
    for row in await backend.history.read(
        info.name, Level.MINUTE, since_ms=since_ms, until_ms=now_ms + 1
    ):
        done.merge(row.tally)
    rate = rules.error_rate(info.name, THRESHOLDS, done)
    if rate is None:
        return None
    todo = (
        f"read the reasons (toril jobs list {info.name} --state failed): is it the task, what it"
        " depends on, or the data?"
    )
    return Finding(f"failures of {info.name}", "warning", f"{rate.text}; {todo}")


def _backed_up(info: QueueInfo) -> Sequence[str]:
    judged = (rules.size(info, THRESHOLDS), rules.oldest(info, THRESHOLDS))
    return [one.text for one in judged if one is not None]


def _text(info: QueueInfo, reasons: Sequence[str]) -> str:
    if info.paused:
        todo = f"let it go on: toril resume {info.name}"
    else:
        todo = (
            "start more workers, or look for tasks that block or take long (toril history"
            f" {info.name})"
        )
    return f"{', and '.join(reasons)}; {todo}"
