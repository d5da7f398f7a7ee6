"""The app of a Django project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from toril.app import App
from toril.backends import RedisCredentials
from toril.contrib.django.conf import project_settings, says_url
from toril.contrib.django.starting import set_up
from toril.contrib.django.task import DjangoTask
from toril.core.clock import Clock
from toril.core.errors import InvalidSettingError
from toril.engine.options import RateLimit
from toril.engine.profiles import Profile
from toril.engine.runners.processes import ProcessOptions
from toril.engine.worker import Worker
from toril.tasks.task import Task

if TYPE_CHECKING:
    from toril.testing.callers import Caller

P = ParamSpec("P")
R = TypeVar("R")


class DjangoApp(App):
    """An app with the settings of a Django project, whose tasks are in `tasks.py` of its apps."""

    def __init__(
        self,
        url: str | object | None = None,
        *,
        tasks_module: str = "tasks",
        durability: Literal["full", "normal"] | None = None,
        clock: Clock | None = None,
        redis_credentials: RedisCredentials | None = None,
    ) -> None:
        """Make the app of this project. Nothing is imported or opened yet.

        Parameters:
            url: Where jobs live. Default: `TORIL_URL`, else `TORIL["URL"]` of the settings.
            tasks_module: The module of each app in INSTALLED_APPS that has tasks. A worker imports
                all of them.
            durability: As of `App`.
            clock: As of `App`.
            redis_credentials: As of `App`.

        Raises:
            InvalidSettingError: A setting makes no sense, or nothing says where jobs live.
        """
        settings = project_settings()
        if not url and not says_url(settings):
            raise InvalidSettingError(
                "TORIL has no 'URL': say in the settings where jobs live, such as"
                " f\"sqlite:///{BASE_DIR / 'jobs.db'}\""
            )
        self._tasks_module = tasks_module
        super().__init__(
            url,
            durability=durability,
            clock=clock,
            settings=settings,
            redis_credentials=redis_credentials,
        )

    def tasks(self) -> list[Task[Any, Any]]:
        """Return the tasks of all apps of the project, imported now at the latest."""
        self.discover()
        return super().tasks()

    def find_task(self, name: str, queue: str | None = None) -> Task[Any, Any]:
        """Return the task of a name (and queue); errors as of `App`."""
        self.discover()
        return super().find_task(name, queue)

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
        """Return a worker that knows the tasks of all apps of the project; as of `App`."""
        self.discover()
        return super().worker(
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
        )

    def discover(self) -> None:
        """Set Django up, unless it is, and import the tasks of the apps in INSTALLED_APPS.

        Raises:
            Exception: What a module raises when it is imported.
        """
        from django.utils.module_loading import autodiscover_modules

        set_up()
        autodiscover_modules(self._tasks_module)

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        return super()._add(DjangoTask.of(task))

    @property
    def _caller_in_tests(self) -> Callable[[], Caller]:
        """What `toril.testing` runs jobs with."""
        from toril.contrib.django.in_tests import DjangoThread

        return DjangoThread
