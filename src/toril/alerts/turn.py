"""Who is told what after a look at the store. A pure function of what was known and is found.

An alert is told when it is raised, unless it was told within its cool-down; then it is told once
that is over, if it is still there. It is told as recovered after it was well for a while, if it was
told before. Rules that count tell again after the cool-down, if there is more to count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from toril.alerts.message import AlertMessage
from toril.alerts.options import AlertOptions
from toril.alerts.records import AlertRecord, MuteRecord, key_of
from toril.core.clock import moment
from toril.core.wildcards import matches

MOST_MESSAGES = 20
"""Of one look; what is beyond is told in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong now."""

    rule: str
    subject: str
    value: float
    threshold: float
    text: str
    queues: Sequence[str] = ()
    """Those that it is about. Empty: the subject is one."""
    latest_ms: int = 0
    """Of rules that count: when the newest of what they count happened."""
    hold_s: float = 0.0
    """It is raised if it was found for so long, in seconds."""


@dataclass(slots=True)
class Turn:
    """What is to be written and sent."""

    changed: dict[str, AlertRecord] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    messages: list[AlertMessage] = field(default_factory=list)


def turn(
    known: Mapping[str, AlertRecord],
    findings: Iterable[Finding],
    mutes: Iterable[MuteRecord],
    options: AlertOptions,
    *,
    source: str,
    now_ms: int,
) -> Turn:
    """Return what follows from a look.

    Parameters:
        known: The alerts as they are stored, by key.
        findings: What is wrong now.
        mutes: Those that are stored.
        options: The app's.
        source: What messages call the installation.
        now_ms: The time.
    """
    made = Turn()
    mutes = [mute for mute in mutes if mute.until_ms > now_ms]
    found = {key_of(one.rule, one.subject): one for one in findings}
    told: list[AlertRecord] = []
    for key, finding in found.items():
        record = _seen(known.get(key), finding, now_ms)
        if _is_due(record, options, now_ms) and not is_muted(record, mutes):
            record = msgspec.structs.replace(record, told=True, told_ms=now_ms)
            told.append(record)
        made.changed[key] = record
    for key, record in known.items():
        if key in found:
            continue
        if record.state == "pending":
            made.gone.append(key)
        elif record.state == "raised":
            if now_ms - record.seen_ms < options.recovery_s * 1000:
                continue
            after = msgspec.structs.replace(record, state="recovered", told=False)
            if record.told and not is_muted(record, mutes):
                told.append(after)
            made.changed[key] = after
        elif now_ms - record.told_ms >= options.cooldown_s * 1000:
            made.gone.append(key)
    made.messages = _messages(told, source, now_ms)
    return made


def is_muted(record: AlertRecord, mutes: Iterable[MuteRecord]) -> bool:
    """Whether nobody is to be told of an alert."""
    names = record.queues or [record.subject]
    return any(
        matches(mute.rule, record.rule) and all(matches(mute.queue, name) for name in names)
        for mute in mutes
    )


def _seen(before: AlertRecord | None, finding: Finding, now_ms: int) -> AlertRecord:
    goes_on = before is not None and before.state != "recovered"
    since_ms = before.since_ms if before is not None and goes_on else now_ms
    is_raised = (goes_on and before is not None and before.state == "raised") or (
        now_ms - since_ms >= finding.hold_s * 1000
    )
    return AlertRecord(
        rule=finding.rule,
        subject=finding.subject,
        queues=list(finding.queues or [finding.subject]),
        state="raised" if is_raised else "pending",
        since_ms=since_ms,
        seen_ms=now_ms,
        value=finding.value,
        threshold=finding.threshold,
        text=finding.text,
        latest_ms=finding.latest_ms,
        told=before.told if before is not None and goes_on else False,
        told_ms=0 if before is None else before.told_ms,
    )


def _is_due(record: AlertRecord, options: AlertOptions, now_ms: int) -> bool:
    if record.state != "raised":
        return False
    if record.told_ms and now_ms - record.told_ms < options.cooldown_s * 1000:
        return False
    return not record.told or record.latest_ms > record.told_ms


def _messages(told: Sequence[AlertRecord], source: str, now_ms: int) -> list[AlertMessage]:
    some = told if len(told) <= MOST_MESSAGES else told[: MOST_MESSAGES - 1]
    made = [_message(record, source, now_ms, f"{now_ms}-{at}") for at, record in enumerate(some)]
    if len(some) < len(told):
        rest = told[len(some) :]
        recovered = all(record.state == "recovered" for record in rest)
        made.append(
            AlertMessage(
                id=f"{now_ms}-{len(some)}",
                rule="many",
                queue=f"{len({name for record in rest for name in record.queues})} queues",
                state="recovered" if recovered else "raised",
                value=len(rest),
                threshold=MOST_MESSAGES,
                text=f"{len(rest)} more alerts changed at the same time: see toril alerts list",
                at=moment(now_ms),
                since=moment(min(record.since_ms for record in rest)),
                source=source,
            )
        )
    return made


def _message(record: AlertRecord, source: str, now_ms: int, message_id: str) -> AlertMessage:
    recovered = record.state == "recovered"
    return AlertMessage(
        id=message_id,
        rule=record.rule,
        queue=", ".join(record.queues),
        state="recovered" if recovered else "raised",
        value=record.value,
        threshold=record.threshold,
        text=f"All is well again. It was: {record.text}" if recovered else record.text,
        at=moment(now_ms),
        since=moment(record.since_ms),
        source=source,
    )
