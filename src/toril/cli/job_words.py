"""Formats a job: as a line of a listing, and with all its details."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from toril.cli.output import (
    BAD,
    DIM,
    GOOD,
    WARN,
    Cell,
    Column,
    ago,
    moment_text,
    plural,
    short_bytes,
    short_duration,
)
from toril.core.codec import encode_text
from toril.core.reading import RawText
from toril.core.sealing import MARK
from toril.engine.info import JobInfo
from toril.engine.states import State

COLUMNS = (
    Column("ID"),
    Column("NAME", cut=True),
    Column("STATE"),
    Column("TRIES", right=True),
    Column("ADDED", right=True),
    Column("DETAIL", cut=True),
)

STYLES = {
    State.ACTIVE: GOOD,
    State.FAILED: BAD,
    State.DELAYED: WARN,
    State.COMPLETED: DIM,
}


def row(info: JobInfo) -> list[str]:
    """Return the cells of a line, as `COLUMNS` are."""
    return [
        info.id,
        info.name,
        Cell(info.state, STYLES.get(info.state, "")),
        str(info.attempts_made),
        ago(info.created_at),
        _detail(info),
    ]


def _detail(info: JobInfo) -> str:
    """Return what is worth knowing of a job in its state, in a few words."""
    match info.state:
        case State.FAILED:
            return info.failed_reason or ""
        case State.DELAYED if info.run_at is not None:
            unknown = "" if info.unknown_since is None else ", no worker has its task"
            return f"due {moment_text(info.run_at)}{unknown}"
        case State.ACTIVE:
            shown = _short(value_text(info.progress))
            progress = "" if info.progress in (0, None) else f", {shown} %"
            return f"since {ago(info.processed_at)}{progress}"
        case State.COMPLETED:
            return "" if info.result is None else _short(value_text(info.result))
        case State.PRIORITIZED:
            return f"priority {info.priority}"
        case State.WAITING_CHILDREN:
            return "until its children are done"
    return ""


def facts(info: JobInfo) -> list[tuple[str, str]]:
    """Return labels, and what there is to say under each."""
    allowed = "as many as its task allows" if info.max_attempts is None else info.max_attempts
    tries = f"{info.attempts_made} of {allowed}"
    extra = info.attempts_started - info.attempts_made - (info.state is State.ACTIVE)
    if extra > 0:
        tries += f", and {plural(extra, 'start')} that {_why_no_attempts(info, extra)}"
    found = [
        ("added", f"{moment_text(info.created_at)} ({ago(info.created_at)} ago)"),
        ("attempts", tries),
    ]
    if info.run_at is not None:
        found.append(("due", moment_text(info.run_at)))
    if info.unknown_since is not None:
        found.append(("waits", f"for a worker that has its task, for {ago(info.unknown_since)}"))
    if info.state is State.WAITING_CHILDREN:
        found.append(
            ("waits", "until its children are done: toril flows show " + f"{info.queue} {info.id}")
        )
    if info.parent_id is not None:
        found.append(("child of", f"{info.parent_queue} {info.parent_id}"))
    if info.priority:
        found.append(("priority", str(info.priority)))
    if info.deduplication_id is not None:
        found.append(("dedup id", info.deduplication_id))
    if info.state is State.ACTIVE:
        lease = "" if info.lease_remaining_s is None else f", lease {info.lease_remaining_s:.0f} s"
        found.append(("runs on", f"{info.worker_id or '-'} since {ago(info.processed_at)}{lease}"))
    if info.cancel_reason:
        found.append(("cancelled", info.cancel_reason))
    if info.progress not in (0, None):
        found.append(("progress", value_text(info.progress)))
    if info.finished_at is not None:
        found.append(("finished", moment_text(info.finished_at)))
    found.append(("data", f"{value_text(info.data)}  ({short_bytes(info.data_bytes)})"))
    if info.state is State.COMPLETED:
        found.append(("result", value_text(info.result)))
    if info.failed_reason:
        found.append(("reason", info.failed_reason))
    return found


_NO_ATTEMPTS = {
    "waiting_children": "waited for children",
    "snoozed": "snoozed",
    "released": "given back",
    "stalled": "lost with the worker",
}


def _why_no_attempts(info: JobInfo, extra: int) -> str:
    """Return why starts were no attempts since a job was last put in line by hand."""
    counts: Counter[str] = Counter()
    for position, attempt in enumerate(info.attempts, 1):
        if attempt.outcome in _NO_ATTEMPTS:
            counts[_NO_ATTEMPTS[attempt.outcome]] += 1
        elif attempt.outcome in (State.COMPLETED, State.FAILED) and position < len(info.attempts):
            counts.clear()  # somebody has put it back in line since
    if counts.total() == extra:  # the oldest attempts may not be kept
        return "counted as none: " + ", ".join(f"{many} {why}" for why, many in counts.items())
    return f"counted as none ({', '.join(_NO_ATTEMPTS.values())})"


def value_text(value: object) -> str:
    """Return a stored value as JSON; what is none, as it is. Of sealed values, only the key."""
    if isinstance(value, RawText):
        return str(value)
    text = encode_text(value)
    return _SEALED.sub(r"(sealed, key \1)", text) if MARK in text else text


_SEALED = re.compile(r'\{"\$sealed":"1\.([0-9a-f]{8})\.[A-Za-z0-9_-]+"\}')


def attempt_lines(info: JobInfo) -> Iterator[str]:
    """Yield a line for each attempt that has ended, and one where somebody put the job back."""
    ended: str | None = None
    for attempt in info.attempts:
        if ended in (State.COMPLETED, State.FAILED):
            anew = "; attempts count from 1 again" if attempt.number == 1 else ""
            yield f"{'by hand':<10}put back in line after it had {ended}{anew}"
        ended = attempt.outcome
        took_s = (attempt.ended_at - attempt.started_at).total_seconds()
        yield (
            f"attempt {attempt.number:<2}{attempt.outcome} after {_seconds(took_s)},"
            f" {moment_text(attempt.ended_at)}, {attempt.worker_id}"
            + (f": {attempt.error}" if attempt.error else "")
        )


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.3f} s" if duration_s < 100 else short_duration(duration_s)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"
