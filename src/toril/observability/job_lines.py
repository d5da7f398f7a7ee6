"""Lines of an application's log about its jobs: with signs, plain, or as JSON with fields.

```python
lines = JobLines("chat")
lines.attach(app)
```
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from toril.engine.context import Context
from toril.engine.handle import Job
from toril.engine.hooks import HookEvent
from toril.engine.middleware import Call


class Watched(Protocol):
    """What is needed of an app."""

    def middleware(self, middleware: Any) -> Any:
        """Call this around each job."""
        ...

    def on(self, name: Any) -> Callable[[Any], Any]:
        """Return a decorator of what is told how jobs end."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs that are spoken of alike."""

    sign: str
    name: str
    """What they are called, such as `push notification`."""
    done: str = ""
    """Follows "completed"; a format of the task's result, such as `: {0.sent} sent`."""


KINDS: Mapping[str, Kind] = {
    "push": Kind("📤", "push notification", ": {0.sent} sent, {0.failed} failed"),
    "image": Kind("🖼️", "image"),
    "video": Kind("🎬", "video"),
    "avatar": Kind("👤", "avatar"),
    "email": Kind("📧", "email"),
}
"""What users meet, by a part of the jobs' names."""

ABOUT: Mapping[str, str] = {
    "to": "to",
    "fileId": "for file",
    "filePath": "for file",
    "userId": "for user",
}
"""Fields of payloads that tell whom or what a job is for, and the word that goes before each."""


class LineFormatter(logging.Formatter):
    """Writes a line by `LOG_STYLE`: with its sign; `plain`: without; `json`: with its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        text, style = record.getMessage(), os.environ.get("LOG_STYLE")
        if style == "json":
            fields: dict[str, Any] = vars(record).get("fields", {})
            return json.dumps({"message": text, **fields}, ensure_ascii=False)
        return text if style == "plain" else f"{vars(record).get('sign', '')} {text}".strip()


class JobLines:
    """Writes to standard output what is added, what begins, what was done and how it ended."""

    def __init__(
        self,
        name: str,
        kinds: Mapping[str, Kind] = KINDS,
        *,
        about: Mapping[str, str] = ABOUT,
        others: Kind = Kind("⚙️", "other"),
    ) -> None:
        """Take over the logger of this name.

        Parameters:
            name: The logger's.
            kinds: By a part of the jobs' names; the first that fits counts.
            about: Fields of payloads that tell whom or what a job is for, the best one first, and
                the word that goes before it. Values of `to` are shortened: `j***@example.com`.
            others: Of jobs that fit no kind.
        """
        self.kinds = kinds
        self.about = about
        self.others = others
        self.log = logging.getLogger(name)
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(LineFormatter())
        self.log.addHandler(handler)
        self.log.setLevel(logging.INFO)
        self.log.propagate = False

    def say(self, sign: str, text: str, level: int = logging.INFO, **fields: Any) -> None:
        """Write a line."""
        self.log.log(level, text, extra={"sign": sign, "fields": fields})

    def fail(self, text: str, **fields: Any) -> None:
        """Write a line of something that went wrong."""
        self.say("❌", text, logging.ERROR, **fields)

    def facts(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return whom and what a payload is about, as a log may say it."""
        said = {one: str(data[one]) for one in self.about if one in data}
        if "to" in said:
            said["to"] = f"{said['to'][:1]}***@{said['to'].rpartition('@')[2]}"
        return said

    async def added(
        self,
        adding: Awaitable[list[Job[Any]]],
        queue: str,
        payloads: Sequence[Mapping[str, Any]],
        **context: Any,
    ) -> list[Job[Any]]:
        """Wait until jobs are added, and write a line for each: its id, or why it is not there.

        Parameters:
            adding: What adds them, such as `queue.add_many(...)`.
            queue: Its name.
            payloads: Of the jobs, in order.
            **context: Goes to each line.
        """
        facts = [{**context, **self.facts(payload)} for payload in payloads]
        try:
            jobs = await adding
        except Exception as error:
            for fact in facts:
                self.fail(f"Job not added to {queue}: {error} {fact}", **fact)
            raise
        for job, fact in zip(jobs, facts, strict=True):
            self.say("", f"Job {job.id} added to {queue} {fact}", jobId=job.id, **fact)
        return jobs

    async def added_one(
        self, adding: Awaitable[Job[Any]], queue: str, payload: Mapping[str, Any], **context: Any
    ) -> Job[Any]:
        """Wait until a job is added, and write its line: see `added`."""

        async def listed() -> list[Job[Any]]:
            return [await adding]

        return (await self.added(listed(), queue, [payload], **context))[0]

    def attach(self, app: Watched) -> None:
        """Write lines of all jobs that workers of this app run."""
        app.middleware(self._around)
        app.on("completed")(self._completed)
        for ending in ("retried", "failed"):
            app.on(ending)(self._failed)

    async def _around(self, context: Context, call: Call) -> Any:
        job, name, facts = context.job_id, context.task, self.facts(context.data)
        kind = next((kind for part, kind in self.kinds.items() if part in name), self.others)
        whom = next((f" {self.about[one]} {facts[one]}" for one in facts), "")
        self.say("🔄", f"Worker: Processing job {job} of type {name}", jobId=job, name=name)
        self.say(kind.sign, f"Processing {kind.name} job {job}{whom}", jobId=job, **facts)
        result = await call()
        done = kind.done.format(result)
        self.say("✅", f"{kind.name.capitalize()} job {job} completed{done}", jobId=job)
        return result

    def _completed(self, event: HookEvent) -> None:
        self.say("✅", f"Job {event.job_id} completed", jobId=event.job_id)

    def _failed(self, event: HookEvent) -> None:
        self.fail(f"Job {event.job_id} failed: {event.reason}", jobId=event.job_id)
