"""What an app starts before the first job of a process, and stops after the last.

```python
@app.on_start
async def connect() -> Pool: ...          # what it returns is provided by its type

@app.on_stop
async def disconnect(pool: Pool = provided(Pool)) -> None: ...
```

Or both in one, an asynchronous context manager: `App(lifespan=...)`. All of it runs in one task of
the event loop, since a context manager may have to be left by the task that entered it.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, get_type_hints

from toril.core.durations import in_words
from toril.core.errors import InvalidOptionError, WorkerStartError
from toril.core.loggers import logger
from toril.engine.judging import describe
from toril.engine.life_cycle import InChildren
from toril.engine.runners.references import MAIN_NAMES
from toril.tasks.inject import Provided, Provisions

log = logger("toril.worker")

STOP_TIMEOUT_S = 5.0
CANCEL_S = 1.0
"""How long what did not stop in time has to end once it was cancelled."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[object]]
"""A function that is given the app."""


class AppLifeCycle:
    """The functions of one app, and whether they have started in this process."""

    def __init__(
        self,
        app: object,
        provisions: Provisions,
        *,
        lifespan: Lifespan | None,
        stop_timeout_s: float,
    ) -> None:
        """Make it.

        Raises:
            InvalidOptionError: `lifespan` is no function.
        """
        if lifespan is not None and not callable(lifespan):
            raise InvalidOptionError(
                f"lifespan={lifespan!r}: expected a function that takes the app and returns an"
                " asynchronous context manager, such as one with @asynccontextmanager"
            )
        self._app = app
        self._provisions = provisions
        self._lifespan = lifespan
        self._stop_timeout_s = stop_timeout_s
        self._starts: list[Callable[..., Any]] = []
        self._stops: list[Callable[..., Any]] = []
        self._holders = 0
        self._living: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._stop = asyncio.Event()
        self._doing = ""
        """What runs, for people."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to start or to stop."""
        return not self._starts and not self._stops and self._lifespan is None

    def on_start(self, function: Callable[..., Any]) -> None:
        """Call a function at the start, after those that were added before.

        Raises:
            InvalidOptionError: It has parameters that nobody fills.
        """
        _check(function, "on_start")
        self._starts.append(function)

    def on_stop(self, function: Callable[..., Any]) -> None:
        """Call a function at the stop, before those that are there; errors as `on_start`."""
        _check(function, "on_stop")
        self._stops.append(function)

    def adopt(self, values: Mapping[type, object]) -> None:
        """Take what the worker's app provides."""
        for kind, value in values.items():
            self._provisions.add(value, kind)

    def provided(self) -> Mapping[type, object]:
        """Return what the app provides."""
        return self._provisions.all()

    async def enter(self) -> None:
        """Start, unless it has; see `engine.life_cycle.LifeCycle`."""
        if self.is_empty:
            return
        while self._living is not None and self._stop.is_set():  # of an earlier worker
            self._refuse_other_loop()
            await asyncio.wait([self._living])
        if self._living is None:
            loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            self._started = loop.create_future()
            self._living = loop.create_task(self._live(self._started), name="toril-life-cycle")
            self._living.add_done_callback(self._forget)
        self._refuse_other_loop()
        self._holders += 1
        living, started = self._living, self._started
        assert started is not None  # noqa: S101 - made with the task
        try:
            await asyncio.shield(started)
        except BaseException:  # it failed, or the worker was stopped while it was under way
            if self._living is living:
                await self.leave()
            raise

    async def leave(self) -> None:
        """Stop, if nobody is left; see `engine.life_cycle.LifeCycle`."""
        if self.is_empty or self._holders == 0:
            return
        self._holders -= 1
        living, started = self._living, self._started
        if self._holders or living is None or started is None:
            return
        self._stop.set()
        if not started.done():
            living.cancel()
        await asyncio.wait([living], timeout=self._stop_timeout_s)
        if living.done():
            return
        log.error(
            "%s has not ended after %s and is cancelled",
            self._doing,
            in_words(self._stop_timeout_s),
        )
        living.cancel()
        await asyncio.wait([living], timeout=CANCEL_S)
        if not living.done():
            log.error("%s does not end and is left behind", self._doing)
            asyncio._unregister_task(living)  # `asyncio.run` would wait for it for ever
            self._forget(living)

    async def _live(self, started: asyncio.Future[None]) -> None:
        """Start, wait until it is to stop, and stop."""
        manager: AbstractAsyncContextManager[object] | None = None
        self._provisions.begin()
        try:
            if self._lifespan is not None:
                self._doing = "the app's lifespan"
                manager = await self._entered(self._lifespan)
            for function in self._starts:
                self._doing = f"on_start {_name(function)!r}"
                made = await _result(function, self._arguments(function))
                if made is not None:
                    self._provisions.add(made, _kind_of(function))
            self._provisions.end()
        except BaseException as error:
            if not started.done():
                started.set_exception(self._failure(error))
                started.exception()  # whoever waited may have been stopped meanwhile
            if not isinstance(error, Exception):
                raise
        else:
            started.set_result(None)
            await self._stop.wait()
        finally:
            await self._unwind(manager)

    async def _entered(self, lifespan: Lifespan) -> AbstractAsyncContextManager[object]:
        manager = lifespan(self._app)
        if not hasattr(manager, "__aenter__"):
            if inspect.iscoroutine(manager):
                manager.close()
            raise InvalidOptionError(
                f"lifespan={_name(lifespan)!r} returned {type(manager).__name__}: expected an"
                " asynchronous context manager; put @asynccontextmanager above the function"
            )
        made = await manager.__aenter__()
        if made is not None:
            self._provisions.add(made, None)
        return manager

    async def _unwind(self, manager: AbstractAsyncContextManager[object] | None) -> None:
        """Stop all that has started, the last first. What one raises keeps no other from it."""
        for function in reversed(self._stops):
            self._doing = f"on_stop {_name(function)!r}"
            try:
                arguments = self._arguments(function)
            except InvalidOptionError:  # what it would stop has never started
                continue
            try:
                await _result(function, arguments)
            except asyncio.CancelledError:
                log.error("%s was cancelled", self._doing)
            except Exception:
                log.exception("%s failed", self._doing)
        self._doing = "the app's lifespan"
        try:
            if manager is not None:
                await manager.__aexit__(None, None, None)
        except asyncio.CancelledError:
            log.error("%s was cancelled", self._doing)
        except Exception:
            log.exception("%s failed at the stop", self._doing)
        finally:
            self._provisions.restore()

    def _arguments(self, function: Callable[..., Any]) -> dict[str, Any]:
        """Return what a function is called with.

        Raises:
            InvalidOptionError: The app does not provide it.
        """
        return {
            name: self._provisions.get(parameter.default.kind)
            for name, parameter in inspect.signature(function).parameters.items()
            if isinstance(parameter.default, Provided)
        }

    def _failure(self, error: BaseException) -> WorkerStartError:
        place = _place(error)
        where = f" ({place})" if place else ""
        failure = WorkerStartError(f"{self._doing} failed{where}: {describe(error)}")
        failure.__cause__ = error
        return failure

    def _refuse_other_loop(self) -> None:
        if self._living is not None and self._living.get_loop() is not asyncio.get_running_loop():
            raise InvalidOptionError(
                "a worker of this app runs on another event loop of this process, and what the app"
                " has started belongs to that loop: run both workers on one, or give each an app"
            )

    def _forget(self, living: asyncio.Task[None]) -> None:
        if self._living is living:
            self._living = self._started = None
            self._holders = 0

    def in_children(self, module_names: list[str]) -> InChildren | None:
        """Return where child processes find this; None if there is nothing to find.

        Parameters:
            module_names: The modules of the tasks, where the app is looked for first.

        Raises:
            InvalidOptionError: The app is no name of a module.
        """
        if self.is_empty:
            return None
        places = []
        for name, module in list(sys.modules.items()):
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if value is self._app:
                    places.append((name in MAIN_NAMES, name not in module_names, name, attribute))
        if not places:
            raise InvalidOptionError(
                "the app has on_start, on_stop or a lifespan, and a task with run_in='process':"
                " child processes find the app by its name in a module, and no module has it; make"
                " the app at module level"
            )
        _, _, module_name, attribute = min(places)
        target = f"{module_name}:{attribute}._life_cycle"
        return InChildren(target, self._stop_timeout_s)


async def _result(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    answer = function(**arguments)
    return await answer if inspect.isawaitable(answer) else answer


def _check(function: Callable[..., Any], option: str) -> None:
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidOptionError(
            f"{option}={_name(function)!r}: expected a function that returns; this one yields:"
            " give it to App(lifespan=...), with @asynccontextmanager above it"
        )
    if not callable(function):
        raise InvalidOptionError(f"{option}={function!r}: expected a function")
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise InvalidOptionError(
                f"{option}={_name(function)!r}, parameter {name!r}: expected none, or one with a"
                f" default such as '{name}: Pool = provided(Pool)'"
            )


def _name(function: object) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]


def _kind_of(function: Callable[..., Any]) -> type | None:
    """Return the type under which a value is provided: what the function says that it returns."""
    try:
        said = get_type_hints(function).get("return")
    except Exception:  # names that are there for type checkers only
        return None
    return said if isinstance(said, type) and said not in (Any, object) else None


def _place(error: BaseException) -> str | None:
    """Return the file and line of the app's own code, for the message."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and os.path.basename(frame.filename) != "contextlib.py"
    ]
    # The first is the function itself; what it calls may be deep in a library.
    return f"{os.path.basename(frames[0].filename)}:{frames[0].lineno}" if frames else None
