"""Puts the options of a worker together: from arguments, settings and profile.

Opens no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from toril.core.checks import unknown
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.engine.options import RateLimit
from toril.engine.profiles import Profile
from toril.engine.runners.interpreter import NoChildError, check_target
from toril.engine.runners.processes import ProcessOptions
from toril.engine.runners.references import MAIN
from toril.engine.worker_options import WorkerOptions
from toril.settings import Settings
from toril.tasks.registry import Registry
from toril.tasks.task import Task


def worker_options(
    registry: Registry,
    settings: Settings,
    *,
    queues: Sequence[str] | Mapping[str, int] | None,
    concurrency: int | None,
    profile: Profile | str | None,
    lease: float | timedelta | None,
    max_stalled: int | None,
    sweep: float | timedelta | None,
    shutdown: float | timedelta | None,
    stale_after: float | timedelta,
    rate: RateLimit | None,
    processes: ProcessOptions | None,
    unknown_tasks: Literal["wait", "fail"],
    unknown_task_patience_s: float,
) -> WorkerOptions:
    """Return the options of a worker; parameters and errors as `App.worker`."""
    if isinstance(queues, str):
        raise InvalidOptionError(f"queues={queues!r}: expected a list, [{queues!r}]")
    chosen = settings.profile if profile is None else _profile(profile)
    figures = (chosen or Profile.MEDIUM).settings
    weights = dict(queues) if isinstance(queues, Mapping) else None
    names: Iterable[str] = registry.queues(chosen) if queues is None else queues
    names = list(dict.fromkeys(names))
    if not names:
        raise InvalidOptionError(_no_task(queues, chosen, has_tasks=any(True for _ in registry)))
    for task in registry:
        if task.run_in == "process" and task.queue in names:
            _check_process(task)
    if concurrency is None:
        concurrency = settings.concurrency or figures.concurrency
    default_lease_s = 30.0 if chosen is None else figures.lease_s
    shutdown_s = settings.shutdown_s if shutdown is None else seconds(shutdown, "shutdown")
    return WorkerOptions(
        queues=names,
        weights=weights,
        concurrency=concurrency,
        lease_s=default_lease_s if lease is None else seconds(lease, "lease"),
        max_stalled=settings.max_stalled if max_stalled is None else max_stalled,
        sweep_s=figures.sweep_s if sweep is None else seconds(sweep, "sweep"),
        shutdown_s=shutdown_s,
        stale_after_s=seconds(stale_after, "stale_after"),
        rate=rate,
        rates=registry.rates(names),
        at_once=registry.at_once(names),
        processes=processes or ProcessOptions(),
        unknown_tasks=unknown_tasks,
        unknown_task_patience_s=unknown_task_patience_s,
    )


def _no_task(queues: object, chosen: Profile | None, *, has_tasks: bool) -> str:
    if queues is not None:
        return f"queues={queues!r}: expected at least one; None stands for all that have tasks"
    if has_tasks:
        return f"the app has no task with the profile {str(chosen)!r}; name queues, or another one"
    return (
        "the app has no task: the modules that define tasks have to be imported before a worker is"
        " made, such as where the app is; or name queues"
    )


def refuse_while_main_is_imported() -> None:
    """Keep a script that has no guard from running once more in each of its child processes.

    Raises:
        InvalidOptionError: A child process imports the main script at this moment.
    """
    if MAIN.loading:
        raise InvalidOptionError(
            "a child process imports the main script to find its task, and the script goes to work"
            ' again: put what it does under if __name__ == "__main__":'
        )


def _check_process(task: Task[Any, Any]) -> None:
    """Refuse a task that no child process of this program could run."""
    try:
        check_target(task.target())
    except NoChildError as error:
        raise InvalidOptionError(f"task {task.name!r}: {error}") from None


def _profile(profile: Profile | str) -> Profile | None:
    words = [*Profile, "all"]
    if profile not in words:
        raise InvalidOptionError(f"profile={str(profile)!r}: {unknown('profile', profile, words)}")
    return None if profile == "all" else Profile(profile)
