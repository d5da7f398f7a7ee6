"""What a worker and its child processes say to each other, and how it is cut into frames.

A frame is a length (4 bytes, big-endian) and a message in MessagePack. Knows neither processes nor
how bytes travel: `child.py` and `spawned.py` are the two ends.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from toril.engine.context import Facts, FollowUp, LineLogged, NamedFollowUp, ProgressMade
from toril.engine.context_data import DataChanged
from toril.engine.context_flows import FlowAsked
from toril.engine.runners.child_logs import LogRecorded
from toril.engine.runners.errors import ErrorImage, error_from
from toril.engine.runners.references import MainSource
from toril.engine.texts import end
from toril.engine.tracing import Carried

HEADER_BYTES = 4
MAX_FRAME_BYTES = 256 * 1024 * 1024
"""A longer frame is refused where it is made; where it arrives, it means a broken stream."""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame that a child gets."""

    argv: list[bytes]
    main: MainSource | None
    """Where the worker's `__main__` came from. None: nowhere that can be imported again."""
    provided: bytes
    """A pickled mapping of types to objects. Empty: none."""
    max_memory_bytes: int | None
    life_cycle: str | None = None
    """`module:name` of what is started before the first call. None: nothing."""
    log_levels: dict[str, int] = {}
    """By logger: what is logged in the child from that level on comes to the worker."""


class ProcessCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt to run in a child."""

    target: str
    """`module:qualname` of an object with `run_here(payload, context, provided) -> bytes`."""
    payload: bytes
    """JSON."""
    facts: Facts
    carried: Carried | None = None
    """By which it goes on with a trace. None: there is none."""


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """The child can take calls."""

    rss_bytes: int


class Returned(msgspec.Struct, tag="returned", frozen=True):
    """The task returned."""

    result: bytes
    """JSON."""
    rss_bytes: int


class Raised(msgspec.Struct, tag="raised", frozen=True):
    """The task raised, or could not be imported."""

    error: ErrorImage
    traceback: str
    rss_bytes: int


class Heard(msgspec.Struct, frozen=True):
    """The worker's answer to a child's request for a follow-up job, or of its job's flow."""

    refusal: ErrorImage | None
    """None: a follow-up is added when the attempt completes."""
    answer: bytes = b""
    """What a flow's request is answered with."""


FromChild: TypeAlias = (
    ProgressMade
    | LineLogged
    | FollowUp
    | NamedFollowUp
    | DataChanged
    | FlowAsked
    | LogRecorded
    | Ready
    | Returned
    | Raised
)


class ChildTraceback(Exception):  # noqa: N818 - a text to be shown, not an error
    """The cause of every error that came from a child: where it happened there, as text."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class FrameReader:
    """Bytes in, as they come; whole messages out, in order."""

    __slots__ = ("_buffer", "_decoder")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._decoder = msgspec.msgpack.Decoder(FromChild)

    def feed(self, data: bytes | memoryview) -> list[FromChild]:
        """Return the messages that `data` completes.

        Raises:
            ValueError: If the bytes are no frames: somebody else wrote into the stream.
        """
        buffer = self._buffer
        buffer += data
        messages: list[FromChild] = []
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            body = start + HEADER_BYTES
            end = body + length_of(buffer[start:body])
            if len(buffer) < end:
                break
            with memoryview(buffer) as view, view[body:end] as frame:
                messages.append(self._decoder.decode(frame))
            start = end
        del buffer[:start]
        return messages


def frame_of(message: msgspec.Struct) -> bytes:
    """Return a message as a frame.

    Raises:
        ValueError: If it is longer than `MAX_FRAME_BYTES`.
    """
    buffer = bytearray(HEADER_BYTES)
    _ENCODER.encode_into(message, buffer, HEADER_BYTES)
    length = len(buffer) - HEADER_BYTES
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"{length} bytes: expected at most {MAX_FRAME_BYTES}")
    buffer[:HEADER_BYTES] = length.to_bytes(HEADER_BYTES, "big")
    return bytes(buffer)


def length_of(header: bytes | bytearray) -> int:
    """Return the length that a header announces.

    Raises:
        ValueError: If no frame is that long.
    """
    length = int.from_bytes(header, "big")
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes: expected at most {MAX_FRAME_BYTES}")
    return length


def rebuilt(raised: Raised) -> Exception:
    """Return the task's own exception, or a `TaskRaisedError` in its place.

    Its cause is a `ChildTraceback`, so that a formatted traceback shows the child's frames.
    """
    error = error_from(raised.error)
    error.__cause__ = ChildTraceback(end(raised.traceback))
    return error


_ENCODER = msgspec.msgpack.Encoder()
