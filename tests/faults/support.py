"""What the faults share: processes on one file, what they did, and what the store says of it."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.support.contract import check_counts
from tests.support.lifelines import dies_with_us
from tests.support.waiting import DEADLINE_S, wait_until

from toril import App, EventRecord, Job, JobOptions

FULL = os.environ.get("TORIL_FAULTS") == "full"
"""The long form: `make faults`."""
ROOT = Path(__file__).parents[2]
PROGRAMS = "tests.faults.programs"
START_S = 60.0
"""How long an interpreter may take to start on a busy machine."""
TASKS = {"loop": "mark_on_loop", "thread": "mark_in_thread", "process": "mark_in_process"}
"""The tasks that leave a mark, by queue."""

_numbers = itertools.count(1)


class Program:
    """A Python process of ours. Its output goes to files: it waits for no reader."""

    def __init__(
        self, module: str, arguments: Iterable[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.label = f"{module.rpartition('.')[2]}-{next(_numbers)}"
        self._out, self._err = folder / f"{self.label}.out", folder / f"{self.label}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*dies_with_us(), sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=out,
                stderr=err,
            )

    @property
    def lines(self) -> list[str]:
        """Return the whole lines that it has printed."""
        text = self._out.read_text()
        return text[: text.rfind("\n") + 1].splitlines()

    @property
    def errors(self) -> str:
        """Return what it has written to stderr."""
        return self._err.read_text()

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would, and reap it."""
        self.process.kill()
        self.process.wait()

    async def ended(self, *, deadline_s: float) -> int:
        """Wait for its end and return its exit code; negative: the signal."""
        await wait_until(
            lambda: not self.is_alive, deadline_s=deadline_s, what=f"the end of {self.label}"
        )
        return self.process.returncode


class WorkerProgram(Program):
    """`programs/worker.py`."""

    async def ready(self) -> str:
        """Wait until it is at work and return its worker's id."""
        await wait_until(
            lambda: self.lines or not self.is_alive,
            deadline_s=START_S,
            what=f"{self.label} to be ready",
        )
        assert self.lines, self.errors
        return self.lines[0].removeprefix("ready ")

    def told(self, word: str) -> list[str]:
        """Return what the hooks of one name said."""
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{word} ")]


P = TypeVar("P", bound=Program)


