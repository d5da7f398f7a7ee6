"""`toril worker`: runs an app's jobs until it is told to stop.

One worker in this process, or with `--processes` (supervisor.py) and `--reload` (reload.py) this
command again in child processes. What its signals mean is `Signals`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, Literal

import click

from toril.cli.codes import DONE, ERROR, USAGE, RefusedError
from toril.cli.options import duration, url_option

log = logging.getLogger("toril.cli")

Loop = Literal["auto", "asyncio", "uvloop"]

RELOAD_SHUTDOWN_S = 5.0
"""With `--reload`: how long a change lets running jobs go on, unless `--shutdown` says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerArguments:
    """What follows `toril worker`, checked; children get the same."""

    target: str
    concurrency: int | None
    queues: Sequence[str] | Mapping[str, int] | None
    profile: str | None
    url: str | None
    shutdown_s: float | None
    loop: Loop
    log_format: Literal["text", "json"]
    log_level: str | None

    def words(self) -> list[str]:
        """Return them as words of a command line."""
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
            "--url": self.url,
            "--shutdown": None if self.shutdown_s is None else f"{self.shutdown_s:f}s",
            "--loop": self.loop,
            "--log-format": self.log_format,
            "--log-level": self.log_level,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return [self.target, *(f"{name}={value}" for name, value in given.items())]


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


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option(
    "-c", "--concurrency", type=click.IntRange(min=1), help="Jobs at once. Default: the profile's,"
    " else 10.",
)  # fmt: skip
@click.option(
    "-q", "--queues", type=queue_list, metavar="A,B|A=3,B=1", help="Which, in the order in which"
    " they are asked; with numbers: their shares. Default: all that have tasks.",
)  # fmt: skip
@click.option(
    "--profile", type=click.Choice(["light", "medium", "heavy", "all"]), help="Only the queues of"
    " this profile, with its figures. Default: TORIL_PROFILE, else all.",
)  # fmt: skip
@url_option
@click.option(
    "--shutdown", type=duration, metavar="TIME", help="How long what runs may go on when told to"
    " stop. Default: 25s, with --reload 5s.",
)  # fmt: skip
@click.option(
    "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Worker"
    " processes; what dies is restarted. Each takes --concurrency jobs at once.",
)  # fmt: skip
@click.option("--reload", is_flag=True, help="For development: restart when a .py file changes.")
@click.option(
    "--loop", type=click.Choice(["auto", "asyncio", "uvloop"]), default="auto", show_default=True,
    help="auto: uvloop where it is installed.",
)  # fmt: skip
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="debug shows each"
    " job. Default: TORIL_LOG_LEVEL, else info.",
)  # fmt: skip
@click.option("--lifeline-fd", type=int, hidden=True)
@click.option("--announce-fd", type=int, hidden=True)
def worker(
    target: str,
    concurrency: int | None,
    queues: Sequence[str] | Mapping[str, int] | None,
    profile: str | None,
    url: str | None,
    shutdown: float | None,
    processes: int,
    reload: bool,
    loop: Loop,
    log_format: Literal["text", "json"],
    log_level: str | None,
    lifeline_fd: int | None,
    announce_fd: int | None,
) -> int:
    """Run the jobs of an app.

    MODULE:APP is where it is: shop.tasks:app is the App called app in shop/tasks.py, looked for in
    the working directory first. Log lines go to stderr.

    \b
    SIGTERM, SIGINT  take no new jobs, let running ones end until --shutdown is
    or Ctrl-C        over, give back what is left; a second one gives back now,
                     a third leaves at once
    SIGUSR1          take no new jobs, go on with those that run
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    arguments = WorkerArguments(
        target=target,
        concurrency=concurrency,
        queues=queues,
        profile=profile,
        url=url,
        shutdown_s=shutdown,
        loop=loop,
        log_format=log_format,
        log_level=log_level,
    )
    if reload and processes > 1:
        raise click.UsageError("--reload and --processes do not go together: choose one.")
    if lifeline_fd is not None:
        from toril.engine.runners.lifeline import end_with_worker

        end_with_worker(lifeline_fd)
    kept = lifeline_fd is not None
    set_up_logs(arguments, with_pid=kept or processes > 1)
    if processes > 1:
        from toril.cli.supervisor import supervise

        return supervise(arguments, processes)
    if reload:
        from toril.cli.reload import keep_reloading

        return keep_reloading(arguments)
    return _work(arguments, announce_fd)


def set_up_logs(arguments: WorkerArguments, *, with_pid: bool) -> None:
    """Send log lines to stderr, as the arguments or the settings say."""
    from toril.cli.logs import set_up
    from toril.settings import Settings

    level = arguments.log_level or Settings.load().log_level
    set_up(arguments.log_format, level, with_pid=with_pid)


def _work(arguments: WorkerArguments, announce_fd: int | None) -> int:
    """Run one worker in this process."""
    from toril.cli.lifecycle import listen
    from toril.cli.target import load_app

    factory = loop_factory(arguments.loop)
    app = load_app(arguments.target)
    if arguments.url is not None:
        app.close_sync()  # in case the module has used it already, where it was
        app.url = arguments.url
    if arguments.queues is not None:
        _refuse_untasked(arguments, app)
    listen(app)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_serve(arguments, app, announce_fd))


async def _serve(arguments: WorkerArguments, app: Any, announce_fd: int | None) -> int:
    from toril.cli.lifecycle import say_started, say_stopped

    async with app:
        worker = app.worker(
            queues=arguments.queues,
            concurrency=arguments.concurrency,
            profile=arguments.profile,
            shutdown=arguments.shutdown_s,
        )
        # Before anything else: it may die at any moment from here on.
        tell = partial(_tell, announce_fd, worker.id, app.url, worker.options.shutdown_s)
        tell("starting")
        signals = Signals(worker)
        signals.install()
        running = asyncio.ensure_future(worker.run())
        ready = asyncio.ensure_future(worker.ready())
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            kind = type(asyncio.get_running_loop()).__module__.partition(".")[0]
            say_started(app, worker, loop=kind)
            tell("ready")
        ready.cancel()
        await running
        tell("done")
        say_stopped(worker)
    return DONE


def _tell(
    fd: int | None,
    worker_id: str,
    url: str,
    shutdown_s: float,
    stage: Literal["starting", "ready", "done"],
) -> None:
    """Tell the process that keeps this one, if any, how far it is."""
    from toril.cli.children import Announcement, announce

    if fd is not None:
        announce(fd, Announcement(worker_id, url, shutdown_s, stage))


class Signals:
    """What a worker's signals mean.

    Plain signal handlers, not the loop's: these run also while a task blocks the loop, so that a
    third signal always gets through.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._stops = 0

    def install(self) -> None:
        """Take SIGTERM, SIGINT, SIGUSR1, and SIGHUP unless it is ignored (nohup)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._stop)
        signal.signal(signal.SIGUSR1, self._quiet)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._stops += 1
        if self._stops > 2:
            # Whatever runs is taken back by the next worker, once this one is silent.
            os._exit(ERROR)
        self._soon(self._stop_worker, signal.Signals(number).name, self._stops > 1)

    def _stop_worker(self, name: str, now: bool) -> None:
        from toril.cli.lifecycle import say_stopping

        say_stopping(self._worker, name, now=now)
        self._worker.stop()

    def _quiet(self, _number: int, _frame: FrameType | None) -> None:
        self._soon(self._quiet_worker)

    def _quiet_worker(self) -> None:
        from toril.cli.lifecycle import say_quiet

        self._worker.quiet()
        say_quiet(self._worker)

    def _soon(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


def loop_factory(loop: Loop) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop; None for asyncio's own.

    Raises:
        RefusedError: uvloop was asked for and is not installed.
    """
    if loop == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if loop == "uvloop":
            raise RefusedError(
                "--loop uvloop: uvloop is not installed; pip install 'toril[uvloop]'", USAGE
            ) from None
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _refuse_untasked(arguments: WorkerArguments, app: Any) -> None:
    """Refuse a queue without tasks: each of its jobs would fail, for want of one."""
    from toril.core.checks import unknown

    known = list(dict.fromkeys(task.queue for task in app.tasks()))
    for name in arguments.queues or ():
        if name not in known:
            raise RefusedError(
                f"--queues: {arguments.target} has no task on that queue: "
                + unknown("queue", name, known),
                USAGE,
            )
