"""Groups failed jobs that failed alike, by a fingerprint of what failed.

A bounded number of the newest failures is looked at, so that jobs that Node's workers have failed
are grouped, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from toril.core.masking import MASK
from toril.engine.info import JobInfo, QueueInfo
from toril.engine.search.grammar import MAX_GAPS
from toril.engine.search.query import Pattern, Query, Term
from toril.engine.states import State
from toril.rest.answers import ErrorGroup, ErrorGroups
from toril.web.call import Call
from toril.web.lines import REASON_CHARS, cut

PAGE = 100
"""Jobs in one call of the store."""
SAMPLES = 5
TREND_PARTS = 12
WORD_CHARS = 60
"""Of a word of a message, in a search."""

_TYPE = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Timeout))\b:?\s*")
_LAST_LINE = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_NODE_FRAME = re.compile(r"at (?:(\S+) \()?([^()\s]+):(\d+):\d+\)?")
_FOREIGN = re.compile(
    r"site-packages|dist-packages|/lib/python\d|/toril/|<frozen|node_modules|node:"
)
_VARYING = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<mail>"),
    (re.compile(r"https?://\S+"), "<url>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[a-f]*\d)[0-9a-f]{12,}\b"), "<id>"),
    (re.compile(r"'[^']{1,200}'|\"[^\"]{1,200}\"|`[^`]{1,200}`"), "<text>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)
_GAP = re.compile(r"<(?:id|mail|url|text|n)>")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What makes two failures alike."""

    queue: str
    name: str
    error: str
    message: str
    frame: str | None

    @property
    def text(self) -> str:
        """It as a short word."""
        # Without the number of the line: it moves with every change of the file.
        place = (self.frame or "").partition(" in ")
        file = place[0].rpartition(":")[0]
        parts = (self.queue, self.name, self.error, self.message, file, place[2])
        joined = "\0".join(parts).encode("utf-8", "replace")
        return hashlib.blake2b(joined, digest_size=6).hexdigest()


@dataclass(slots=True)
class _Group:
    search: str
    moments: list[datetime] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


def fingerprint(info: JobInfo) -> Fingerprint:
    """Return what failed of a job."""
    last = info.attempts[-1] if info.attempts else None
    reason = info.failed_reason or (last.error if last is not None else None) or ""
    trace = next((each.traceback for each in reversed(info.attempts) if each.traceback), "") or ""
    error, message = _type_of(reason, trace)
    return Fingerprint(info.queue, info.name, error, normalized(message), top_frame(trace))


def _type_of(reason: str, trace: str) -> tuple[str, str]:
    """Return the type of an error and its message."""
    found = _TYPE.match(reason)
    if found is not None:
        return found[1].rpartition(".")[2], reason[found.end() :]
    for line in reversed(trace.splitlines()):
        if line and not line[0].isspace():
            named = _LAST_LINE.match(line)
            return (named[1].rpartition(".")[2] if named else ""), reason
    return "", reason


def normalized(message: str) -> str:
    """Return a message in which what differs from job to job is put as `<…>`."""
    text = cut(" ".join(message[:2000].split()), REASON_CHARS * 2)
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return cut(text, REASON_CHARS)


def top_frame(trace: str) -> str | None:
    """Return the innermost line of the application in a stack trace."""
    frames = [
        (file, line, function)
        for file, line, function in _FRAME.findall(trace)
        if not _FOREIGN.search(file)
    ]
    if frames:
        file, line, function = frames[-1]
        return f"{_short(file)}:{line} in {function}"
    for function, file, line in _NODE_FRAME.findall(trace):
        if not _FOREIGN.search(file):
            return f"{_short(file)}:{line} in {function or '?'}"
    return None


def _short(file: str) -> str:
    return "/".join(file.replace("\\", "/").split("/")[-2:])


