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
from toril.engine.contract.dispatch import Dispatch, Speech

log = logger("toril.worker")

MAX_PENDING = 5_000
"""Most progress reports and log lines in flight to the store."""
MAX_PENDING_CHARS = 8 * 1024 * 1024
"""Most characters of them."""
ROOM_POLL_S = 0.01
"""How often a waiting thread checks whether there is room, in seconds."""

_Key = tuple[str, int | str]


class Speaker:
    """Sends the messages of one worker's tasks."""

    def __init__(self, dispatch: Dispatch, *, lost: Callable[[Speech], None]) -> None:
        """Make a speaker.

        Parameters:
            lost: Takes each message of an attempt that does not hold its job any more.
        """
        self._dispatch = dispatch
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._surroundings = contextvars.copy_context()
        self._unsent: dict[_Key, deque[Speech]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._dropped: dict[_Key, int] = {}
        self._lock = threading.Lock()
        self._many = self._chars = 0
        """The backlog: messages that come from a thread, are not sent, or are not answered."""
        self._sent = self._sent_chars = 0
        """The part of the backlog that is sent and not answered."""

    @property
    def is_full(self) -> bool:
        """Whether the backlog is full. From any thread."""
        return self._many >= MAX_PENDING or self._chars >= MAX_PENDING_CHARS

    def wait_for_room(self, speech: Speech, stopped: Callable[[], bool]) -> bool:
        """Wait in a thread until there is room for a message, and take it. Return whether it was.

        Parameters:
            speech: The message, which `say` will send.
            stopped: Whether the attempt should end, and so wait no longer.
        """
        while self.is_full:
            if stopped():
                return False
            time.sleep(ROOM_POLL_S)
        self.take_room(speech)
        return True

    def take_room(self, speech: Speech) -> None:
        """Take room for a message that `say` will send. From any thread."""
        with self._lock:
            self._many += 1
            self._chars += size_of(speech)

    def give_room(self, said: Sequence[Speech]) -> None:
        """Free the room of messages that are not in flight any more."""
        with self._lock:
            self._many -= len(said)
            self._chars -= sum(map(size_of, said))

    def say(self, speech: Speech) -> None:
        """Send a message with the others of this turn of the loop. Take room for it first."""
        key = speech.token, speech.number
        theirs = self._unsent.get(key)
        if theirs is None:
            if not self._unsent:
                self._loop.call_soon(self._flush_in_turn, context=self._surroundings)
            theirs = self._unsent[key] = deque()
        theirs.append(speech)

    def say_or_drop(self, speech: Speech) -> None:
        """As `say`, from the event loop. If full, drops the attempt's oldest unsent message."""
        key = speech.token, speech.number
        if self.is_full and (theirs := self._unsent.get(key)):
            self.give_room([theirs.popleft()])
            self._dropped[key] = self._dropped.get(key, 0) + 1
        self.take_room(speech)
        self.say(speech)

    def flush(self) -> None:
        """Send all messages so far, ahead of everything that is sent after this call."""
        if self._unsent:
            unsent, self._unsent = self._unsent, {}
            said: list[Speech] = []
            for key, theirs in unsent.items():
                if dropped := self._dropped.pop(key, 0):
                    said.append(self._note(theirs[0], dropped))
                said += theirs
            self._sent += len(said)
            self._sent_chars += sum(map(size_of, said))
            task = self._loop.create_task(self._send(said))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def settle(self) -> None:
        """Wait until all messages are sent."""
        self.flush()
        while self._sending:
            await asyncio.wait(self._sending)

    def _flush_in_turn(self) -> None:
        # More than this under way only fills the store's own queue: `_send` goes on.
        if self._sent < MAX_PENDING // 2 and self._sent_chars < MAX_PENDING_CHARS // 2:
            self.flush()

    async def _send(self, said: list[Speech]) -> None:
        try:
            words = await self._dispatch.speak(said)
        except BackendError as error:
            log.warning("%d progress reports and log lines were lost: %s", len(said), error)
            return
        except Exception:  # of ours: what a task says must not be what ends its worker
            log.exception("%d progress reports and log lines were lost", len(said))
            return
        finally:
            self._sent -= len(said)
            self._sent_chars -= sum(map(size_of, said))
            self.give_room(said)
            self._flush_in_turn()
        for speech, word in zip(said, words, strict=True):
            if word == "lease_lost":
                self._lost(speech)

    def _note(self, first: Speech, dropped: int) -> Speech:
        """Return a log line that says how many messages of an attempt were dropped."""
        note = Speech(
            first.queue,
            first.number,
            first.job_id,
            first.token,
            first.attempt,
            line=f"[{dropped:,} log lines and reports of progress were dropped here: the task made"
            " them on the event loop faster than the store takes them]",
            keep_logs=first.keep_logs,
        )
        self.take_room(note)
        return note


def size_of(speech: Speech) -> int:
    """Return how much room a message takes, in characters."""
    return len(speech.line or "") + len(speech.progress or "")
