"""Replays what was recorded from BullMQ: loads a state, lets us do a step, compares all keys.

The recordings are the files below `golden/`. Their clock is moved ahead of every real calendar, so
that Redis lets nothing expire by itself.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.redis_clock import REDIS_START_MS
from tests.support.redis_servers import RedisServer

GOLDEN = Path(__file__).parent / "golden"
SHIFT_MS = REDIS_START_MS - 1_800_000_000_000
"""What lies between the clock of the recordings and ours."""

DAY_MS = 86_400_000
WHOLE_DAYS_MS = -(-SHIFT_MS // DAY_MS) * DAY_MS
"""The same for schedules: a slot of theirs stays one by whole days only."""
_OF_SCHEDULES = ("13-scheduler-every", "14-scheduler-cron")
_MOMENT = re.compile(r"\b18\d{11}\b")

_TIMES = {"timestamp", "processedOn", "finishedOn", "prevTS"}
_JSON = {"opts", "parent", "data", "returnvalue", "progress", "stacktrace"}
_BY_TIME = ("completed", "failed", "waiting-children", "unsuccessful")

Keys = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """One recorded step, on our clock."""

    file: str
    title: str
    at_ms: int
    result: Any
    before: Keys
    """All keys as they were recorded after the step before."""
    before_ms: int
    """When that was."""
    after: Keys
    events: dict[str, list[list[str]]]
    """New ones by stream, those of what led to the step included."""

    def __str__(self) -> str:
        return f"{self.file}: {self.title}"


@cache
def recorded() -> tuple[Step, ...]:
    """Return all steps of all files, in order."""
    return tuple(step for path in sorted(GOLDEN.glob("*.json")) for step in _steps(path))


def _steps(path: Path) -> list[Step]:
    text = path.read_text("utf-8")
    if path.stem in _OF_SCHEDULES:
        return _steps_of_schedules(json.loads(_MOMENT.sub(_whole_days_later, text)))
    whole = json.loads(text)
    before = _new_queues(whole["steps"][0]["keys"])
    before_ms = whole["clockStart"]
    steps = []
    for one in whole["steps"]:
        after = one["keys"]
        events = {
            stream: [_shifted_event(event) for event in events]
            for stream, events in one["newEvents"].items()
        }
        steps.append(
            Step(
                file=whole["scenario"],
                title=one["title"],
                at_ms=one["at"] + SHIFT_MS,
                result=one["result"],
                before=_shifted(before),
                before_ms=before_ms + SHIFT_MS,
                after=_shifted(after),
                events=events,
            )
        )
        before, before_ms = after, one["at"]
    return steps


def _whole_days_later(found: re.Match[str]) -> str:
    return str(int(found[0]) + WHOLE_DAYS_MS)


def _steps_of_schedules(whole: dict[str, Any]) -> list[Step]:
    """Return steps whose moments are in ids, options and results, and were moved as text."""
    before, before_ms = _new_queues(whole["steps"][0]["keys"]), whole["clockStart"]
    steps = []
    for one in whole["steps"]:
        after = {key: {**entry, **_scores(key, entry)} for key, entry in one["keys"].items()}
        steps.append(
            Step(
                file=whole["scenario"],
                title=one["title"],
                at_ms=one["at"],
                result=one["result"],
                before=before,
                before_ms=before_ms,
                after=after,
                events=one["newEvents"],
            )
        )
        before, before_ms = after, one["at"]
    return steps


def _scores(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry["type"] != "zset":
        return {}
    later = WHOLE_DAYS_MS * 4096 if key.endswith(":delayed") else 0
    return {"value": [[one, float(score) + later] for one, score in entry["value"]]}


def _new_queues(first: Keys) -> Keys:
    """Return what there is before anything was done: the settings that a queue object writes."""
    written = {"opts.maxLenEvents", "version"}
    return {
        key: {
            "type": "hash",
            "value": {name: text for name, text in entry["value"].items() if name in written},
        }
        for key, entry in first.items()
        if key.endswith(":meta")
    }


def _shifted(keys: Keys) -> Keys:
    """Return a recorded state on our clock."""
    return {key: {**entry, **_shifted_value(key, entry)} for key, entry in keys.items()}


def _shifted_value(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    value: Any = entry.get("value")
    name = key.rpartition(":")[2]
    match entry["type"]:
        case "hash":
            return {"value": {field: _shifted_field(field, text) for field, text in value.items()}}
        case "zset" if name == "delayed":
            return {"value": [[one, float(score) + SHIFT_MS * 4096] for one, score in value]}
        case "zset" if name == "marker":
            return {
                "value": [[one, float(score) + SHIFT_MS * (one == "1")] for one, score in value]
            }
        case "zset":
            by = SHIFT_MS if name in _BY_TIME else 0
            return {"value": [[one, float(score) + by] for one, score in value]}
        case "string" if name == "stalled-check":
            return {"value": str(int(value) + SHIFT_MS)}
    return {}


def _shifted_field(field: str, text: str) -> str:
    if field in _TIMES:
        return str(int(text) + SHIFT_MS)
    if field == "opts" and '"timestamp"' in text:
        options = json.loads(text)
        options["timestamp"] += SHIFT_MS
        return json.dumps(options)
    return text


def _shifted_event(event: list[str]) -> list[str]:
    if event[1] == "delayed":
        place = event.index("delay") + 1
        return [*event[:place], str(Decimal(event[place]) + SHIFT_MS), *event[place + 1 :]]
    return event


def load(server: RedisServer, keys: Keys, *, at_ms: int) -> None:
    """Make a state the only thing there is; `at_ms`: from when its expiries count."""
    server.command("FLUSHALL")
    for key, entry in keys.items():
        value: Any = entry.get("value")
        match entry["type"]:
            case "string":
                server.command("SET", key, value)
            case "hash":
                server.command("HSET", key, *(part for pair in value.items() for part in pair))
            case "list":
                server.command("RPUSH", key, *value)
            case "set":
                server.command("SADD", key, *value)
            case "zset":
                for member, score in value:
                    server.command("ZADD", key, repr(float(score)), member)
            case "stream":
                server.command("XADD", key, "1-1", "event", "before")
                server.command("XTRIM", key, "MAXLEN", 0)
                for number in range(entry["length"]):  # what was in them is not recorded
                    server.command("XADD", key, f"1-{number + 2}", "event", "before")
        if "pttlCeilSeconds" in entry:
            server.command("PEXPIREAT", key, at_ms + entry["pttlCeilSeconds"] * 1000)


def dump(server: RedisServer, *, at_ms: int) -> tuple[Keys, dict[str, list[list[str]]]]:
    """Return all keys in the recordings' form, and the events that were not loaded."""
    keys: Keys = {}
    events: dict[str, list[list[str]]] = {}
    for key in server.keys():
        kind = server.command("TYPE", key)
        entry: dict[str, Any] = {"type": kind}
        match kind:
            case "string":
                entry["value"] = server.command("GET", key)
            case "hash":
                flat = server.command("HGETALL", key)
                entry["value"] = dict(zip(flat[::2], flat[1::2], strict=True))
            case "list":
                entry["value"] = server.command("LRANGE", key, 0, -1)
            case "set":
                entry["value"] = server.command("SMEMBERS", key)
            case "zset":
                flat = server.command("ZRANGE", key, 0, -1, "WITHSCORES")
                pairs = zip(flat[::2], flat[1::2], strict=True)
                # What ended in one millisecond, ours keeps in order by a fraction of it.
                finished = key.endswith((":completed", ":failed"))
                entry["value"] = [
                    [member, float(math.floor(float(score))) if finished else float(score)]
                    for member, score in pairs
                ]
            case "stream":
                entry["length"] = server.command("XLEN", key)
                fresh = [fields for _, fields in server.command("XRANGE", key, "2", "+")]
                if fresh:
                    events[key] = fresh
        ends_ms = server.command("PEXPIRETIME", key)
        if ends_ms >= 0:
            entry["pttlCeilSeconds"] = math.ceil((ends_ms - at_ms) / 1000)
        keys[key] = entry
    return keys, events


