"""What is wrong with a queue is logged once a minute, and not once a claim."""

from __future__ import annotations

import pytest

from toril.backends.redis import problems
from toril.backends.redis.problems import AGAIN_S, Problems


class Clock:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(problems, "time", clock)
    return clock


def test_problem_is_logged_with_queue_and_way_out(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    Problems().report("mail", "wait is a string")

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("toril.redis", "WARNING")
    assert "queue 'mail' cannot be worked" in record.getMessage()
    assert "wait is a string. `toril doctor` names" in record.getMessage()


def test_same_problem_is_logged_again_after_a_minute_and_not_before(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    found = Problems()
    for later_s, logged in ((0.0, 1), (AGAIN_S - 0.5, 1), (0.5, 2), (1.0, 2), (AGAIN_S - 1.0, 3)):
        clock.now_s += later_s
        found.report("mail", "wait is a string")
        assert len(caplog.records) == logged, later_s


def test_other_problem_and_other_queue_are_logged_at_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    found = Problems()
    for queue, text in (("mail", "one"), ("mail", "two"), ("paint", "one"), ("mail", "one")):
        found.report(queue, text)

    assert len(caplog.records) == 3


def test_what_was_logged_before_the_last_minute_is_forgotten(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Texts name keys, of which there is no end."""
    found = Problems()
    for number in range(100):
        found.report("mail", f"key {number}")
    clock.now_s += AGAIN_S / 2
    found.report("mail", "kept")

    clock.now_s += AGAIN_S / 2
    found.report("mail", "new")

    assert set(found._said_until_s) == {("mail", "kept"), ("mail", "new")}


def test_minute_is_a_minute() -> None:
    assert AGAIN_S == 60.0
