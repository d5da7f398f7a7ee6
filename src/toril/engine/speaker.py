"""Carries what running tasks say to the store: in order, together, and before their outcomes.

What is under way is bounded, whatever tasks say and however slow the store is: a thread or a child
process waits for room (`wait_for_room`, `is_full`); on the event loop, where nobody can wait, an
attempt that says more loses the oldest of what it has said, and its log says how much.
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
    """What the tasks of one worker say."""

    def __init__(self, dispatch: Dispatch, *, lost: Callable[[Speech], None]) -> None:
        """Make a speaker.

        Parameters:
            lost: Takes what was said by an attempt that does not hold its job any more.
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
        """What is under way: coming from a thread, not sent, or not answered."""
        self._sent = self._sent_chars = 0
        """Of these, what is sent and not answered."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be said now. From any thread."""
        return self._many >= MAX_PENDING or self._chars >= MAX_PENDING_CHARS

    def wait_for_room(self, speech: Speech, stopped: Callable[[], bool]) -> bool:
        """Wait in a thread until there is room for a speech, and take it; return whether there is.

        Parameters:
            speech: What will be said by `say`.
            stopped: Whether the attempt should end: it waits no longer.
        """
        while self.is_full:
            if stopped():
                return False
            time.sleep(ROOM_POLL_S)
        self.take_room(speech)
        return True

    def take_room(self, speech: Speech) -> None:
        """Count what will be said by `say`. From any thread."""
        with self._lock:
            self._many += 1
            self._chars += size_of(speech)

    def give_room(self, said: Sequence[Speech]) -> None:
        """Count no longer what is not under way any more."""
        with self._lock:
            self._many -= len(said)
            self._chars -= sum(map(size_of, said))

    def say(self, speech: Speech) -> None:
        """Send a speech with the others of this turn of the loop. Room was taken for it."""
        key = speech.token, speech.number
        theirs = self._unsent.get(key)
        if theirs is None:
            if not self._unsent:
                self._loop.call_soon(self._flush_in_turn, context=self._surroundings)
            theirs = self._unsent[key] = deque()
        theirs.append(speech)

    def say_or_drop(self, speech: Speech) -> None:
        """The same from the event loop, where nobody can wait: the attempt's oldest may go."""
        key = speech.token, speech.number
        if self.is_full and (theirs := self._unsent.get(key)):
            self.give_room([theirs.popleft()])
            self._dropped[key] = self._dropped.get(key, 0) + 1
        self.take_room(speech)
        self.say(speech)

    def flush(self) -> None:
        """Send what was said so far, before whatever is sent after this call."""
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
        """Wait until everything said has been sent."""
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
        """Return a line for the log of an attempt that has lost some of what it said."""
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
    """Return how much room a speech takes, in characters."""
    return len(speech.line or "") + len(speech.progress or "")
