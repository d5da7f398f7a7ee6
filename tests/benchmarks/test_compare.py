"""Two commits measured in turn: the program at work on few jobs, and its arithmetic."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.comparison import CPU, NO_DIFFERENCE, Side, in_words, measured_in_turn
from benchmarks.isolated import MeasurementError
from benchmarks.order import Order, Values
from benchmarks.plan import Planner
from benchmarks.rows import Group
from benchmarks.sizes import FULL
from tests.support.waiting import wait_until_sync

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-m", "benchmarks.compare"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280
    )


def trees() -> int:
    return git("worktree", "list", "--porcelain").count("/toril-base-")


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def planned(name: str) -> list[Group]:
    planner = Planner(sizes=FULL, peers=[], memory_bytes=0)
    return planner.groups(["redis"], ["full"], [name])


def test_a_commit_that_does_not_exist_is_answered_with_one_sentence() -> None:
    done = run("no-such-commit")

    assert done.returncode == 2
    assert done.stderr == "BASE=no-such-commit: there is no such commit in this repository\n"


def test_two_sides_are_measured_and_nothing_is_left_behind() -> None:
    before = trees()

    done = run("HEAD", "--only", "add-alone", "--store", "sqlite", "--rounds", "1",
               "--jobs-scale", "0.01")  # fmt: skip

    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| add, each")]
    assert line.count(" × ") == 2
    assert f"HEAD ({git('rev-parse', '--short', 'HEAD')})" in done.stdout
    assert trees() == before


def test_an_interrupted_comparison_puts_everything_away() -> None:
    before = trees()
    process = subprocess.Popen([*COMMAND, "HEAD"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        wait_until_sync(lambda: trees() > before or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == 130
    assert said.endswith("interrupted; everything was put away\n")
    assert trees() == before


def test_ratios_are_made_within_a_round() -> None:
    (group,) = planned("add-alone")
    # The machine is ten times slower in the second round, and the tree 1.5 times faster in both.
    rates = iter([100.0, 150.0, 150.0, 100.0, 10.0, 15.0, 15.0, 10.0])
    asked: list[Side] = []

    def measure(side: Side, order: Order) -> Values:
        asked.append(side)
        return {"per_s": next(rates), CPU: 2.0 if side == "base" else 1.0}

    found = measured_in_turn(group.orders, rounds=2, measure=measure, tell=lambda _: None)
    line = in_words([group], found, base="old", here="new").splitlines()[-1]

    assert asked == ["base", "here", "here", "base"] * 2
    assert "| 1.500 × (1.500 to 1.500) | 2.000 × (2.000 to 2.000) |" in line


def test_less_is_better_where_it_is_and_rounds_that_differ_show_nothing() -> None:
    (group,) = planned("pickup-one")
    latencies = iter([2.0, 1.0, 1.0, 2.0, 1.0, 2.0, 2.0, 1.0, 3.0, 1.0, 1.0, 3.0])

    def measure(side: Side, order: Order) -> Values:
        found = next(latencies)
        return {"p50_ms": found, "p99_ms": found, "p999_ms": found, CPU: 1.0}

    found = measured_in_turn(group.orders, rounds=3, measure=measure, tell=lambda _: None)
    line = in_words([group], found, base="old", here="new").splitlines()[2]

    assert f"2.000 × (0.500 to 3.000), {NO_DIFFERENCE}" in line


def test_what_fails_is_given_up_and_the_rest_goes_on() -> None:
    groups = [*planned("add-alone"), *planned("add-bulk")]

    def measure(side: Side, order: Order) -> Values:
        if order.work == "adding.alone":
            raise MeasurementError("it broke")
        return {"per_s": 1.0, CPU: 1.0}

    orders = [order for group in groups for order in group.orders]
    found = measured_in_turn(orders, rounds=2, measure=measure, tell=lambda _: None)

    assert [one.trouble for one in found] == ["it broke", None]
    assert "each awaited" not in in_words(groups, found, base="old", here="new")
