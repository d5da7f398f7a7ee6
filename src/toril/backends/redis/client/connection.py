"""One connection that many callers share: a pipeline. Replies come in the order of the commands.

A call costs a future and an entry in two lists. Commands of one turn of the event loop leave in one
write, and one timer watches all calls in flight. It does not reconnect (`managed_connection.py`)
and does not interpret refusals: they come back as `ReplyError`.

It is a buffered protocol: with the plain kind, asyncio allocates 256 KiB for every read, which cost
a single caller a third of its calls per second.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from toril.backends.redis.client.address import Endpoint
from toril.backends.redis.client.protocol import ProtocolError, ReplyError, reader
from toril.core.errors import BackendClosedError, BackendError, StoreUnreachableError

MAX_IN_FLIGHT = 4096
"""Calls under way on one connection; more wait. No more than these are unknown after a loss."""
BUFFER_BYTES = 64 * 1024
IDLE_S = 0.05
"""After so long without a call it is looked whether the server has hung up meanwhile."""
OVERDUE_S = 1.0
"""After so long without an answer to calls in flight, ask whether another server took over."""
GRACE_S = 0.25
"""After a silence that was too long: what has arrived meanwhile may still have to be read."""

_HANG_UP: int = getattr(select, "POLLRDHUP", 0)
"""Where the system does not know it, it costs a call in such a case, with an unknown outcome."""


class NotWrittenError(Exception):
    """The connection ended before this command was written to it: another one may take it."""


class _Batch:
    """Several replies that belong to one call."""

    __slots__ = ("future", "left", "replies")

    def __init__(self, future: asyncio.Future[list[Any]], count: int) -> None:
        self.future = future
        self.left = count
        self.replies: list[Any] = []


class Connection(asyncio.BufferedProtocol):
    """A connection, from `connection_made` to `connection_lost`. Used in its loop's thread only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        shown: str,
        *,
        answer_timeout_s: float | None,
        endpoint: Endpoint | None = None,
        user: str | None = None,
    ) -> None:
        """Make the protocol of a connection.

        Parameters:
            loop: Its event loop.
            shown: The server, as messages may name it.
            endpoint: The server, as it was asked for. None: a Unix socket.
            answer_timeout_s: For how long the server may be silent while calls are under way.
                None: for ever.
            user: Who is let in by it. None: the default user.
        """
        self.shown = shown
        self.endpoint = endpoint
        self.run_id = ""
        """The `run_id` of the server process. Empty: not known."""
        self.replicas: int | None = None
        """How many replicas the primary had when last asked. None: not known."""
        self.user = user
        self.closed = False
        """It takes no more calls."""
        self.full = True
        """It takes no call right now: not open, closed, or too much under way."""
        self.on_lost: Callable[[], None] | None = None
        """Called once, when it takes no more calls."""
        self.on_overdue: Callable[[], None] | None = None
        """Called after a second of silence with calls under way, and each second from then on."""
        self.loading: dict[str, asyncio.Future[Any]] = {}
        """Scripts on their way to the server by this connection, by digest."""
        self._loop = loop
        self._answer_timeout_s = answer_timeout_s
        self._transport: asyncio.Transport | None = None
        self._reader = reader()
        self._next_reply = self._reader.gets
        self._buffer = bytearray(BUFFER_BYTES)
        # A view: asyncio's TLS fills slices of what it is given, and those of an array are copies.
        self._view = memoryview(self._buffer)
        self._waiting: deque[asyncio.Future[Any] | _Batch] = deque()
        self._out: list[bytes] = []
        self._paused = False
        self._queueing: deque[asyncio.Future[None]] = deque()
        self._heard_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._last_chance = False
        self._replaced = False
        self._reason = "it was closed"
        self.by_us = False
        """It was closed with the client."""
        self._gone = loop.create_future()

    def send(self, data: bytes) -> asyncio.Future[Any]:
        """Send one packed command; the future is its reply. Look at `full` before.

        The future raises `ReplyError` for a refusal, `NotWrittenError` if the connection ended
        before the command left, `StoreUnreachableError` if it ended after that, and
        `BackendClosedError` if that was the client's own doing.
        """
        future = self._loop.create_future()
        waiting = self._waiting
        if not waiting:
            self._wake_timer()
        waiting.append(future)
        out = self._out
        if not out:
            self._loop.call_soon(self.flush)
        out.append(data)
        if len(waiting) >= MAX_IN_FLIGHT:
            self.full = True
        return future

    def send_many(self, data: bytes, count: int) -> asyncio.Future[list[Any]]:
        """Send several packed commands; the future is all their replies, refusals among them."""
        future = self._loop.create_future()
        if not self._waiting:
            self._wake_timer()
        self._waiting.append(_Batch(future, count))
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(data)
        return future

    async def room(self) -> bool:
        """Wait until this call may be sent. False: this connection takes no more."""
        if self.closed:
            return False
        future: asyncio.Future[None] = self._loop.create_future()
        self._queueing.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._let_in()  # the place that was given to this one goes to the next
            raise
        return not self.closed

    def retire(self) -> None:
        """Take no more calls, and close once those under way are answered."""
        if not self.closed:
            self._reason = "it was given up"
            self._take_no_more()
            if not self._waiting:
                self.abort(self._reason)

    def leave(self, reason: str) -> None:
        """Take no more calls, since another server took over.

        A server that answers gets to answer what is under way. A silent one does not: those calls
        fail at once, with an unknown outcome.
        """
        self.retire()
        self._replaced = True
        if self._gone.done():
            return
        self._reason = reason
        if self.is_overdue:
            self.abort(reason)

    def abort(self, reason: str, *, by_us: bool = False) -> None:
        """Close at once. What is under way fails: its outcome is unknown.

        Parameters:
            reason: Why, for the message.
            by_us: Whether it was the client that was closed: a `BackendClosedError` then.
        """
        if not self._gone.done() and self._transport is not None:
            self._reason = reason
            self.by_us = by_us
            self._take_no_more()
            self._transport.abort()

    @property
    def host(self) -> str:
        """The server's host, as it was asked for; empty for a Unix socket."""
        return "" if self.endpoint is None else self.endpoint[0]

    @property
    def is_overdue(self) -> bool:
        """Whether calls are in flight, and no answer came for longer than `OVERDUE_S`."""
        return bool(self._waiting) and self.silent_s >= OVERDUE_S

    @property
    def silent_s(self) -> float:
        """Seconds since the last call or answer."""
        return self._loop.time() - self._heard_s

    async def gone(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._gone)

    async def close(self, reason: str) -> None:
        """`abort`, from any loop; in its own: return once the socket is closed."""
        if asyncio.get_running_loop() is self._loop:
            self.abort(reason)
            await self.gone()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.abort, reason)

    def drop(self) -> asyncio.Transport | None:
        """Forget the transport of a loop that was closed, and return it."""
        transport, self._transport = self._transport, None
        self.closed = self.full = True
        self.on_lost = None
        return transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.full = False

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._heard_s = self._loop.time()
        waiting, next_reply = self._waiting, self._next_reply
        self._reader.feed(self._buffer, 0, nbytes)
        try:
            while (reply := next_reply()) is not False:  # RESP2 has no False
                caller = waiting.popleft()
                if caller.__class__ is _Batch:
                    self._collect(caller, reply)
                elif caller.done():  # type: ignore[union-attr]  # a class check would cost more
                    continue
                elif reply.__class__ is ReplyError:
                    caller.set_exception(reply)  # type: ignore[union-attr]
                else:
                    caller.set_result(reply)  # type: ignore[union-attr]
        except ProtocolError as error:
            self.abort(f"what it answers is not Redis' protocol ({error})")
        except IndexError:  # nobody asked: it hangs up on us and says why
            self.abort(str(reply))
        if self.full:
            self._make_room()

    def eof_received(self) -> None:
        self._reason = "the server hung up"
        self._take_no_more()

    def pause_writing(self) -> None:
        self._paused = self.full = True

    def resume_writing(self) -> None:
        self._paused = False
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._reason = str(exc) or type(exc).__name__
        self._take_no_more()
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._fail_all()
        if not self._gone.done():
            self._gone.set_result(None)

    def _fail_all(self) -> None:
        unsent = len(self._out)
        self._out.clear()
        waiting = list(self._waiting)
        self._waiting.clear()
        for index, caller in enumerate(waiting):
            future = caller.future if isinstance(caller, _Batch) else caller
            if not future.done():
                written = index < len(waiting) - unsent
                future.set_exception(self._unknown() if written else NotWrittenError())

    def _wake_timer(self) -> None:
        """Prepare for the first call after there was none."""
        now_s = self._loop.time()
        if now_s > self._heard_s + IDLE_S and self._has_hung_up():
            # What is being sent stays unwritten, so that another connection may take it.
            self.abort("the server hung up")
        self._heard_s = now_s
        if self._timer is None and self._answer_timeout_s is not None:
            first_s = min(OVERDUE_S, self._answer_timeout_s)
            self._timer = self._loop.call_later(first_s, self._check)

    def flush(self) -> None:
        """Write what was sent in this turn of the event loop, in place of at its end."""
        transport = self._transport
        if transport is None:
            self._fail_all()
        elif self._out and not transport.is_closing():
            out, self._out = self._out, []
            transport.write(out[0] if len(out) == 1 else b"".join(out))
        # Else `connection_lost` is on its way, and tells the callers that nothing was written.

    def _collect(self, batch: Any, reply: Any) -> None:
        batch.replies.append(reply)
        batch.left -= 1
        if batch.left:
            self._waiting.appendleft(batch)
        elif not batch.future.done():
            batch.future.set_result(batch.replies)

    def _make_room(self) -> None:
        if self.closed:
            if not self._waiting:
                self.abort(self._reason)
            return
        if self._paused or len(self._waiting) > MAX_IN_FLIGHT // 2:
            return
        # In the order of their arrival, and nobody overtakes them: `full` stays until all are in.
        for _ in range(min(len(self._queueing), MAX_IN_FLIGHT - len(self._waiting))):
            self._let_in()
        self.full = bool(self._queueing)

    def _let_in(self) -> None:
        while self._queueing:
            future = self._queueing.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.full = self.closed or self._paused

    def _take_no_more(self) -> None:
        if self.closed:
            return
        self.closed = self.full = True
        while self._queueing:
            self._let_in()
        if self.on_lost is not None:
            self.on_lost()

    def _check(self) -> None:
        """Report a silent connection; give it up after the answer time-out."""
        self._timer = None
        if not self._waiting or self._answer_timeout_s is None:
            self._last_chance = False
            return
        left_s = self._answer_timeout_s - self.silent_s
        if left_s > 0:
            self._last_chance = False
            left_s = min(left_s, OVERDUE_S if self.is_overdue else OVERDUE_S - self.silent_s)
            if self.is_overdue and self._replaced:
                self.abort(self._reason)
                return
            if self.is_overdue:
                # Who calls now waits for the first answer: what is not sent has no unknown outcome.
                self.full = True
                if self.on_overdue is not None:
                    self.on_overdue()
        elif not self._last_chance:
            # If this loop was blocked for that long, the answer may lie in the socket, unread.
            self._last_chance = True
            left_s = GRACE_S
        else:
            self.abort(f"no answer for {self._answer_timeout_s:g} s")
            return
        self._timer = self._loop.call_later(left_s, self._check)

    def _has_hung_up(self) -> bool:
        """Whether the server has closed the connection, and this loop did not get to see it.

        So it is where a loop runs for one call and stands still until the next, or was blocked.
        """
        if self._transport is None or _HANG_UP == 0:
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), _HANG_UP)
        return bool(poll.poll(0))

    def _unknown(self) -> BackendError:
        if self.by_us:
            return BackendClosedError(
                f"{self.shown}: the store was closed while a call was under way. Its outcome is"
                " unknown: it may have been done."
            )
        return StoreUnreachableError(
            f"{self.shown}: the connection was lost while a call was under way ({self._reason})."
            " Its outcome is unknown: it may have been done.",
            sent=True,
        )