@dataclass
class Stage:
    """One store, the processes that use it, and this process's own app on it."""

    folder: Path
    store: Path
    app: App
    environment: dict[str, str]
    programs: list[Program] = field(default_factory=list)
    seen: dict[str, list[EventRecord]] = field(default_factory=dict)
    """Events by queue, as far as they were read."""

    @property
    def calendar(self) -> Path:
        """The file that moves the calendar of all programs."""
        return Path(self.environment["FAULTS_CALENDAR"])

    @property
    def marks(self) -> Counter[str]:
        """How often each job has left its mark: the side effects, by `queue/id`."""
        file = Path(self.environment["FAULTS_MARKS"])
        return Counter(file.read_text().splitlines() if file.exists() else ())

    def worker(self, **options: Any) -> WorkerProgram:
        """Start a worker process; `options` are those of `app.worker`."""
        return self._start(WorkerProgram, f"{PROGRAMS}.worker", json.dumps(options))

    def command(self, *arguments: str) -> Program:
        """Start `toril` with these arguments."""
        return self._start(Program, "toril", *arguments)

    def producer(self, many: int, *, together: int, queues: Iterable[str], **more: int) -> Program:
        """Start a producer process; see `programs/producer.py`."""
        options = {"many": many, "together": together, "queues": list(queues), **more}
        return self.start("producer", json.dumps(options))

    def start(self, name: str, *arguments: str) -> Program:
        """Start another program."""
        return self._start(Program, f"{PROGRAMS}.{name}", *arguments)

    async def add(self, queue: str, name: str, /, **payload: Any) -> Job[Any]:
        """Add a job that may be tried once."""
        return await self.app.queue(queue).add(name, payload)

    async def add_marking(self, shares: Mapping[str, int], duration_s: float) -> set[str]:
        """Add so many jobs to each queue, each of up to `duration_s` seconds; return their keys."""
        options = JobOptions(max_attempts=20, backoff="fixed", backoff_s=0.05)
        keys: set[str] = set()
        for queue, many in shares.items():
            durations_s = [round(random.uniform(0, duration_s), 4) for _ in range(many)]
            payloads = [(TASKS[queue], {"duration_s": one}) for one in durations_s]
            added = await self.app.queue(queue).add_many(payloads, options)
            keys |= {f"{queue}/{job.id}" for job in added}
        return keys

    async def until_active(self, many: int) -> None:
        """Wait until exactly so many jobs run."""

        async def active() -> bool:
            return await self.figure("active") == many

        await wait_until(active, deadline_s=START_S, what=f"{many} jobs to run")

    async def figure(self, name: str) -> int:
        """Return one of `QueueInfo`'s figures, summed over all queues."""
        return sum(getattr(queue, name) for queue in await self.app.queues())

    async def until_done(self, many: int, *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until so many jobs have completed or failed."""

        async def done() -> bool:
            found = await self.figure("completed_total") + await self.figure("failed_total")
            return found >= many

        try:
            await wait_until(done, deadline_s=deadline_s, what=f"{many} jobs to be done")
        except AssertionError as error:
            errors = "\n".join(f"{one.label}: {one.errors[-2000:]}" for one in self.programs)
            raise AssertionError(f"{error}; {await self.app.queues()}\n{errors}") from None

    async def events(self, queue: str) -> list[EventRecord]:
        """Return all events of a queue so far.

        A queue keeps its newest 10,000: where there are more, this is called before they go.
        """
        found = self.seen.setdefault(queue, [])
        # Once more the last one that is known: it is still there, so none after it was dropped.
        last = found[-1:]
        after = last[0].position - 1 if last else 0
        new = self.app.queue(queue).events(after=after, until_idle=True)
        events = [event async for event in new]
        assert events[: len(last)] == last
        found += events[len(last) :]
        positions = [event.position for event in found]
        assert positions == sorted(set(positions))
        return found

    async def told(self, name: str, queues: Iterable[str] = TASKS) -> Counter[str]:
        """Return how many events of a name each job has, by key."""
        found = [
            f"{queue}/{event.job_id}"
            for queue in queues
            for event in await self.events(queue)
            if event.name == name
        ]
        return Counter(found)

    async def check_each_done_once(
        self, keys: Iterable[str], queues: Iterable[str] = TASKS
    ) -> None:
        """Assert that every job was completed exactly once, whatever happened to its workers."""
        queues = list(queues)
        wanted = Counter(dict.fromkeys(keys, 1))
        completed = await self.told("completed", queues)
        assert not (lost := wanted - completed), f"{len(lost)} lost: {sorted(lost)[:5]}"
        assert not (extra := completed - wanted), f"completed twice: {extra}"
        assert not await self.told("failed", queues)
        assert set(self.marks) == set(wanted), "a job completed without its side effect"
        await self.check_store()

    async def check_store(self) -> None:
        """Assert that the figures are what is there, and that the file is whole."""
        await check_counts(self.app.backend())
        health = await self.app.check()
        assert health.ok, health.findings
        assert await self.figure("active") == 0

    async def close(self) -> None:
        """End everything."""
        for program in self.programs:
            if program.is_alive:
                program.kill()
        await self.app.close()

    def _start(self, kind: type[P], module: str, *arguments: str) -> P:
        program = kind(module, arguments, self.folder, self.environment)
        self.programs.append(program)
        return program


def open_stage(folder: Path, store: Path | None = None, *, url: str | None = None) -> Stage:
    """Return a stage in `folder`; the store may be elsewhere, or on a server at `url`."""
    store = store or folder / "jobs.db"
    environment = {
        "TORIL_URL": url or f"sqlite:///{store}",
        "FAULTS_MARKS": str(folder / "marks"),
    }
    if url is None:  # a server goes by its own calendar
        environment["FAULTS_CALENDAR"] = str(folder / "calendar")
    url = environment["TORIL_URL"]
    return Stage(folder, store, App(url), environment)


Say = Callable[[str], None]
"""Prints a figure for who runs the tests to see."""
