"""A job's options as they lie in the store: BullMQ's words, milliseconds, short names.

Reading them is total: whoever can write to the store can write anything there, and an attempt whose
options cannot be read could never be settled.

Source: spec, section 2.1 and 3.17.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from toril.core.durations import LONGEST_S
from toril.core.reading import read_object
from toril.engine import deduplication
from toril.engine.options import MAX_COUNT, JobOptions, KeepPolicy, RetryPolicy

KEEP_LOGS = 1000
"""Newest log lines kept of a job that does not say."""

_SAID = "toril:said"
"""In a stored backoff: which of its fields the job itself says. The others are for BullMQ, which
needs them; here the task decides them."""
CACHED_CHARS = 1_000
"""Longer options are read anew each time: those that tasks and producers write are far shorter."""


class WireOptions(msgspec.Struct, frozen=True):
    """What a worker needs of a job's stored options. None: the task's own."""

    max_attempts: int | None = None
    backoff: str | None = None
    backoff_s: float | None = None
    jitter_ratio: float | None = None
    keep_completed: KeepPolicy | None = None
    keep_failed: KeepPolicy | None = None
    keep_logs: int = KEEP_LOGS
    keep_traces: int | None = None
    max_payload_bytes: int | None = None
    lifo: bool = False
    traced: bool = True
    """It goes on with the trace in which it was added, should its options carry one."""

    def retry(self, policy: RetryPolicy) -> RetryPolicy:
        """Return the task's policy with what the job says in its place."""
        return RetryPolicy(
            max_attempts=self.max_attempts or policy.max_attempts,
            backoff="fixed"
            if self.backoff == "fixed"
            else "exponential"
            if self.backoff == "exponential"
            else policy.backoff,
            base_s=policy.base_s if self.backoff_s is None else self.backoff_s,
            cap_s=policy.cap_s,
            jitter_ratio=policy.jitter_ratio if self.jitter_ratio is None else self.jitter_ratio,
            wait=policy.wait,
            retry_on=policy.retry_on,
            give_up_on=policy.give_up_on,
        )


def to_wire(options: JobOptions, policy: RetryPolicy | None) -> str:
    """Return the JSON text to store with a job.

    Parameters:
        options: What the caller says.
        policy: What the task says where the caller does not. None: the task is not known here, and
            decides when the job runs.
    """
    wire: dict[str, Any] = {}
    attempts, backoff = options.max_attempts, _backoff(options, policy)
    if attempts is None and policy is not None:
        attempts = policy.max_attempts
    if attempts is not None:
        wire["attempts"] = attempts
    if backoff:
        wire["backoff"] = backoff
    if options.delay_s:
        wire["delay"] = round(options.delay_s * 1000)
    if options.priority:
        wire["priority"] = options.priority
    if options.lifo:
        wire["lifo"] = True
    if options.job_id is not None:
        wire["jobId"] = options.job_id
    if options.deduplication is not None:
        wire["de"] = deduplication.to_wire(options.deduplication)
    if options.keep_completed is not None:
        wire["removeOnComplete"] = _keep_to_wire(options.keep_completed)
    if options.keep_failed is not None:
        wire["removeOnFail"] = _keep_to_wire(options.keep_failed)
    if options.keep_logs is not None:
        wire["kl"] = options.keep_logs
    if options.keep_traces is not None:
        wire["stackTraceLimit"] = options.keep_traces
    if options.max_payload_bytes is not None:
        wire["sizeLimit"] = options.max_payload_bytes
    if not options.trace:
        wire["omc"] = True
    return msgspec.json.encode(wire).decode()


def from_wire(text: str) -> WireOptions:
    """Return what a worker needs of stored options. What it cannot read is as if it were not there.

    Cached by text: the jobs of one task mostly carry the same. Only short texts are: a cache of
    long ones would keep gigabytes.
    """
    return _cached(text) if len(text) <= CACHED_CHARS else _from_wire(text)


def _from_wire(text: str) -> WireOptions:
    wire = read_object(text)
    backoff = wire.get("backoff")
    if isinstance(backoff, int | float):
        backoff = {"type": "fixed", "delay": backoff}
    if not isinstance(backoff, dict):
        backoff = {}
    said = backoff.get(_SAID)
    if isinstance(said, list):
        backoff = {name: value for name, value in backoff.items() if name in said}
    kind = backoff.get("type")
    delay_ms, jitter = _number(backoff.get("delay")), _number(backoff.get("jitter"))
    return WireOptions(
        # Node writes 0 where the producer said nothing: then the task decides.
        max_attempts=_whole(wire.get("attempts"), 1),
        backoff=kind if kind in ("fixed", "exponential") else None,
        backoff_s=None if delay_ms is None else min(delay_ms / 1000, LONGEST_S),
        jitter_ratio=None if jitter is None else min(jitter, 1.0),
        keep_completed=_keep_from_wire(wire.get("removeOnComplete")),
        keep_failed=_keep_from_wire(wire.get("removeOnFail")),
        keep_logs=KEEP_LOGS if (lines := _whole(wire.get("kl"), 0)) is None else lines,
        keep_traces=_whole(wire.get("stackTraceLimit"), 0),
        max_payload_bytes=_whole(wire.get("sizeLimit"), 1),
        lifo=wire.get("lifo") is True,
        traced=wire.get("omc") is not True,
    )


_cached = lru_cache(maxsize=4096)(_from_wire)


def _backoff(options: JobOptions, policy: RetryPolicy | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": options.backoff,
        "delay": None if options.backoff_s is None else round(options.backoff_s * 1000),
        "jitter": options.jitter_ratio,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if policy is None and not said:
        return {}
    rest = policy or RetryPolicy()
    backoff: dict[str, Any] = {"type": rest.backoff, "delay": round(rest.base_s * 1000)}
    if policy is not None and policy.jitter_ratio:
        backoff["jitter"] = policy.jitter_ratio
    backoff |= said
    if policy is None and not {"type", "delay"} <= said.keys():
        # A worker of BullMQ leaves a job hanging whose wait has no kind, or a kind no wait.
        backoff[_SAID] = sorted(said)
    return backoff


def _keep_to_wire(keep: KeepPolicy) -> bool | int | dict[str, Any]:
    if keep.count == 0:
        return True
    if keep.age_s is None:
        return False if keep.count is None else keep.count
    wire: dict[str, Any] = {"age": keep.age_s}
    if keep.count is not None:
        wire["count"] = keep.count
    return wire


def _keep_from_wire(wire: object) -> KeepPolicy | None:
    if isinstance(wire, bool):
        return KeepPolicy(count=0) if wire else KeepPolicy()
    if isinstance(wire, int):
        return KeepPolicy(count=_whole(wire, 0))
    if isinstance(wire, dict):
        age_s = _number(wire.get("age"))
        return KeepPolicy(
            count=_whole(wire.get("count"), 0),
            age_s=None if age_s is None else min(age_s, LONGEST_S),
        )
    return None


def _whole(value: object, least: int) -> int | None:
    """Return an integer from `least`, cut to what a store can hold; anything else is None."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return min(value, MAX_COUNT)
    return None


def _number(value: object) -> float | None:
    """Return a number from 0, cut to `MAX_COUNT`; anything else is as if it were not there."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(min(value, MAX_COUNT))  # cut first: an integer may be too large for a float
    return None
