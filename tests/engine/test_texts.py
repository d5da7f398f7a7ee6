"""Texts are cut to what a store takes, and say so."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.engine.judging import describe
from toril.engine.texts import MAX_TEXT_BYTES, beginning, end
from toril.engine.tracebacks import traceback_text


@given(st.text(st.characters()), st.integers(100, 300))
def test_a_text_of_any_kind_fits(text: str, most: int) -> None:
    for kept in (beginning(text * 20, most), end(text * 20, most)):
        assert len(kept.encode()) <= most
        assert "\x00" not in kept


@pytest.mark.parametrize("char", ["x", "ü", "🐂"])
def test_what_fits_is_left_alone(char: str) -> None:
    text = char * (MAX_TEXT_BYTES // len(char.encode()))

    assert beginning(text) == end(text) == text
    assert beginning(text + char) != text + char
    assert end(char + text) != char + text


def test_a_cut_text_says_what_was_cut() -> None:
    assert (
        beginning("a" * 100_000, 100) == f"{'a' * 20} … [cut: the first 20 of 100,000 characters]"
    )
    assert end("a" * 100_000, 100) == f"[cut: the last 20 of 100,000 characters] …\n{'a' * 20}"
    assert end("a" * 50, 100, chars=70_000).startswith("[cut: the last 20 of 70,000 characters]")


def test_a_huge_error_is_told_without_being_copied_again_and_again() -> None:
    """An error with a text of 100 MB once cost the worker 2.5 GB, in copies of it."""
    size = 20_000_000
    try:
        raise ValueError("x" * size)
    except ValueError as raised:
        error = raised
    tracemalloc.start()
    try:
        reason, traceback = describe(error), traceback_text(error)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2.5 * size
    assert reason.startswith("ValueError: xxx")
    assert len(reason) <= MAX_TEXT_BYTES
    assert "of 20,000,000 characters]" in reason
    assert traceback.startswith("[cut: the last")
    assert len(traceback.encode()) <= MAX_TEXT_BYTES


def test_a_long_chain_of_errors_keeps_its_end() -> None:
    error: Exception = ValueError("the first")
    for number in range(500):
        try:
            try:
                raise error
            except ValueError as cause:
                raise ValueError(f"number {number}") from cause
        except ValueError as raised:
            error = raised

    kept = traceback_text(error)

    assert kept.endswith("ValueError: number 499\n")
    assert len(kept.encode()) <= MAX_TEXT_BYTES
