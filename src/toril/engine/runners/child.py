"""The child's side of `run_in="process"`: take a call, run it in the main thread, answer, repeat.

Started by `spawned.py`. Imports as little as it can: what a task needs, its own module imports.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from toril.core.errors import InvalidOptionError, PayloadTooLargeError
from toril.core.process_memory import limit_address_space, own_resident_bytes
from toril.engine.context import Context, FollowUp, LineLogged, ProgressMade, TaskMessage
from toril.engine.context_flows import ChildrenAdded, FlowAsked
from toril.engine.current_job import CURRENT
from toril.engine.job import NewJob
from toril.engine.life_cycle import ChildLifeCycle
from toril.engine.runners.channel import Channel
from toril.engine.runners.child_logs import forward
from toril.engine.runners.errors import error_from, image_of
from toril.engine.runners.frames import (
    MAX_FRAME_BYTES,
    Heard,
    ProcessCall,
    Raised,
    Ready,
    Returned,
    Setup,
    frame_of,
)
from toril.engine.runners.interpreter import is_frozen
from toril.engine.runners.lifeline import end_with_worker
from toril.engine.runners.references import MAIN, resolve, unpickle
from toril.engine.surroundings import Surroundings

if TYPE_CHECKING:
    import asyncio

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Mark = Callable[[NewJob], NewJob]
Enter = Callable[[dict[str, str]], Mark]
"""Goes on with a trace (`Carried`)."""


def asyncio_run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on an event loop of its own."""
    import asyncio  # here: a plain function needs none

    return asyncio.run(work)


_FOLDER = os.path.join(os.path.dirname(__file__), "")


class Target(Protocol):
    """What a call's target must be able to do."""

    def run_here(
        self,
        payload: bytes,
        context: Context,
        provided: Mapping[type, object],
        run: Run = asyncio_run,
    ) -> bytes:
        """Run the task and return its result as JSON. `run` runs what it has to await."""
        ...


def main(channel_fd: int, lifeline_fd: int) -> None:
    """Serve calls until the worker hangs up."""
    _leave_stopping_to_the_worker()
    end_with_worker(lifeline_fd)
    channel = Channel(channel_fd)
    first = channel.receive()
    if first is None:
        return
    setup = msgspec.msgpack.decode(first, type=Setup)
    sys.argv = [os.fsdecode(argument) for argument in setup.argv]
    if not is_frozen():  # there `__main__` is the worker's
        MAIN.borrow(setup.main)
    if setup.max_memory_bytes is not None:
        limit_address_space(setup.max_memory_bytes)
    forward(channel.log, setup.log_levels)
    server = Server(channel, setup.provided, setup.life_cycle)
    channel.send(frame_of(Ready(own_resident_bytes())))
    calls = msgspec.msgpack.Decoder(ProcessCall)
    while (frame := channel.receive()) is not None:
        server.serve(calls.decode(frame))
    channel.hang_up()
    server.close()


