"""What the tests of the command line share: a folder with an app in it, and `toril` run there."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.support.waiting import wait_until_sync

from toril import App, Job, JobInfo
from toril.cli.main import run

T = TypeVar("T")

PATIENCE_S = 60.0
"""The machine may be busy: nothing here is a measurement."""

SHOP = '''
import os
from pathlib import Path

from toril import App, Context, RetryPolicy

app = App()


@app.task(queue="mail")
async def send(to: str) -> str:
    return f"sent to {to}"


@app.task(queue="mail", retry=RetryPolicy(max_attempts=1))
async def broken(to: str) -> None:
    raise ValueError(f"nobody is called {to}")


@app.task(queue="slow", retry=RetryPolicy(max_attempts=1))
def hold(ctx: Context, until: str) -> int:
    """Run until there is a file of that name; log the process first."""
    ctx.log(f"pid {os.getpid()}")
    while not Path(until).exists():
        ctx.sleep(0.02)
    return os.getpid()
'''
"""The app that is in every test's folder."""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, decoded."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it printed, line by line, decoded."""
        return [json.loads(line) for line in self.out.splitlines()]


def _hear_ctrl_c() -> None:
    """A shell that runs the tests in the background ignores SIGINT, for its children too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A command that goes on."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._log = log

    @property
    def log(self) -> str:
        """What it has written to stdout and stderr so far."""
        return self._log.read_text()

    def says(self, text: str, times: int = 1) -> Running:
        """Wait until its output has a text."""
        wait_until_sync(
            lambda: self.log.count(text) >= times or self.process.poll() is not None,
            deadline_s=PATIENCE_S,
            what=f"{text!r} in:\n{self.log}",
        )
        assert self.log.count(text) >= times, self.log
        return self

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ends(self) -> int:
        """Wait for its end and return its exit code."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end; it says:\n{self.log}") from None


class Terminal:
    """`toril` in a folder of its own, that has `shop.py` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'toril.db'}"
        self.started: list[Running] = []
        (folder / "shop.py").write_text(SHOP)

    def environment(self, **more: str) -> dict[str, str]:
        """Return this process's environment without what changes the command line."""
        clean = {name: value for name, value in os.environ.items() if not _ours(name)}
        return clean | more

    def run(self, *words: str, stdin: str | None = None, **environment: str) -> Result:
        """Run a command as a process and wait for it."""
        done = subprocess.run(
            command(*words),
            cwd=self.folder,
            env=self.environment(**environment),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def here(self, *words: str) -> Result:
        """Run a command in this process: the same, sooner."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words)
        return Result(code, out.getvalue(), err.getvalue())

    def start(self, *words: str, **environment: str) -> Running:
        """Start a command and let it go on."""
        log = self.folder / f"log-{len(self.started)}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command(*words),
                cwd=self.folder,
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # As under a service manager: a signal reaches this process and no other.
                start_new_session=True,
                preexec_fn=_hear_ctrl_c,
            )
        self.started.append(Running(process, log))
        return self.started[-1]

    def worker(self, *words: str) -> Running:
        """Start a worker of the shop, and wait until it is at work."""
        return self.start("worker", "shop:app", *words).says("started: Toril")

    def ask(self, action: Callable[[App], Awaitable[T]]) -> T:
        """Do something with the store."""

        async def whole() -> T:
            async with App(self.url) as app:
                return await action(app)

        return asyncio.run(whole())

    def add(self, queue: str, name: str, data: Any = None, **options: Any) -> str:
        """Add a job and return its id."""
        from toril import JobOptions

        async def add(app: App) -> Job[Any]:
            return await app.queue(queue).add(name, data, JobOptions(**options))

        return self.ask(add).id

    def info(self, queue: str, job_id: str) -> JobInfo:
        """Return what is known of a job."""

        def ask(app: App) -> Coroutine[Any, Any, JobInfo]:
            return app.queue(queue).job(job_id).info()

        return self.ask(ask)

    def state(self, queue: str, job_id: str) -> str:
        """Return where a job is."""
        return str(self.info(queue, job_id).state)

    def until_state(self, queue: str, job_id: str, state: str) -> None:
        """Wait until a job is there."""
        wait_until_sync(
            lambda: self.state(queue, job_id) == state,
            deadline_s=PATIENCE_S,
            what=f"{state} of job {job_id} of {queue}",
        )

    def hold(self, until: str = "go") -> str:
        """Add a job that runs until there is a file of that name, and wait until it runs."""
        job_id = self.add("slow", "hold", {"until": until})
        # Its own word for it: the store knows of a claim a little before the worker does.
        wait_until_sync(
            lambda: self.ask(lambda app: app.queue("slow").job(job_id).logs()),
            deadline_s=PATIENCE_S,
            what="a running job",
        )
        return job_id

    def work_off(self) -> None:
        """Run all jobs of the mail queue in this process."""

        async def work(app: App) -> None:
            @app.task(queue="mail")
            async def send(to: str) -> str:
                return f"sent to {to}"

            from toril import RetryPolicy

            @app.task(queue="mail", retry=RetryPolicy(max_attempts=1))
            async def broken(to: str) -> None:
                raise ValueError(f"nobody is called {to}")

            worker = app.worker(queues=["mail"])
            working = asyncio.create_task(worker.run())
            until = asyncio.get_running_loop().time() + PATIENCE_S
            while True:
                info = await app.queue("mail").info()
                if info is None or not (info.waiting or info.prioritized or info.active):
                    break
                assert asyncio.get_running_loop().time() < until
                await asyncio.sleep(0.002)
            worker.stop()
            await working

        self.ask(work)

    def end_all(self) -> None:
        """Kill whatever still runs."""
        for each in self.started:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()


def command(*words: str) -> list[str]:
    """Return the command line of a process."""
    return [sys.executable, "-m", "toril", *words]


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _ours(name: str) -> bool:
    return name.startswith(("TORIL_", "MEDIA_")) or name in (
        "WORKER_TYPE",
        "NO_COLOR",
        "COLUMNS",
        "TERM",
    )


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`toril` in a folder of its own."""
    for name in list(os.environ):
        if _ours(name):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    made = Terminal(tmp_path)
    with _logging_restored():
        yield made
    made.end_all()


@contextlib.contextmanager
def _logging_restored() -> Iterator[None]:
    """Undo what a command that ran in this process has set up."""
    loggers = [logging.getLogger(), logging.getLogger("toril"), logging.getLogger("watchfiles")]
    before = [(each, list(each.handlers), each.propagate, each.level) for each in loggers]
    yield
    for each, handlers, propagate, level in before:
        each.handlers[:] = handlers
        each.propagate = propagate
        each.setLevel(level)
