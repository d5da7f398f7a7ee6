"""`toril worker`: runs an app's jobs until it is told to stop.

One worker in this process, or with `--processes` (supervisor.py) and `--reload` (reload.py) this
command again in child processes. What its signals mean is `worker_signals.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import click

from toril.cli.codes import DONE, USAGE, RefusedError
from toril.cli.options import duration, url_option
from toril.cli.worker_arguments import Loop, WorkerArguments, queue_list


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option(
    "-c", "--concurrency", type=click.IntRange(min=1), help="Jobs at once. Default:"
    " TORIL_CONCURRENCY, else the profile's, else 10.",
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
    " stop. Default: TORIL_SHUTDOWN, else 25s; with --reload 5s.",
)  # fmt: skip
@click.option(
    "--max-stalled", type=click.IntRange(min=0), metavar="N", help="How often a job may lose its"
    " worker, once it was begun, before it fails. Default: TORIL_MAX_STALLED, else 1.",
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
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="debug also"
    " shows each start of a job. Default: TORIL_LOG_LEVEL, else info.",
)  # fmt: skip
@click.option(
    "--quiet-jobs", is_flag=True, help="No line for a job that went well; failures and retries are"
    " shown. For many jobs a second.",
)  # fmt: skip
@click.option("--lifeline-fd", type=int, hidden=True)
@click.option("--announce-fd", type=int, hidden=True)
@click.option("--url-fd", type=int, hidden=True)
def worker(
    target: str,
    concurrency: int | None,
    queues: Sequence[str] | Mapping[str, int] | None,
    profile: str | None,
    url: str | None,
    shutdown: float | None,
    max_stalled: int | None,
    processes: int,
    reload: bool,
    loop: Loop,
    log_format: Literal["text", "json"],
    log_level: str | None,
    quiet_jobs: bool,
    lifeline_fd: int | None,
    announce_fd: int | None,
    url_fd: int | None,
) -> int:
    """Run the jobs of an app.

    MODULE:APP is where it is: shop.tasks:app is the App called app in shop/tasks.py, looked for in
    the working directory first. A module alone means its only App, a package that of its module
    worker. Log lines go to stderr.

    \b
    SIGTERM, SIGINT  take no new jobs, let running ones end until --shutdown is
    or Ctrl-C        over, give back what is left; a second one gives back now,
                     a third leaves at once
    SIGUSR1          take no new jobs, go on with those that run
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    if url_fd is not None:
        from toril.cli.children import read_url

        url = read_url(url_fd)
    arguments = WorkerArguments(
        target=target,
        concurrency=concurrency,
        queues=queues,
        profile=profile,
        url=url,
        shutdown_s=shutdown,
        max_stalled=max_stalled,
        loop=loop,
        log_format=log_format,
        log_level=log_level,
        quiet_jobs=quiet_jobs,
    )
    if reload and processes > 1:
        raise click.UsageError("--reload and --processes do not go together: choose one.")
    if lifeline_fd is not None:
        from toril.engine.runners.lifeline import end_with_worker

        end_with_worker(lifeline_fd)
    kept = lifeline_fd is not None
    set_up_logs(arguments, with_pid=kept or processes > 1)
    if not kept:  # else the process above has said so
        from toril.cli.logs import warn_of_variables

        warn_of_variables()
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
    set_up(arguments.log_format, level, with_pid=with_pid, quiet_jobs=arguments.quiet_jobs)


def _work(arguments: WorkerArguments, announce_fd: int | None) -> int:
    """Run one worker in this process."""
    from toril.cli.signals import ignore_handled
    from toril.cli.target import load_app

    factory = loop_factory(arguments.loop)
    app = load_app(arguments.target)
    if arguments.url is not None:
        app.close_sync()  # in case the module has used it already, where it was
        app.url = arguments.url
    if arguments.queues is not None:
        _refuse_untasked(arguments, app)
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(_serve(arguments, app, announce_fd))
    finally:
        ignore_handled()


async def _serve(arguments: WorkerArguments, app: Any, announce_fd: int | None) -> int:
    from toril.cli.lifecycle import say_started, say_stopped
    from toril.cli.worker_signals import WorkerSignals

    async with app:
        worker = app.worker(
            queues=arguments.queues,
            concurrency=arguments.concurrency,
            profile=arguments.profile,
            shutdown=arguments.shutdown_s,
            max_stalled=arguments.max_stalled,
        )
        # Before anything else: it may die at any moment from here on.
        url = app.url if isinstance(app.url, str) else None
        tell = partial(_tell, announce_fd, worker.id, url, worker.options.shutdown_s)
        tell("starting")
        signals = WorkerSignals(worker)
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
        signals.done = True
        tell("done")
        say_stopped(worker)
    return DONE


def _tell(
    fd: int | None,
    worker_id: str,
    url: str | None,
    shutdown_s: float,
    stage: Literal["starting", "ready", "done"],
) -> None:
    """Tell the process that keeps this one, if any, how far it is."""
    from toril.cli.children import Announcement, announce

    if fd is not None:
        announce(fd, Announcement(worker_id, url, shutdown_s, stage))


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
            from toril.core.extras import how_to_install

            raise RefusedError(
                f"--loop uvloop: uvloop is not installed; {how_to_install('uvloop')}", USAGE
            ) from None
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _refuse_untasked(arguments: WorkerArguments, app: Any) -> None:
    """Refuse a queue without tasks: each of its jobs would wait for one, and fail in the end."""
    from toril.core.checks import unknown

    known = list(dict.fromkeys(task.queue for task in app.tasks()))
    for name in arguments.queues or ():
        if name not in known:
            raise RefusedError(
                f"--queues: {arguments.target} has no task on that queue: "
                + unknown("queue", name, known),
                USAGE,
            )
