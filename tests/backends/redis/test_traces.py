"""Each attempt has its own stack trace, whoever else has failed the job."""

from __future__ import annotations

from toril.backends.redis import records, traces
from toril.engine.job import Attempt

NODE = "Error: no brush\n    at Worker"


def attempt(number: int) -> Attempt:
    return Attempt(number=number, started_ms=1, ended_ms=2, worker_id="w", outcome="retried")


def assigned(marks: list[str | bool], kept: list[str]) -> tuple[list[str | None], str | None]:
    """Return the trace of each attempt, and the one that is nobody's."""
    attempts = [attempt(number) for number in range(len(marks))]
    rest = traces.assign(attempts, marks, kept)
    return [one.traceback for one in attempts], rest


def test_trace_is_found_by_its_mark_between_those_of_node() -> None:
    """They went by their order from the newest on: Node's stood with Toril's attempt."""
    marks: list[str | bool] = [traces.mark("a"), traces.mark("b")]

    assert assigned(marks, ["a", NODE, "b", NODE]) == (["a", "b"], NODE)
    assert assigned(marks, [NODE, "a", "b"]) == (["a", "b"], None)


def test_trace_that_is_not_kept_any_more_is_nobodys() -> None:
    marks: list[str | bool] = [traces.mark("a"), False, traces.mark("b")]

    assert assigned(marks, ["b", NODE]) == ([None, None, "b"], NODE)
    assert assigned(marks, []) == ([None, None, None], None)


def test_same_traces_go_to_the_newest_attempts() -> None:
    marks: list[str | bool] = [traces.mark("a")] * 3

    assert assigned(marks, ["a", "a"]) == ([None, "a", "a"], None)


def test_attempts_of_older_versions_have_no_marks_and_go_by_the_order() -> None:
    assert assigned([True, True], ["a", "b"]) == (["a", "b"], None)
    assert assigned([True, traces.mark("b")], ["a", "b", NODE]) == (["a", "b"], NODE)


def test_mark_takes_any_text() -> None:
    assert len(traces.mark("half \ud83e")) == traces.MARK_CHARS
    assert traces.mark("a") != traces.mark("b")


def test_history_of_somebody_else_is_passed_over() -> None:
    good = '5 {"number":2,"startedMs":3,"workerId":"w","outcome":"retried","traced":"x"}'
    for bad in ('1 {"number":"x"}', "1 []", "x", "", '1 {"number":1}', "1 " + "[" * 3000, "\x00"):
        attempts, _ = records.history(f"{bad}\n{good}\n{bad}", '["t"]')
        assert [one.number for one in attempts] == [2]
    assert records.history(good, "[1]")[1] is None
    assert records.history(good, "[" * 3000)[1] is None


def test_list_is_read_whole_or_not_at_all() -> None:
    assert traces.read('["a","b"]') == ["a", "b"]
    assert traces.read(None) == []
    assert traces.read("") == []
    assert traces.read("[1]") == []


def test_mark_that_no_trace_has_finds_not_even_the_oldest() -> None:
    assert assigned(["nowhere"], [NODE]) == ([None], NODE)
    assert assigned(["nowhere"], [NODE, NODE]) == ([None], NODE)
