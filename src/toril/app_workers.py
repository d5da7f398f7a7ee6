"""What an app makes to work its queues: workers, and claims for code with a loop of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from toril.core.durations import seconds
from toril.engine.middleware import Middleware
from toril.engine.options import RateLimit, RetryPolicy
from toril.engine.profiles import Profile
from toril.engine.runners.processes import ProcessOptions
from toril.engine.tracing import Tracer
from toril.engine.worker_options import WorkerOptions
from toril.store_fallback import StoreFallback
from toril.tasks.any_task import task_of_any_name
from toril.tasks.life_cycle import AppLifeCycle
from toril.tasks.schedules import Scheduled, code_of
from toril.worker_options import refuse_while_main_is_imported, worker_options

if TYPE_CHECKING:
    from toril.alerts.setup import AlertSetup
    from toril.engine.claims import Claims
    from toril.engine.life_cycle import LifeCycle
    from toril.engine.worker import Worker
    from toril.fallback.local_work import LocalWork
    from toril.fallback.store import FallbackStore

NEVER_STALE_S = 10 * 365 * 24 * 3600.0
"""A worker with a spool beside it need not end while Redis is away."""


class WorkerMaker(StoreFallback):
    """The calls of `App` that make workers and claims. What they are made of, `App` sets."""

    version: str | None
    _unknown_tasks: Literal["wait", "fail"]
    _unknown_task_patience_s: float
    _scheduled: dict[tuple[str, str], Scheduled]
    _middleware: list[Middleware]
    _life_cycle: AppLifeCycle
    _tracer: Tracer | None
    _alert_setup: AlertSetup | None

    def worker(
        self,
        *,
        queues: Sequence[str] | Mapping[str, int] | None = None,
        concurrency: int | None = None,
        profile: Profile | str | None = None,
        lease: float | timedelta | None = None,
        max_stalled: int | None = None,
        sweep: float | timedelta | None = None,
        shutdown: float | timedelta | None = None,
        stale_after: float | timedelta = 60.0,
        rate: RateLimit | None = None,
        processes: ProcessOptions | None = None,
    ) -> Worker:
        """Return a worker; `await worker.run()` works until it is stopped.

        Parameters:
            queues: Which, in the order in which they are asked; or a mapping to weights, which are
                shares of the slots. Default: all queues that have tasks.
            concurrency: Jobs at once. Default: the settings', else the profile's, else 10.
            profile: Only the queues of this profile, with its figures.
            lease: How long a claim holds without renewal. Default: the profile's, else 30 s.
            max_stalled: How often a job may lose its worker, in one attempt that was begun, before
                it is failed. Default: the settings', else 1.
            sweep: Longest time between two looks for jobs of dead workers. Default: the profile's,
                else 30 s.
            shutdown: How long `stop()` lets jobs go on. Default: the settings', else 25 s.
            stale_after: If the store does not answer for so long, the worker ends with its error.
            rate: At most so many starts in a window, per queue, over all workers with a limit.
            processes: How child processes are recycled.

        Raises:
            InvalidOptionError: An option makes no sense, there is no queue to work on, or a task of
                them is for a process and this program can have none.
            SealedFieldError: A task of them has sealed fields, and there is no key.
        """
        # Here: commands and producers, which have no worker, start sooner without its parts.
        from toril.engine.worker import Worker

        refuse_while_main_is_imported()
        self._discover()
        options = worker_options(
            self._registry,
            self.settings,
            queues=queues,
            concurrency=concurrency,
            profile=profile,
            lease=lease,
            max_stalled=max_stalled,
            sweep=sweep,
            shutdown=shutdown,
            stale_after=stale_after,
            rate=rate,
            processes=processes,
            unknown_tasks=self._unknown_tasks,
            unknown_task_patience_s=self._unknown_task_patience_s,
        )
        for task in self._registry:
            if task.seals is not None and task.queue in options.queues:
                task.seals.ring()  # a worker without a key would fail each of its jobs
        if not self._life_cycle.is_empty and any(
            task.run_in == "process" and task.queue in options.queues for task in self._registry
        ):
            self._registry.life_cycle_for_children()  # refuse now what cannot be found later
        # Middleware may add fields on purpose, for itself.
        reports = not self._enqueue_middleware
        for task in self._registry:
            task.signature.reports = reports
        backend, beside = self.backend(), None
        if self._joined is not None:
            backend, beside = self._joined.primary, self._work_beside(self._joined, options)
            options = replace(options, stale_after_s=NEVER_STALE_S)
        return Worker(
            backend,
            self._registry,
            options,
            hooks=self._hooks,
            middleware=self._middleware,
            enqueue_middleware=self._enqueue_middleware,
            declarations=[
                scheduled.declaration(self.settings.timezone)
                for scheduled in self._scheduled.values()
            ],
            code=frozenset(map(code_of, self._registry)),
            timezone=self.settings.timezone,
            version=self.version,
            life_cycle=None if self._life_cycle.is_empty else self._life_cycle,
            operations=self._producer.operations,
            tracer=self._tracer,
            companions=self._companions(),
            beside=beside,
        )

    def _spool_worker(
        self, store: FallbackStore, options: WorkerOptions, *, life_cycle: LifeCycle | None
    ) -> Worker:
        """Return a worker of the spool."""
        from toril.engine.worker import Worker

        return Worker(
            store.local,
            self._registry,
            options,
            hooks=self._hooks,
            middleware=self._middleware,
            enqueue_middleware=self._enqueue_middleware,
            timezone=self.settings.timezone,
            version=self.version,
            life_cycle=life_cycle,
            operations=self._producer.operations,
            tracer=self._tracer,
        )

    def _work_beside(self, store: FallbackStore, options: WorkerOptions) -> LocalWork | None:
        """Return what works the spool beside a worker of Redis, with the options of that."""
        from toril.fallback.local_work import LocalWork

        if not store.options.work:
            return None
        return LocalWork(
            store.breaker,
            lambda: self._spool_worker(store, options, life_cycle=None),
            counted=store.keeper,
        )

    def _work_alone(self, store: FallbackStore) -> LocalWork | None:
        from toril.fallback.local_work import LocalWork

        self._discover()
        if not any(True for _ in self._registry):
            return None
        options = worker_options(
            self._registry,
            self.settings,
            queues=None,
            concurrency=store.options.concurrency,
            profile="all",
            lease=None,
            max_stalled=None,
            sweep=None,
            shutdown=None,
            stale_after=60.0,
            rate=None,
            processes=None,
            unknown_tasks=self._unknown_tasks,
            unknown_task_patience_s=self._unknown_task_patience_s,
        )
        life_cycle = None if self._life_cycle.is_empty else self._life_cycle
        return LocalWork(
            store.breaker, lambda: self._spool_worker(store, options, life_cycle=life_cycle)
        )

    def _companions(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return what runs beside the jobs of a worker."""
        companions: list[Callable[[], Coroutine[Any, Any, None]]] = []
        if self._alert_setup is not None:
            companions.append(self._alert_setup.watch().run)
        if self._outbox_place is not None:
            companions.append(self.outbox.relay)
        return companions

    def claims(
        self,
        *queues: str,
        concurrency: int = 100,
        lease: float | timedelta = 30.0,
        renews: bool = True,
        retry: RetryPolicy | None = None,
        max_stalled: int | None = None,
        sweep: float | timedelta = 30.0,
        patience: float | timedelta = 60.0,
        rate: RateLimit | None = None,
    ) -> Claims:
        """Return claims of jobs for code that brings its own loop, in place of a worker.

        ```python
        async with app.claims("mail") as claims:
            job = await claims.claim(wait=10)
        ```

        Parameters:
            queues: Which, in the order in which they are asked.
            concurrency: Jobs that may be held at once.
            lease: How long a claim holds without renewal.
            renews: A thread renews the leases of all jobs that are held. Otherwise `job.renew()`
                does it, or a job goes to somebody else when its lease ends.
            retry: For jobs whose task this app does not have. Default: as of a task that does not
                say. What a job itself says goes before.
            max_stalled: As of a worker.
            sweep: As of a worker.
            patience: How long a call waits for a store that does not answer to take an outcome.
            rate: As of a worker.

        Raises:
            InvalidOptionError: An option makes no sense, or no queue is named.
        """
        from toril.engine.claim_holder import ClaimSetup
        from toril.engine.claims import Claims

        options = WorkerOptions(
            queues=list(dict.fromkeys(queues)),
            concurrency=concurrency,
            lease_s=seconds(lease, "lease"),
            max_stalled=self.settings.max_stalled if max_stalled is None else max_stalled,
            sweep_s=seconds(sweep, "sweep"),
            stale_after_s=seconds(patience, "patience"),
            rate=rate,
        )
        setup = ClaimSetup(
            handlers=self._registry,
            otherwise=task_of_any_name(queues[0], retry or RetryPolicy()),
            options=options,
            renews=renews,
            run_sync=self._producer.run_sync,
            hooks=self._hooks,
            enqueue_middleware=self._enqueue_middleware,
            timezone=self.settings.timezone,
            tracer=self._tracer,
        )
        return Claims(self.backend, setup)

    def _discover(self) -> None:
        """Import what has tasks, in a framework that says where these are. Called often."""
