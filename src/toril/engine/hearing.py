"""Receives what tasks send through their `Context`: progress, log lines, follow-up jobs.

A task runs on the worker's loop, in a thread or in a child process. If it has to wait, or is
refused, it does so in the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from toril.core.codec import decode, encode_text
from toril.engine.attempt import Attempt
from toril.engine.context import FollowUp, LineLogged, NamedFollowUp, ProgressMade, Said
from toril.engine.context_flows import FlowAsked
from toril.engine.contract.dispatch import Speech
from toril.engine.flow_asking import FlowAsking
from toril.engine.follow_ups import FollowUpMaker
from toril.engine.hooks import Hooks
from toril.engine.new_jobs import checked
from toril.engine.speaker import Speaker
from toril.engine.texts import MAX_LINE_BYTES, beginning
from toril.engine.wire_options import from_wire


class Hearing:
    """Receives the messages of one worker's attempts."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        speaker: Speaker,
        hooks: Hooks,
        maker: FollowUpMaker,
        asking: FlowAsking,
    ) -> None:
        self._loop = loop
        self._speaker = speaker
        self._hooks = hooks
        self._maker = maker
        self._asking = asking

    @property
    def is_full(self) -> bool:
        """Whether children should pause before they send more."""
        return self._speaker.is_full

    def hear(
        self, attempt: Attempt, said: Said | FlowAsked
    ) -> Coroutine[Any, Any, bytes] | Future[bytes] | None:
        """Take a message of a task in this process, from any thread.

        Returns:
            What will be the answer to a question: on the loop a coroutine, elsewhere a future.

        Raises:
            InvalidOptionError, InvalidPayloadError: The follow-up job cannot be added.
        """
        if isinstance(said, FollowUp | NamedFollowUp):
            self._follow(attempt, said)
            return None
        if not isinstance(said, ProgressMade | LineLogged):
            answer = self._asking.answer(attempt.claimed, said, trusted=True)
            if asyncio._get_running_loop() is self._loop:
                return answer
            return asyncio.run_coroutine_threadsafe(answer, self._loop)
        speech = _speech(attempt, said)
        if asyncio._get_running_loop() is self._loop:
            if not attempt.settled:
                self._speaker.say_or_drop(speech)
                self._tell(attempt, said)
        elif self._speaker.wait_for_room(speech, lambda: attempt.stop_kind is not None):
            self._loop.call_soon_threadsafe(self._say, attempt, said, speech)
        return None

    def hear_child(
        self, attempt: Attempt, said: Said | FlowAsked
    ) -> Coroutine[Any, Any, bytes] | None:
        """Check and take a message of a child process, which need not come from our code.

        Raises:
            InvalidOptionError, InvalidPayloadError: As `hear`.
            ValueError: It is not JSON.

        Returns:
            What will be the answer to a question.
        """
        match said:
            case FollowUp(job):
                self._follow(attempt, FollowUp(checked(job)))
            case NamedFollowUp():
                self._follow(attempt, said)
            case LineLogged(line):
                self._take(attempt, LineLogged(beginning(line, MAX_LINE_BYTES)))
            case ProgressMade(value):
                self._take(attempt, ProgressMade(encode_text(decode(value))))
            case _:
                return self._asking.answer(attempt.claimed, said, trusted=False)
        return None

    def _take(self, attempt: Attempt, said: ProgressMade | LineLogged) -> None:
        speech = _speech(attempt, said)
        self._speaker.take_room(speech)
        self._say(attempt, said, speech)

    def _say(self, attempt: Attempt, said: ProgressMade | LineLogged, speech: Speech) -> None:
        """Pass on a message for which room was taken. On the loop."""
        if attempt.settled:
            self._speaker.give_room([speech])
        else:
            self._speaker.say(speech)
            self._tell(attempt, said)

    def _tell(self, attempt: Attempt, said: ProgressMade | LineLogged) -> None:
        if isinstance(said, ProgressMade) and self._hooks.wants("progress"):
            self._hooks.tell("progress", progress=said.value, **attempt.names())

    def _follow(self, attempt: Attempt, said: FollowUp | NamedFollowUp) -> None:
        claimed = attempt.claimed
        job = self._maker.job(said, queue=claimed.queue, job_id=claimed.id)
        assert attempt.follow_ups is not None  # noqa: S101 - it is there with the context
        attempt.follow_ups.add(job)


def _speech(attempt: Attempt, said: ProgressMade | LineLogged) -> Speech:
    claimed = attempt.claimed
    who = (
        claimed.queue,
        claimed.number,
        claimed.id,
        claimed.token,
        claimed.attempts_started,
    )
    if isinstance(said, ProgressMade):
        return Speech(*who, progress=said.value)
    return Speech(*who, line=said.line, keep_logs=from_wire(claimed.opts).keep_logs)