def comparable(keys: Keys) -> dict[str, Any]:
    """Return a state without what may differ: our own keys and fields, and texts of tokens."""
    return {
        key: {
            "type": entry["type"],
            "expires in s": entry.get("pttlCeilSeconds"),
            "is": _comparable_value(key, entry),
        }
        for key, entry in keys.items()
        if ":toril:" not in key
    }


def _comparable_value(key: str, entry: Mapping[str, Any]) -> Any:
    value: Any = entry.get("value")
    if key.endswith(":lock"):
        return "a token"
    match entry["type"]:
        case "set":
            return sorted(value)
        case "stream":
            return entry["length"]
        case "hash":
            return {
                field: parsed(field, text)
                for field, text in value.items()
                if not field.startswith("toril:")
                and not (field == "version" and key.endswith(":meta"))
            }
    return value


def parsed(field: str, text: str) -> Any:
    """Return a field's value: JSON is compared as such, and of a stack trace its first line."""
    if field not in _JSON:
        return text
    value = json.loads(text)
    return [trace.split("\n")[0] for trace in value] if field == "stacktrace" else value


def comparable_events(events: Mapping[str, list[list[str]]]) -> dict[str, list[dict[str, Any]]]:
    """Return events in order, each with its fields by name."""
    return {
        stream: [
            {field: parsed(field, text) for field, text in zip(one[::2], one[1::2], strict=True)}
            for one in told
        ]
        for stream, told in events.items()
    }


class Difference(NamedTuple):
    """One thing that is not as it was recorded."""

    place: str
    """Which key, field or stream."""
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def by_figure(text: str) -> dict[str, str]:
    """Return lines for Prometheus by what they are about: a figure, or what is said of a name."""
    lines: dict[str, str] = {}
    for line in text.splitlines():
        about, value = line.rsplit(" ", 1)
        if line.startswith("#"):
            sign, kind, name, value = line.split(" ", 3)
            about = f"{sign} {kind} {name}"
        assert about not in lines, about
        lines[about] = value
    return lines


def differences(expected: Any, found: Any, where: str = "") -> list[Difference]:
    """Return what differs, place by place."""
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = []
        for name in sorted(expected.keys() | found.keys()):
            place = f"{where} {name}".strip()
            if name not in found:
                lines.append(Difference(place, f"BullMQ has {expected[name]!r}; we have none"))
            elif name not in expected:
                lines.append(Difference(place, f"BullMQ has none; we have {found[name]!r}"))
            else:
                lines += differences(expected[name], found[name], place)
        return lines
    if expected == found:
        return []
    return [Difference(where, f"BullMQ has {expected!r}; we have {found!r}")]
