"""The benchmark program at work: few jobs, no look at how fast."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.document import BEGIN, END, check, write
from benchmarks.figures import Series, figures_of
from benchmarks.latencies import percentile, percentiles_ms
from benchmarks.plan import Group, Planner
from benchmarks.runs import Found
from benchmarks.sizes import FULL, QUICK
from benchmarks.table import number

ROOT = Path(__file__).resolve().parent.parent.parent
HAS_HUEY = importlib.util.find_spec("huey") is not None
ONLY_DASHES = {"process, process task, 100 at once", "process, process task, 1,000 at once"}
"""What the quick form leaves out."""
GIB = 2**30


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--jobs-scale", "0.01", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def planned(*only: str, memory_bytes: int = 64 * GIB, with_huey: bool = True) -> list[Group]:
    planner = Planner(sizes=FULL, with_huey=with_huey, memory_bytes=memory_bytes)
    return planner.groups(["full", "normal"], only)


@pytest.mark.timeout(120)
def test_every_figure_is_there_and_is_a_number(tmp_path: Path) -> None:
    facts, document = tmp_path / "figures.json", tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    done = run("--durability", "normal", "--json", str(facts), "--write", str(document))

    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(facts.read_text())
    figures = found["figures"]
    groups = Planner(sizes=QUICK, with_huey=HAS_HUEY, memory_bytes=64 * GIB).groups(["normal"], [])
    assert {figure["group"] for figure in figures} >= {group.name for group in groups}
    for figure in figures:
        if figure["title"] in ONLY_DASHES:
            assert figure["toril"] is None
            assert figure["note"]
            continue
        values = [figure["toril"][name] for name in ("median", "least", "most")]
        assert all(math.isfinite(value) and value >= 0 for value in values), figure
    compared = [figure for figure in figures if figure["advantage"] is not None]
    assert bool(compared) == HAS_HUEY
    assert f"* Date: {found['machine']['date']}" in done.stdout
    assert "nothing but a trial of the program" in done.stdout
    page = document.read_text()
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert done.stdout.strip() in page
    assert "old" not in page


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    done = run("--only", "pikup-one")

    assert done.returncode == 2
    assert "did you mean pickup-one?" in done.stderr


def test_a_document_without_marks_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("no marks\n")

    done = run("--write", str(document))

    assert done.returncode == 2
    assert "benchmarks: begin" in done.stderr
    assert document.read_text() == "no marks\n"


def test_the_documentation_has_the_marks() -> None:
    check(ROOT / "docs" / "benchmarks.md")


def test_writing_twice_leaves_one_report(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"{BEGIN}{END}")

    write(document, "first\n")
    write(document, "second\n")

    assert document.read_text() == f"{BEGIN}\n\nsecond\n\n{END}"


def test_names_choose_whole_groups() -> None:
    assert {group.name for group in planned("process-1")} == {"process-1"}
    assert {group.name for group in planned("pickup")} == {"pickup-one", "pickup-two"}
    assert [group.section for group in planned("claim")] == ["full", "normal"]
    with pytest.raises(ValueError, match="there is none"):
        planned("proc")


def test_both_peers_have_their_turn_in_a_group() -> None:
    (full, normal) = planned("process-10")

    assert [order.peer for order in full.orders] == ["toril", "huey", "toril", "toril"]
    assert {order.durability for order in normal.orders} == {"normal"}


def test_a_peer_that_is_not_installed_is_left_out() -> None:
    groups = planned(with_huey=False)

    assert {order.peer for group in groups for order in group.orders} == {"toril"}


def test_child_processes_need_memory() -> None:
    (group, _) = planned("process-100", memory_bytes=GIB)

    assert group.rows[-1].ours is None
    assert group.rows[-1].note == "100 child processes need about 6.2 GiB; 1.0 GiB were free"


def test_a_percentile_is_one_of_the_values() -> None:
    ordered = list(range(1, 2001))

    assert [percentile(ordered, share) for share in (0.5, 0.99, 0.999)] == [1000, 1980, 1998]
    assert percentile([7], 0.5) == 7


def test_the_warm_up_is_the_earliest_samples_and_not_the_first_to_arrive() -> None:
    samples = [(3, 1_000_000), (1, 9_000_000), (2, 2_000_000)]

    found = percentiles_ms(samples, warm_up=1)

    assert (found["p50_ms"], found["p99_ms"], found["p999_ms"]) == (1.0, 2.0, 2.0)
    assert found["samples"] == 2


def test_a_peer_that_cannot_keep_up_has_no_ratio() -> None:
    (group, _) = planned("pickup-two")
    ours, theirs = group.orders
    falling_behind = percentiles_ms([(due, due * 10_000_000) for due in range(100)], warm_up=0)
    steady = percentiles_ms([(due, 1_000_000) for due in range(100)], warm_up=0)

    figure = figures_of([Found(group, answers={ours: [steady], theirs: [falling_behind]})])[0]

    assert figure.advantage is None
    assert figure.huey is not None
    assert figure.note is not None
    assert "could not keep up" in figure.note


def test_a_series_is_the_median_with_least_and_most() -> None:
    assert Series.of([5.0, 1.0, 3.0]) == Series(3.0, 1.0, 5.0, 3)


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123")]
)
def test_numbers_have_three_digits_or_more(value: float, text: str) -> None:
    assert number(value) == text
