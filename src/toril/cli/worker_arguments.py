"""The checked arguments of `toril worker`, and their words for child processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import click

Loop = Literal["auto", "asyncio", "uvloop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerArguments:
    """The options and the argument of one worker."""

    target: str
    concurrency: int | None
    queues: Sequence[str] | Mapping[str, int] | None
    profile: str | None
    url: str | None = field(repr=False)
    shutdown_s: float | None
    max_stalled: int | None
    loop: Loop
    log_format: Literal["text", "json"]
    log_level: str | None
    quiet_jobs: bool = False

    def words(self) -> list[str]:
        """Return them as a command line without the URL: other users can read command lines."""
        queues = None
        if self.queues is not None:
            weighted = self.queues.items() if isinstance(self.queues, Mapping) else None
            queues = ",".join(
                (f"{name}={weight}" for name, weight in weighted)
                if weighted is not None
                else self.queues
            )
        options = {
            "--concurrency": self.concurrency,
            "--queues": queues,
            "--profile": self.profile,
            "--shutdown": None if self.shutdown_s is None else f"{self.shutdown_s:f}s",
            "--max-stalled": self.max_stalled,
            "--loop": self.loop,
            "--log-format": self.log_format,
            "--log-level": self.log_level,
        }
        given = {name: value for name, value in options.items() if value is not None}
        flags = ["--quiet-jobs"] if self.quiet_jobs else []
        return [self.target, *(f"{name}={value}" for name, value in given.items()), *flags]


def queue_list(value: str) -> Sequence[str] | Mapping[str, int]:
    """Return the queues of `a,b`, or the weights of `a=3,b=1`.

    Raises:
        BadParameter: It is neither.
    """
    names = [part.strip() for part in value.split(",") if part.strip()]
    weighted = [name.rpartition("=") for name in names]
    if not names:
        raise click.BadParameter("expected names, such as mail,reports or mail=3,reports=1.")
    if not any(separator for _, separator, _ in weighted):
        return names
    if not all(weight.isdecimal() and int(weight) >= 1 for _, _, weight in weighted):
        raise click.BadParameter(
            f"{value!r}: expected a weight from 1 for each queue, such as mail=3,reports=1, or for"
            " none."
        )
    return {name: int(weight) for name, _, weight in weighted}
