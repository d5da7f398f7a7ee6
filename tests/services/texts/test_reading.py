"""The text of documents: what is read, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import pytest

from toril.services.texts.reading import docx_text, html_text, pdf_text, plain_text
from toril.services.unusable import UnusableInputError


def text_of(reader: Callable[..., Iterable[str]], content: bytes) -> tuple[str, list[int]]:
    told: list[int] = []
    pieces = reader(io.BytesIO(content), "file 'a'", told.append)
    return "".join(pieces), told


@pytest.mark.parametrize("reader", [pdf_text, docx_text, plain_text])
def test_damaged_content_is_the_documents_fault(reader: Callable[..., Iterable[str]]) -> None:
    with pytest.raises(UnusableInputError, match="file 'a'"):
        text_of(reader, b"\xff%PDF-1.7 PK\x03\x04")


@pytest.mark.parametrize(
    ("markup", "lines"),
    [
        (b"<p>a<br>b</p>", ["a", "b"]),
        (b"a &lt; b&nbsp;&amp; c", ["a < b & c"]),
        (b"<p>one<b>two</b>three", ["onetwothree"]),
        (b"<style>x{}</style><svg><text>no</text></svg>yes", ["yes"]),
        (b"<table><tr><td>1</td><td>2</td></tr></table>", ["1", "2"]),
        ("<meta charset=latin1><p>\u00fc".encode(), ["\u00fc"]),
        (b"<!-- a --><p>b<!-- c -->d</p>", ["bd"]),
        (b"<div hidden></div>", []),
    ],
)
def test_html_is_read_as_it_is_shown(markup: bytes, lines: list[str]) -> None:
    text, told = text_of(html_text, markup)

    assert [line.strip() for line in text.splitlines() if line.strip()] == lines
    assert told == [100]


def test_deep_html_is_read_or_refused_but_never_crashes() -> None:
    try:
        text, _ = text_of(html_text, b"<div>" * 50_000 + b"deep")
    except UnusableInputError:
        return
    assert "deep" in text or text == ""


def test_lines_that_are_empty_are_one() -> None:
    text, _ = text_of(html_text, b"<div><div><p>a</p></div></div><div><p>b</p></div>")

    assert text == "a\n\nb\n"
