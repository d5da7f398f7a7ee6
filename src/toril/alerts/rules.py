"""What is wrong with a queue, judged by what was read of it. Pure functions; no store is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from toril.alerts.options import AlertThresholds
from toril.alerts.records import NoteRecord, SizesRecord
from toril.alerts.turn import Finding
from toril.core.durations import in_words
from toril.engine.contract.workers import LostWorker
from toril.engine.info import QueueInfo
from toril.engine.tally import Tally

MINUTE_MS = 60_000
LEAST_SURGE_RATIO = 0.02
LEAST_SURGE_FAILURES = 5
LEAST_USUAL_ATTEMPTS = 100
"""In the 24 hours before; with fewer nobody knows what is usual."""
MOST_SAMPLES = 60
LATE_SAMPLE_MS = 3 * MINUTE_MS
"""Samples further apart than this begin anew."""


def size(info: QueueInfo, limits: AlertThresholds) -> Finding | None:
    """Judge how many jobs wait."""
    waiting = info.waiting + info.prioritized
    if limits.size is None or waiting <= limits.size:
        return None
    text = f"{waiting:,} jobs wait in queue {info.name}; its threshold is {limits.size:,}"
    return Finding(
        rule="queue_size", subject=info.name, value=waiting, threshold=limits.size, text=text
    )


def oldest(info: QueueInfo, limits: AlertThresholds) -> Finding | None:
    """Judge how long the next job has waited."""
    age_s = info.oldest_waiting_s
    if limits.oldest_s is None or age_s is None or age_s <= limits.oldest_s:
        return None
    paused = "; the queue is paused" if info.paused else ""
    text = (
        f"the next job of queue {info.name} has waited for {in_words(age_s)}, longer than"
        f" {in_words(limits.oldest_s)}{paused}"
    )
    return Finding(
        rule="oldest_job", subject=info.name, value=age_s, threshold=limits.oldest_s, text=text
    )


def next_sizes(before: SizesRecord, infos: Iterable[QueueInfo], now_ms: int) -> SizesRecord | None:
    """Return the samples with one more; None while the newest is less than a minute old."""
    apart_ms = now_ms - before.at_ms
    if 0 <= apart_ms < MINUTE_MS:
        return None
    goes_on = 0 <= apart_ms < LATE_SAMPLE_MS
    sizes: dict[str, list[int]] = {}
    for info in infos:
        waiting = info.waiting + info.prioritized
        past = before.sizes.get(info.name, []) if goes_on else []
        if waiting:
            grows = bool(past) and waiting > past[-1]
            sizes[info.name] = [*past, waiting][-MOST_SAMPLES:] if grows else [waiting]
    return SizesRecord(at_ms=now_ms, sizes=sizes)


def growth(info: QueueInfo, limits: AlertThresholds, sizes: Sequence[int]) -> Finding | None:
    """Judge whether more jobs wait with each minute."""
    wanted = limits.growth_samples
    if wanted is None or len(sizes) < wanted:
        return None
    first, last = sizes[-wanted], sizes[-1]
    text = (
        f"more jobs wait in queue {info.name} with each minute: {first:,}, then"
        f" {last:,} within {wanted} samples"
    )
    return Finding(
        rule="queue_growth", subject=info.name, value=last - first, threshold=wanted, text=text
    )


def error_rate(queue: str, limits: AlertThresholds, done: Tally) -> Finding | None:
    """Judge which share of the attempts failed."""
    bad = done.failed + done.retried
    if limits.failure_ratio is None or done.attempts < limits.min_attempts:
        return None
    ratio = bad / done.attempts
    if ratio <= limits.failure_ratio:
        return None
    return Finding(
        rule="error_rate",
        subject=queue,
        value=round(ratio, 4),
        threshold=limits.failure_ratio,
        text=f"{_share(queue, bad, done.attempts, limits)}, more than {limits.failure_ratio:.0%}",
    )


def may_surge(limits: AlertThresholds, done: Tally) -> bool:
    """Whether it is worth to ask what is usual."""
    bad = done.failed + done.retried
    return (
        limits.surge_factor is not None
        and done.attempts >= limits.min_attempts
        and bad >= LEAST_SURGE_FAILURES
        and bad / done.attempts >= LEAST_SURGE_RATIO
    )


def surge(queue: str, limits: AlertThresholds, done: Tally, usual: Tally) -> Finding | None:
    """Judge the share of failures by what it usually is; `may_surge` has said so."""
    if limits.surge_factor is None or usual.attempts < LEAST_USUAL_ATTEMPTS:
        return None
    bad = done.failed + done.retried
    ratio = bad / done.attempts
    usually = (usual.failed + usual.retried) / usual.attempts
    threshold = max(LEAST_SURGE_RATIO, limits.surge_factor * usually)
    if ratio <= threshold:
        return None
    return Finding(
        rule="error_surge",
        subject=queue,
        value=round(ratio, 4),
        threshold=round(threshold, 4),
        text=f"{_share(queue, bad, done.attempts, limits)}; usually {usually:.1%} fail",
    )


def _share(queue: str, bad: int, attempts: int, limits: AlertThresholds) -> str:
    return (
        f"{bad:,} of {attempts:,} attempts of queue {queue} failed within"
        f" {in_words(limits.window_s)} ({bad / attempts:.0%})"
    )


def no_worker(queue: str, limits: AlertThresholds, waiting: int) -> Finding | None:
    """Say that jobs wait and no worker serves the queue."""
    if limits.no_worker_s is None:
        return None
    jobs = "1 job waits" if waiting == 1 else f"{waiting:,} jobs wait"
    return Finding(
        rule="no_worker",
        subject=queue,
        value=waiting,
        threshold=limits.no_worker_s,
        text=f"{jobs} in queue {queue}, and no live worker serves it",
        hold_s=limits.no_worker_s,
    )


def lost_workers(
    queues: Sequence[str], lost: Sequence[LostWorker], limits: AlertThresholds
) -> Finding:
    """Say that workers of some queues have died."""
    newest = lost[0]
    who = f"worker {newest.id} (process {newest.pid} of {newest.host})"
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return Finding(
        rule="worker_lost",
        subject=", ".join(queues),
        queues=queues,
        value=len(lost),
        threshold=limits.worker_lost_s or 0.0,
        text=f"{who}{more} fell silent without having signed off; served {', '.join(queues)}",
        latest_ms=max(one.seen_ms for one in lost),
    )


def counted(
    rule: str, queue: str, notes: Sequence[NoteRecord], *, threshold: float, text: str
) -> Finding:
    """Return what processes have noted of a queue as a finding."""
    return Finding(
        rule=rule,
        subject=queue,
        value=max((one.value for one in notes), default=0)
        if rule == "blocked_loop"
        else sum(one.count for one in notes),
        threshold=threshold,
        text=text,
        latest_ms=max(one.latest_ms for one in notes),
    )
