"""Frames, cut anywhere."""

from __future__ import annotations

import pytest

from toril.engine.context import LineLogged, ProgressMade
from toril.engine.runners import frames
from toril.engine.runners.frames import FrameReader, Returned, frame_of

MESSAGES = [LineLogged("a"), Returned(b"\x00" * 300, 7), ProgressMade("1"), LineLogged("ü" * 99)]


@pytest.mark.parametrize("step", [1, 3, 7, 100, 10_000])
def test_messages_come_out_whole_and_in_order_however_the_bytes_were_cut(step: int) -> None:
    stream = b"".join(frame_of(message) for message in MESSAGES)
    reader = FrameReader()

    found = [
        message
        for start in range(0, len(stream), step)
        for message in reader.feed(stream[start : start + step])
    ]

    assert found == MESSAGES


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff\x00", b"\x00\x00\x00\x02hi", b"GET / HTTP"])
def test_bytes_that_are_no_frame_are_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        FrameReader().feed(garbage)


def test_message_that_is_too_long_is_refused_where_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 100)

    with pytest.raises(ValueError, match="expected at most 100"):
        frame_of(LineLogged("x" * 100))