def search_for(print_: Fingerprint, reason: str) -> str:
    """Return a search that finds the failed jobs of a group, and others that hold the same words.

    Parameters:
        print_: What the group has in common.
        reason: Why one of its jobs failed: the search finds that one.
    """
    terms = [
        Term("state", ":", (Pattern((str(State.FAILED),)),)),
        Term("queue", ":", (Pattern((print_.queue,)),)),
        Term("name", ":", (Pattern((print_.name,)),)),
    ]
    words = _GAP.sub(" ", f"{print_.error} {print_.message}").split()
    words = [word for word in words if word.isprintable() and MASK not in word and word[-1] != "…"]
    # The longest say most. A type that came from a stack trace is in no message.
    longest = sorted(range(len(words)), key=lambda place: -len(words[place]))[:MAX_GAPS]
    parts: list[str] = []
    for place in sorted(longest):
        more = (*parts, words[place][:WORD_CHARS])
        if Pattern(more).is_in(reason):
            parts = list(more)
    if parts:
        terms.append(Term("error", "~", (Pattern(tuple(parts)),)))
    return str(Query((tuple(terms),)))


def grouped(jobs: Iterable[JobInfo], now: datetime | None = None) -> list[ErrorGroup]:
    """Return groups of failed jobs, largest first.

    Parameters:
        jobs: Newest first within each queue.
        now: Where the trends end.
    """
    groups: dict[str, tuple[Fingerprint, _Group]] = {}
    for info in jobs:
        print_ = fingerprint(info)
        found = groups.get(print_.text)
        if found is None:
            search = search_for(print_, info.failed_reason or "")
            found = groups[print_.text] = (print_, _Group(search))
        group = found[1]
        group.moments.append(_failed_at(info))
        if len(group.ids) < SAMPLES:
            group.ids.append(info.id)
    since = min((min(group.moments) for _, group in groups.values()), default=None)
    items = [
        ErrorGroup(
            fingerprint=word,
            queue=print_.queue,
            name=print_.name,
            error=print_.error,
            message=print_.message,
            frame=print_.frame,
            count=len(group.moments),
            first_at=min(group.moments),
            last_at=max(group.moments),
            sample_ids=group.ids,
            trend=_trend(group.moments, since or group.moments[0], now or datetime.now(UTC)),
            search=group.search,
        )
        for word, (print_, group) in groups.items()
    ]
    return sorted(items, key=lambda one: (-one.count, one.queue, one.fingerprint))


def _failed_at(info: JobInfo) -> datetime:
    return info.finished_at or info.created_at


def _trend(moments: Iterable[datetime], since: datetime, until: datetime) -> list[int]:
    """Return how many moments lie in each part of a span."""
    counts = [0] * TREND_PARTS
    part_s = max((until - since).total_seconds(), 1.0) / TREND_PARTS
    for at in moments:
        place = int((at - since).total_seconds() / part_s)
        counts[max(0, min(place, TREND_PARTS - 1))] += 1
    return counts


async def group_failures(call: Call, queues: Sequence[QueueInfo], look_at: int) -> ErrorGroups:
    """Look at the newest failed jobs of some queues, and group them."""
    failing = sorted((info for info in queues if info.failed), key=lambda info: info.failed)
    total = sum(info.failed for info in failing)
    failing = failing[-look_at:]
    jobs: list[JobInfo] = []
    for place, info in enumerate(failing):
        # What small queues leave of their share goes to those that come after.
        share = max(1, (look_at - len(jobs)) // (len(failing) - place))
        jobs += await _newest_failed(call, info.name, min(share, look_at - len(jobs)))
        if len(jobs) >= look_at:
            break
    return ErrorGroups(
        items=grouped(jobs),
        looked_at=len(jobs),
        failed=total,
        since=min(map(_failed_at, jobs), default=None),
    )


async def _newest_failed(call: Call, queue: str, most: int) -> list[JobInfo]:
    found: list[JobInfo] = []
    after: str | None = None
    while len(found) < most:
        page = await call.queue(queue).jobs(
            State.FAILED, limit=min(PAGE, most - len(found)), after=after, newest_first=True
        )
        found += [shown for one in page.jobs if (shown := call.sight.job(one)) is not None]
        after = page.next
        if after is None:
            break
    return found
