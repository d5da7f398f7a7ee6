"""The app of a Django project."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from toril.app import App
from toril.backends import RedisCredentials
from toril.contrib.django.conf import project_settings, says_url
from toril.contrib.django.starting import set_up
from toril.contrib.django.task import DjangoTask
from toril.core.clock import Clock
from toril.core.errors import InvalidSettingError
from toril.tasks.task import Task

if TYPE_CHECKING:
    from toril.outbox.database import OutboxDatabase
    from toril.testing.callers import Caller


class DjangoApp(App):
    """An app with the settings of a Django project, whose tasks are in `tasks.py` of its apps.

    They are imported when they are first needed: by a worker, `tasks()` or `find_task()`.
    """

    def __init__(
        self,
        url: str | object | None = None,
        *,
        tasks_module: str = "tasks",
        durability: Literal["full", "normal"] | None = None,
        clock: Clock | None = None,
        redis_credentials: RedisCredentials | None = None,
        outbox: str | object | None = None,
    ) -> None:
        """Make the app of this project. Nothing is imported or opened yet.

        Parameters:
            url: Where jobs live. Default: `TORIL_URL`, else `TORIL["URL"]` of the settings.
            tasks_module: The module of each app in INSTALLED_APPS that has tasks. A worker imports
                all of them.
            durability: As of `App`.
            clock: As of `App`.
            redis_credentials: As of `App`.
            outbox: The database whose rows workers relay, by its name in `DATABASES`; or as of
                `App`. Default: `TORIL_OUTBOX`, else `TORIL["OUTBOX"]` of the settings.

        Raises:
            InvalidSettingError: A setting makes no sense, or nothing says where jobs live.
        """
        settings = project_settings()
        if not url and not says_url():
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
            outbox=outbox,
        )

    def _discover(self) -> None:
        """Set Django up, unless it is, and import the tasks of the apps in INSTALLED_APPS."""
        from django.utils.module_loading import autodiscover_modules

        set_up()
        autodiscover_modules(self._tasks_module)

    def _open_outbox(self, place: object) -> OutboxDatabase:
        from django.conf import settings

        if isinstance(place, str) and place in settings.DATABASES:
            from toril.contrib.django.outbox_database import open_database

            set_up()
            return open_database(place)
        return super()._open_outbox(place)

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        return super()._add(DjangoTask.of(task))

    @property
    def _caller_in_tests(self) -> Callable[[], Caller]:
        """What `toril.testing` runs jobs with."""
        from toril.contrib.django.in_tests import DjangoThread

        return DjangoThread
