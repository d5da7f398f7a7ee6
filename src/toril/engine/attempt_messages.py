"""Receives what tasks send through their `Context`: progress, log lines, payloads, follow-up jobs.

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
from toril.engine.context import FollowUp, LineLogged, NamedFollowUp, ProgressMade, TaskMessage
from toril.engine.context_data import DataChanged, change_data
from toril.engine.context_flows import FlowAsked
from toril.engine.contract.dispatch import AttemptMessage
from toril.engine.flow_asking import FlowAsking
from toril.engine.follow_ups import FollowUpMaker
from toril.engine.hooks import Hooks
from toril.engine.judging import describe
from toril.engine.message_sender import MessageSender
from toril.engine.new_jobs import checked
from toril.engine.stand_ins import presentable
from toril.engine.texts import MAX_LINE_BYTES, beginning
from toril.engine.wire_options import from_wire


class AttemptMessages:
    """Receives the messages of one worker's attempts."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sender: MessageSender,
        hooks: Hooks,
        maker: FollowUpMaker,
        asking: FlowAsking,
    ) -> None:
        self._loop = loop
        self._sender = sender
        self._hooks = hooks
        self._maker = maker
        self._asking = asking

    @property
    def is_full(self) -> bool:
        """Whether children should pause before they send more."""
        return self._sender.is_full

    def receive(
        self, attempt: Attempt, message: TaskMessage | FlowAsked
    ) -> Coroutine[Any, Any, bytes] | Future[bytes] | None:
        """Take a message of a task in this process, from any thread.

        Returns:
            The answer to a question, once there is one: a coroutine on the loop, else a future.

        Raises:
            InvalidOptionError, InvalidPayloadError: The follow-up job cannot be added.
        """
        if isinstance(message, FollowUp | NamedFollowUp):
            self._add_follow_up(attempt, message)
            return None
        if not isinstance(message, ProgressMade | LineLogged):
            answer = self._answer(attempt, message, trusted=True)
            if asyncio._get_running_loop() is self._loop:
                return answer
            return asyncio.run_coroutine_threadsafe(answer, self._loop)
        message = _without_sealed(attempt, message)
        stored = _as_stored(attempt, message)
        if asyncio._get_running_loop() is self._loop:
            if not attempt.settled:
                self._sender.send_or_drop(stored)
                self._tell_hooks(attempt, message)
        elif self._sender.wait_for_room(stored, lambda: attempt.stop_kind is not None):
            self._loop.call_soon_threadsafe(self._send, attempt, message, stored)
        return None

    def receive_from_child(
        self, attempt: Attempt, message: TaskMessage | FlowAsked
    ) -> Coroutine[Any, Any, bytes] | None:
        """Check and take a message of a child process, which need not come from our code.

        Returns:
            The answer to a question, once there is one.

        Raises:
            InvalidOptionError, InvalidPayloadError: As `receive`.
            ValueError: It is not JSON.
        """
        match message:
            case FollowUp(job):
                self._add_follow_up_of_child(attempt, FollowUp(checked(job)))
            case NamedFollowUp():
                self._add_follow_up_of_child(attempt, message)
            case LineLogged(line):
                self._reserve_and_send(attempt, LineLogged(beginning(line, MAX_LINE_BYTES)))
            case ProgressMade(value):
                self._reserve_and_send(attempt, ProgressMade(encode_text(decode(value))))
            case _:
                return self._answer(attempt, message, trusted=False)
        return None

    def _answer(
        self, attempt: Attempt, question: DataChanged | FlowAsked, *, trusted: bool
    ) -> Coroutine[Any, Any, bytes]:
        if isinstance(question, DataChanged):
            return change_data(attempt, question.data, self._sender)
        return self._asking.answer(attempt.claimed, question, trusted=trusted)

    def _reserve_and_send(self, attempt: Attempt, message: ProgressMade | LineLogged) -> None:
        message = _without_sealed(attempt, message)
        stored = _as_stored(attempt, message)
        self._sender.reserve_room(stored)
        self._send(attempt, message, stored)

    def _send(
        self, attempt: Attempt, message: ProgressMade | LineLogged, stored: AttemptMessage
    ) -> None:
        """Pass on a message for which room was taken. On the loop."""
        if attempt.settled:
            self._sender.free_room([stored])
        else:
            self._sender.send(stored)
            self._tell_hooks(attempt, message)

    def _tell_hooks(self, attempt: Attempt, message: ProgressMade | LineLogged) -> None:
        if isinstance(message, ProgressMade) and "progress" in self._hooks.wanted:
            self._hooks.tell("progress", progress=message.value, **attempt.names())

    def _add_follow_up_of_child(self, attempt: Attempt, message: FollowUp | NamedFollowUp) -> None:
        try:
            self._add_follow_up(attempt, message)
        except Exception:
            raise
        except BaseException as error:  # of enqueue middleware: this is the loop's own callback
            raise presentable(error, describe(error)) from error

    def _add_follow_up(self, attempt: Attempt, message: FollowUp | NamedFollowUp) -> None:
        claimed = attempt.claimed
        job = self._maker.job(message, queue=claimed.queue, job_id=claimed.id)
        assert attempt.follow_ups is not None  # noqa: S101 - it is there with the context
        attempt.follow_ups.add(job)


def _without_sealed(
    attempt: Attempt, message: ProgressMade | LineLogged
) -> ProgressMade | LineLogged:
    """Return a message without the values of the payload's sealed fields."""
    handler = attempt.handler
    if handler is None or handler.seals is None:
        return message
    if isinstance(message, LineLogged):
        return LineLogged(handler.seals.scrub(message.line, attempt.claimed.data))
    text = handler.seals.scrub(message.value, attempt.claimed.data)
    try:
        decode(text)
    except ValueError:  # a number went
        text = encode_text(text)
    return ProgressMade(text)


def _as_stored(attempt: Attempt, message: ProgressMade | LineLogged) -> AttemptMessage:
    claimed = attempt.claimed
    origin = (
        claimed.queue,
        claimed.number,
        claimed.id,
        claimed.token,
        claimed.attempts_started,
    )
    if isinstance(message, ProgressMade):
        return AttemptMessage(*origin, progress=message.value)
    return AttemptMessage(*origin, line=message.line, keep_logs=from_wire(claimed.opts).keep_logs)
