"""Checks names of queues and jobs, and job ids: none may collide with a key of the store."""

from __future__ import annotations

import os
import re
import secrets
import socket
import uuid
from typing import NewType

from toril.core.checks import check_text, require

JobId = NewType("JobId", str)
WorkerId = NewType("WorkerId", str)

MAX_ID_CHARS = 512

# In BullMQ's layout a job's key and the queue's own keys share one name space, so a job with such
# an id would be taken for a duplicate, or would overwrite the queue (spec, sections 1.1 and 1.2).
RESERVED_JOB_IDS = frozenset(
    {
        "0", "active", "completed", "delay", "delayed", "events", "failed", "id", "limiter",
        "marker", "meta", "paused", "pc", "prioritized", "priority", "repeat", "stalled",
        "stalled-check", "toril", "wait", "waiting-children",
    }
)  # fmt: skip

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")


def check_queue_name(name: str) -> str:
    """Return `name` if a queue may have it.

    Raises:
        InvalidOptionError: If it is empty, too long, or holds `:` or a control character.
    """
    good = isinstance(name, str) and 0 < len(name) <= MAX_ID_CHARS
    good = good and ":" not in name and name.isprintable()
    require(good, "queue", name, f"1 to {MAX_ID_CHARS} printable characters without ':'")
    return name


def check_existing_queue_name(name: str) -> str:
    """Return `name` if a queue of BullMQ's may have it, which may hold control characters.

    Raises:
        InvalidOptionError: If it is empty, holds `:`, or cannot be written as UTF-8.
    """
    check_text(name, "queue")
    require(name != "" and ":" not in name, "queue", name, "1 character or more, without ':'")
    return name


def check_job_name(name: str) -> str:
    """Return `name` if a job may have it.

    Raises:
        InvalidOptionError: If it is empty, too long, or holds a control character.
    """
    good = isinstance(name, str) and 0 < len(name) <= MAX_ID_CHARS and name.isprintable()
    require(good, "name", name, f"1 to {MAX_ID_CHARS} printable characters")
    return name


def check_job_id(job_id: str) -> JobId:
    """Return `job_id` if a caller may choose it.

    Raises:
        InvalidOptionError: If it is empty or too long, holds `:`, is an integer (those are given
            by the queue) or one of the store's own words.
    """
    good = isinstance(job_id, str) and 0 < len(job_id) <= MAX_ID_CHARS
    require(good, "job_id", job_id, f"1 to {MAX_ID_CHARS} characters")
    require(":" not in job_id, "job_id", job_id, "an id without ':'")
    require(job_id.isprintable(), "job_id", job_id, "printable characters")
    require(job_id not in RESERVED_JOB_IDS, "job_id", job_id, "an id that is not a reserved word")
    integer = _INTEGER.fullmatch(job_id) is not None
    require(not integer, "job_id", job_id, "an id that is not an integer; those are the queue's")
    return JobId(job_id)


def new_job_id() -> JobId:
    """Return a job id that no other job has: random, as BullMQ gives it to the jobs of flows."""
    return JobId(str(uuid.uuid4()))


def new_worker_id() -> WorkerId:
    """Return a worker id that no other start of any worker has: host, process, random."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "host"
    return WorkerId(f"{host}-{os.getpid()}-{secrets.token_hex(4)}")
