"""Sends progress and log lines of tasks to the store: in order, in batches, before outcomes.

The backlog is bounded, however much tasks log and however slow the store is. Threads and child
processes wait for room (`wait_for_room`, `is_full`). On the event loop, where nothing can wait, an
attempt's oldest unsent messages are dropped, and its log says how many.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.contract.dispatch import AttemptMessage, Dispatch, FenceResult

log = logger("toril.worker")

MAX_PENDING = 5_000
"""Most progress reports and log lines in flight to the store."""
MAX_PENDING_CHARS = 8 * 1024 * 1024
"""Most characters of them."""
ROOM_POLL_S = 0.01
"""How often a waiting thread checks whether there is room, in seconds."""

_Key = tuple[str, int | str]


class MessageSender:
    """Sends the progress and log lines of one worker's tasks."""

    def __init__(self, dispatch: Dispatch, *, refused: Callable[[AttemptMessage], None]) -> None:
        """Make a sender.

        Parameters:
            refused: Takes each message of an attempt that does not hold its job any more.
        """
        self._dispatch = dispatch
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._unsent: dict[_Key, deque[AttemptMessage]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._dropped: dict[_Key, int] = {}
        self._lock = threading.Lock()
        self._backlog = self._backlog_chars = 0
        """The backlog: messages that come from a thread, are not sent, or are not answered."""
        self._in_flight = self._in_flight_chars = 0
        """The part of the backlog that is sent and not answered."""

    @property
    def is_full(self) -> bool:
        """Whether the backlog is full. From any thread."""
        return self._backlog >= MAX_PENDING or self._backlog_chars >= MAX_PENDING_CHARS

    def wait_for_room(self, message: AttemptMessage, stopped: Callable[[], bool]) -> bool:
        """Wait in a thread until there is room for a message, and take it. Return whether it was.

        Parameters:
            message: The message, which `send` will send.
            stopped: Whether the attempt should end, and so wait no longer.
        """
        while self.is_full:
            if stopped():
                return False
            time.sleep(ROOM_POLL_S)
        self.reserve_room(message)
        return True

    def reserve_room(self, message: AttemptMessage) -> None:
        """Take room for a message that `send` will send. From any thread."""
        with self._lock:
            self._backlog += 1
            self._backlog_chars += size_of(message)

    def free_room(self, messages: Sequence[AttemptMessage]) -> None:
        """Free the room of messages that are not in flight any more."""
        with self._lock:
            self._backlog -= len(messages)
            self._backlog_chars -= sum(map(size_of, messages))

    def send(self, message: AttemptMessage) -> None:
        """Send a message with the others of this turn of the loop. Take room for it first."""
        key = message.token, message.number
        unsent = self._unsent.get(key)
        if unsent is None:
            if not self._unsent:
                self._loop.call_soon(self._flush_in_turn, context=self._context)
            unsent = self._unsent[key] = deque()
        unsent.append(message)

    def send_or_drop(self, message: AttemptMessage) -> None:
        """As `send`, from the event loop. If full, drops the attempt's oldest unsent message."""
        key = message.token, message.number
        if self.is_full and (unsent := self._unsent.get(key)):
            self.free_room([unsent.popleft()])
            self._dropped[key] = self._dropped.get(key, 0) + 1
        self.reserve_room(message)
        self.send(message)

    async def send_now(self, message: AttemptMessage) -> FenceResult:
        """Send a message by itself, past the backlog, and return the store's word.

        Raises:
            BackendError: The store did not answer.
        """
        (word,) = await self._dispatch.speak([message])
        if word == "lease_lost":
            self._refused(message)
        return word

    def flush(self) -> None:
        """Send all messages so far, ahead of everything that is sent after this call."""
        if self._unsent:
            by_attempt, self._unsent = self._unsent, {}
            messages: list[AttemptMessage] = []
            for key, unsent in by_attempt.items():
                if dropped := self._dropped.pop(key, 0):
                    messages.append(self._note(unsent[0], dropped))
                messages += unsent
            self._in_flight += len(messages)
            self._in_flight_chars += sum(map(size_of, messages))
            task = self._loop.create_task(self._deliver(messages))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def drain(self) -> None:
        """Wait until all messages are sent."""
        self.flush()
        while self._sending:
            await asyncio.wait(self._sending)

    def _flush_in_turn(self) -> None:
        # More than this under way only fills the store's own queue: `_deliver` goes on.
        if self._in_flight < MAX_PENDING // 2 and self._in_flight_chars < MAX_PENDING_CHARS // 2:
            self.flush()

    async def _deliver(self, messages: list[AttemptMessage]) -> None:
        try:
            results = await self._dispatch.speak(messages)
        except BackendError as error:
            log.warning("%d progress reports and log lines were lost: %s", len(messages), error)
            return
        except Exception:  # of ours: what a task says must not be what ends its worker
            log.exception("%d progress reports and log lines were lost", len(messages))
            return
        finally:
            self._in_flight -= len(messages)
            self._in_flight_chars -= sum(map(size_of, messages))
            self.free_room(messages)
            self._flush_in_turn()
        for message, result in zip(messages, results, strict=True):
            if result == "lease_lost":
                self._refused(message)

    def _note(self, first: AttemptMessage, dropped: int) -> AttemptMessage:
        """Return a log line that says how many messages of an attempt were dropped."""
        note = AttemptMessage(
            first.queue,
            first.number,
            first.job_id,
            first.token,
            first.attempt,
            line=f"[{dropped:,} log lines and reports of progress were dropped here: the task made"
            " them on the event loop faster than the store takes them]",
            keep_logs=first.keep_logs,
        )
        self.reserve_room(note)
        return note


def size_of(message: AttemptMessage) -> int:
    """Return how much room a message takes, in characters."""
    return len(message.line or "") + len(message.progress or "")
