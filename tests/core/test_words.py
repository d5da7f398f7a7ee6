"""Names, ids, checks and errors: what is refused, and in what words."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.core import errors
from toril.core.checks import nearest, require, unknown
from toril.core.clock import FIRST, LAST, SystemClock, epoch_ms, moment
from toril.core.errors import (
    InvalidOptionError,
    InvalidPayloadError,
    JobFailedError,
    PayloadTooLargeError,
    ResultTimeoutError,
    TorilError,
)
from toril.core.ids import (
    MAX_ID_CHARS,
    RESERVED_JOB_IDS,
    check_job_id,
    check_queue_name,
    new_worker_id,
)


@pytest.mark.parametrize("name", ["mail", "e-mail.sending/2", "Ümläut queue", "a" * MAX_ID_CHARS])
def test_a_queue_may_have_any_printable_name(name: str) -> None:
    assert check_queue_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "a:b", "a\nb", "a\x00b", "\ud800", "a" * (MAX_ID_CHARS + 1), None, 3, ["mail"]]
)
def test_a_queue_name_that_would_break_a_key_is_refused(name: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"^queue="):
        check_queue_name(name)


@pytest.mark.parametrize(
    "job_id", ["", "a:b", "0", "17", "-3", "a\n", "\ud800", "x" * (MAX_ID_CHARS + 1),
               *sorted(RESERVED_JOB_IDS), None, 7],
)  # fmt: skip
def test_a_job_id_that_could_be_mistaken_is_refused(job_id: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"^job_id="):
        check_job_id(job_id)


@pytest.mark.parametrize("job_id", ["order-17", "007", "1.5", "é", "Wait", "x" * MAX_ID_CHARS])
def test_other_job_ids_are_the_callers_own(job_id: str) -> None:
    assert check_job_id(job_id) == job_id


def test_no_two_worker_ids_are_alike() -> None:
    assert len({new_worker_id() for _ in range(100)}) == 100


def test_refusals_name_the_option_its_value_and_what_would_do() -> None:
    require(True, "limit", 3, "an integer from 1")
    with pytest.raises(InvalidOptionError, match=r"^limit=0: expected an integer from 1$"):
        require(False, "limit", 0, "an integer from 1")


def test_an_unknown_word_is_answered_with_the_nearest_or_with_all() -> None:
    assert nearest("hevy", ["light", "heavy"]) == "heavy"
    assert unknown("profile", "hevy", ["light", "heavy"]) == (
        "unknown profile 'hevy': did you mean 'heavy'?"
    )
    assert unknown("profile", "xyz", ["b", "a"]) == "unknown profile 'xyz': known are a, b"
    assert unknown("profile", "xyz", []) == "unknown profile 'xyz': known are none"


@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_moments_and_milliseconds_are_the_same(at_ms: int) -> None:
    assert epoch_ms(moment(at_ms)) == at_ms
    assert moment(at_ms).tzinfo is UTC


@given(st.integers(min_value=253_402_300_800_000) | st.integers(max_value=-62_135_596_800_001))
def test_moments_that_have_no_date_are_the_last_or_the_first(at_ms: int) -> None:
    """One such moment in a store made every page that had its job raise."""
    assert moment(at_ms) == (LAST if at_ms > 0 else FIRST)


def test_the_hosts_clock_has_both_readings() -> None:
    clock = SystemClock()
    assert abs(clock.now_ms() - datetime.now(UTC).timestamp() * 1000) < 60_000
    assert clock.steady_ms() <= clock.steady_ms()


@pytest.mark.parametrize(
    "error",
    [
        InvalidPayloadError("send", "to", "missing"),
        PayloadTooLargeError("send", "(payload)", "300 bytes"),
        JobFailedError("no answer", job_id="17", queue="mail"),
        ResultTimeoutError("not yet", job_id="17", queue="mail"),
        InvalidOptionError("limit=0"),
    ],
)
def test_errors_travel_between_processes(error: TorilError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert (str(twin), vars(twin)) == (str(error), vars(error))


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = {}
    stack: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ")
        if not name.strip().split(" ")[0].endswith("Error"):
            continue
        depth = (len(name) - len(name.lstrip())) // 4
        word = name.split()[0]
        drawn[word] = stack[depth - 1] if depth else "Exception"
        stack[depth:] = [word]
    real = {
        kind.__name__: kind.__bases__[0].__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, TorilError)
    }
    assert drawn == real
