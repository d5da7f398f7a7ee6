"""Bytes from what `JSON.stringify` makes of a Buffer, and from nothing that only looks like one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from toril.core.buffers import decode_with_buffers
from toril.core.codec import decoder_of

HI = '{"type":"Buffer","data":[104,105]}'


class Part(msgspec.Struct):
    filename: str
    content: bytes | None = None


class Mail(msgspec.Struct, rename="camel"):
    to: str
    any_json: Any = None
    raw_parts: list[Part] = []
    body: bytes = b""
    by_day: dict[int, bytes] = {}


def read(text: str, kind: Any = Mail) -> Any:
    return decode_with_buffers(decoder_of(kind), text)


def test_buffers_are_read_wherever_bytes_are_wanted() -> None:
    mail = read(
        f'{{"to":"a","anyJson":{HI},"rawParts":[{{"filename":"f","content":{HI}}}],'
        f'"body":{HI},"byDay":{{"7":{HI}}},"unknown":{HI}}}'
    )

    assert mail.body == b"hi"
    assert mail.raw_parts == [Part("f", b"hi")]
    assert mail.by_day == {7: b"hi"}
    assert mail.any_json == {"type": "Buffer", "data": [104, 105]}, "any JSON is as it lies"


@pytest.mark.parametrize("kind", [bytes, bytes | None, bytearray])
def test_whole_payload_may_be_one(kind: Any) -> None:
    assert read(HI, kind) == b"hi"


def test_empty_one_and_all_its_bytes() -> None:
    assert read('{"type":"Buffer","data":[]}', bytes) == b""
    text = msgspec.json.encode({"data": list(range(256)), "type": "Buffer"}).decode()
    assert read(text, bytes) == bytes(range(256))


@pytest.mark.parametrize(
    "text",
    [
        '{"to":"a","body":{"type":"Buffer","data":[256]}}',
        '{"to":"a","body":{"type":"Buffer","data":[-1]}}',
        '{"to":"a","body":{"type":"Buffer","data":["x"]}}',
        '{"to":"a","body":{"type":"Buffer","data":104}}',
        '{"to":"a","body":{"type":"Buffer","data":[1],"more":1}}',
        '{"to":"a","body":{"type":"Blob","data":[1]}}',
        f'{{"to":{HI}}}',
        f'{{"to":"a","rawParts":[{{"filename":{HI},"content":{HI}}}]}}',
        f'{{"body":{HI}}}',
        f'{{"to":"a","body":{HI}',
        f'{{"to":"\\ud83e","body":{HI}}}',
    ],
)
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no Buffers|does not fit|surrogates|delimiter"):
        read(text)