class Server:
    """Runs calls, one after the other."""

    def __init__(self, channel: Channel, pickled: bytes, life_cycle: str | None = None) -> None:
        self._channel = channel
        self._pickled = pickled
        self._provided: Mapping[type, object] | None = None
        self._life = None if life_cycle is None else Life(life_cycle)
        self._pid = os.getpid()

    def serve(self, call: ProcessCall) -> None:
        """Run one call and send its answer, whatever it does."""
        attempt = self._channel.begin()
        status = 0
        try:
            answer = self._returned(call, attempt)
        except BaseException as error:  # sys.exit() ends an attempt, not the child
            status = 1
            if isinstance(error, MemoryError):
                _release(error)
            answer = frame_of(raised(error))
        _flush()
        if os.getpid() != self._pid:
            # The task forked, and the copy came back here as well. Only the original answers.
            os._exit(status)
        self._channel.finish(answer)

    def _returned(self, call: ProcessCall, attempt: int) -> bytes:
        if self._life is not None and not self._life.begun:
            self._provided = self._life.begin(self._given())
        target = resolve(call.target)
        if not callable(getattr(target, "run_here", None)):
            raise InvalidOptionError(
                f"target={call.target!r}: this name is a {type(target).__qualname__} in a child"
                " process, not a task; a task must be found under its function's name"
            )
        # What imports have set up holds: only what an attempt itself sets ends with it.
        surroundings = Surroundings().fresh()
        surroundings.run(CURRENT.set, call.facts)
        mark: Mark | None = None
        if call.carried is not None:
            enter = cast("Enter", resolve(call.carried.enter))
            mark = surroundings.run(enter, call.carried.values)
        context = Context(
            call.facts,
            partial(self._emit, attempt, mark),
            call.payload,
            store=getattr(target, "store", None),
        )
        run_here = cast("Target", target).run_here
        if self._life is None:
            result = surroundings.run(run_here, call.payload, context, self._given())
        else:
            run = self._life.run
            result = surroundings.run(run_here, call.payload, context, self._given(), run)
        if not isinstance(result, bytes):
            raise TypeError(
                f"{call.target}: run_here returned {type(result).__qualname__}, not bytes"
            )
        if len(result) > MAX_FRAME_BYTES - 1024:
            problem = f"{len(result)} bytes are more than a process can hand back"
            raise PayloadTooLargeError(call.facts.task, "return", problem)
        return frame_of(Returned(result, own_resident_bytes()))

    def close(self) -> None:
        """Stop what was started."""
        if self._life is not None:
            self._life.end()

    def _emit(self, attempt: int, mark: Mark | None, said: TaskMessage | FlowAsked) -> bytes:
        """Send a message of a task; return the answer to a question. A refusal is raised here."""
        if mark is not None:
            said = _marked(said, mark)
        if isinstance(said, ProgressMade | LineLogged):
            self._channel.say(attempt, said)
            return b""
        heard = msgspec.msgpack.decode(self._channel.ask(attempt, said), type=Heard)
        if heard.refusal is not None:
            raise error_from(heard.refusal)
        return heard.answer

    def _given(self) -> Mapping[type, object]:
        if self._provided is None:
            found = unpickle(self._pickled) if self._pickled else {}
            self._provided = cast("Mapping[type, object]", found)
        return self._provided


class Life:
    """What the app has started in this process, and the event loop that it was started on."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._life_cycle: ChildLifeCycle | None = None
        self._runner: asyncio.Runner | None = None

    @property
    def begun(self) -> bool:
        """Whether it has started."""
        return self._life_cycle is not None

    def begin(self, given: Mapping[type, object]) -> Mapping[type, object]:
        """Start; return what is provided from now on.

        Raises:
            WorkerStartError: It failed. The next attempt tries again.
        """
        import asyncio  # here: most children never need it

        life_cycle = cast("ChildLifeCycle", resolve(self._target))
        if self._runner is None:
            self._runner = asyncio.Runner()
        life_cycle.adopt(given)
        self._runner.run(life_cycle.enter())
        self._life_cycle = life_cycle
        return life_cycle.provided()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine of a task, on the loop on which clients were started."""
        assert self._runner is not None  # noqa: S101 - it has begun
        return self._runner.run(work, context=copy_context())

    def end(self) -> None:
        """Stop."""
        if self._runner is not None:
            if self._life_cycle is not None:
                self._runner.run(self._life_cycle.leave())
            self._runner.close()


def _marked(said: TaskMessage | FlowAsked, mark: Mark) -> TaskMessage | FlowAsked:
    if isinstance(said, FollowUp):
        return FollowUp(mark(said.job))
    if isinstance(said, ChildrenAdded):
        replace = msgspec.structs.replace
        return ChildrenAdded([replace(node, job=mark(node.job)) for node in said.nodes])
    return said


def raised(error: BaseException) -> Raised:
    """Return the message that says what a task raised."""
    from toril.engine.tracebacks import traceback_text  # here: one that succeeds never needs it

    try:
        # The first frames are of this folder, and tell nobody anything.
        traceback = traceback_text(error, _FOLDER)
    except Exception as broken:  # an error whose own code raises
        traceback = f"(its traceback could not be made: {type(broken).__qualname__})"
    return Raised(image_of(error), traceback, own_resident_bytes())


def _release(error: MemoryError) -> None:
    # What filled the memory hangs on the frames that raised; a report needs some of it.
    place = error.__traceback__
    while place is not None:
        with suppress(RuntimeError):  # ours is still running
            place.tb_frame.clear()
        place = place.tb_next


def _flush() -> None:
    # The child lives on, and may be killed later: what the task printed must not wait for that.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):  # the task closed or replaced it
            continue


def _leave_stopping_to_the_worker() -> None:
    # Ctrl-C, and systemd's SIGTERM to every process of a unit, ask the worker to stop; it lets
    # running jobs end. A handler that does nothing, and not SIG_IGN: that would be inherited by
    # the programs that a task starts, which then could not be terminated.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _nothing)
        signal.siginterrupt(number, False)


def _nothing(number: int, frame: FrameType | None) -> None:
    return None
