"""The benchmark program at work: few jobs, no look at how fast."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from benchmarks.commands import count
from benchmarks.document import check, marks, write
from benchmarks.figures import Series, figures_of
from benchmarks.latencies import Sample, kept_up, percentile, percentiles_ms
from benchmarks.order import Peer, Store
from benchmarks.plan import Planner
from benchmarks.rows import Group
from benchmarks.runs import Found, in_random_order
from benchmarks.sections import BEYOND_NORMAL, BEYOND_REDIS, PEERS
from benchmarks.sizes import FULL, QUICK
from benchmarks.table import number
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent.parent
ALL: list[Peer] = list(get_args(Peer))
ONLY_DASHES = {"process, process task, 100 at once", "process, process task, 1,000 at once"}
"""What the quick form leaves out."""
WITH_COLUMNS: list[Store] = [store for store in get_args(Store) if PEERS[store]]
"""Where others are columns; a store without them has queues for Python only."""
SCALE = 0.01
"""Of the quick form's jobs."""
GIB = 2**30


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    trial = ["--quick", "--jobs-scale", str(SCALE)]
    command = [sys.executable, "-m", "benchmarks", *trial, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=560)


def planned(
    store: Store, *only: str, memory_bytes: int = 64 * GIB, peers: list[Peer] = ALL
) -> list[Group]:
    planner = Planner(sizes=FULL, peers=peers, memory_bytes=memory_bytes)
    return planner.groups([store], ["full", "normal"], only)


@pytest.mark.timeout(580)  # the first run may have to install BullMQ for Node
@pytest.mark.parametrize(
    ("store", "beyond"), [*((store, False) for store in WITH_COLUMNS), ("redis", True)]
)  # what is beyond the columns is measured alike on each store
def test_every_figure_is_there_and_is_a_number(store: Store, beyond: bool, tmp_path: Path) -> None:
    facts, document = tmp_path / "figures.json", tmp_path / "page.md"
    begin, end = marks(store)
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    planner = Planner(sizes=replace(QUICK, scale=SCALE), peers=ALL, memory_bytes=64 * GIB)
    groups = [
        group
        for group in planner.groups([store], ["normal"], [])
        if (group.section in (BEYOND_NORMAL, BEYOND_REDIS)) is beyond
    ]

    done = run(
        *("--store", store, "--durability", "normal"),
        *("--only", *(group.name for group in groups)),
        *("--json", str(facts), "--write", str(document)),
    )

    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(facts.read_text())
    figures = found["figures"]
    best = set() if beyond else {"process-best"}
    assert {figure["group"] for figure in figures} == {group.name for group in groups} | best
    expected = {row.title: set(row.theirs) for group in groups for row in group.rows}
    for figure in figures:
        if figure["title"] in ONLY_DASHES:
            assert figure["toril"] is None
            assert figure["notes"]
            continue
        all_series = [figure["toril"], *(one["series"] for one in figure["peers"].values())]
        values = [series[name] for series in all_series for name in ("median", "least", "most")]
        assert all(math.isfinite(value) and value >= 0 for value in values), figure
        assert set(figure["peers"]) == expected.get(figure["title"], set(PEERS[store]))
    assert any(one["advantage"] for figure in figures for one in figure["peers"].values())
    assert f"* Date: {found['machine']['date']}" in done.stdout
    assert "nothing but a trial of the program" in done.stdout
    page = document.read_text()
    assert page.startswith(f"before\n{begin}\n")
    assert page.endswith(f"{end}\nafter\n")
    assert done.stdout.strip() in page
    assert "old" not in page


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    done = run("--only", "pikup-one")

    assert done.returncode == 2
    assert "did you mean pickup-one?" in done.stderr


def test_the_quick_form_says_what_it_leaves_out(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("".join(marks("sqlite")))

    done = run("--store", "sqlite", "--write", str(document))

    assert done.returncode == 0, done.stderr
    (how,) = [line for line in done.stdout.splitlines() if line.startswith("* How:")]
    _, _, left_out = how.partition("left out: ")
    assert {"process-10", "claim", "cpu", "start"} < set(left_out.split(";")[0].split(", "))
    assert "add, each awaited" in done.stdout
    assert "durability `normal`" not in done.stdout
    assert "](page-sqlite.svg)" in document.read_text()
    assert (tmp_path / "page-sqlite.svg").is_file()


def test_a_document_without_marks_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("no marks\n")

    done = run("--store", "redis", "--write", str(document))

    assert done.returncode == 2
    assert "benchmarks on redis: begin" in done.stderr
    assert document.read_text() == "no marks\n"


def test_the_documentation_has_the_marks() -> None:
    check(ROOT / "docs" / "benchmarks.md", get_args(Store))


def test_writing_twice_leaves_one_report_and_that_of_the_other_store(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    (sqlite, end), (redis, last) = marks("sqlite"), marks("redis")
    document.write_text(f"{sqlite}{end}\n{redis}{last}")

    write(document, "redis", "its own\n")
    write(document, "sqlite", "first\n")
    write(document, "sqlite", "second\n")

    expected = f"{sqlite}\n\nsecond\n\n{end}\n{redis}\n\nits own\n\n{last}"
    assert document.read_text() == expected


def test_names_choose_whole_groups() -> None:
    assert {group.name for group in planned("sqlite", "process-1")} == {"process-1"}
    pickups = {group.name for group in planned("redis", "pickup")}
    assert pickups == {"pickup-one", "pickup-two", "pickup-slow", "pickup-fast"}
    assert [group.section.name for group in planned("sqlite", "claim")] == ["full", "normal"]
    with pytest.raises(ValueError, match="there is none"):
        planned("redis", "proc")


def test_what_is_measured_on_a_file_is_measured_on_a_server() -> None:
    on_redis = {group.name for group in planned("redis")}

    assert {group.name for group in planned("sqlite")} - on_redis == {"idle"}
    assert on_redis >= {"idle-one", "idle-many"}


def test_all_peers_have_their_turn_in_a_group() -> None:
    (full, normal) = planned("sqlite", "process-10")
    (redis,) = planned("redis", "process-10")

    assert [order.peer for order in full.orders] == ["toril", "huey", "toril", "toril"]
    assert {order.durability for order in normal.orders} == {"normal"}
    beside = ["toril", "bullmq_node", "bullmq_python", "toril", "toril"]
    assert [order.peer for order in redis.orders] == beside


def test_a_seed_gives_the_same_order_again_and_another_for_the_next_run() -> None:
    (group,) = planned("redis", "process-10")

    drawn = [in_random_order(group, seed=7, run=run) for run in range(20)]

    assert drawn == [in_random_order(group, seed=7, run=run) for run in range(20)]
    assert all(set(orders) == set(group.orders) for orders in drawn)
    assert len({orders[0] for orders in drawn}) == len(group.orders)
    assert drawn != [in_random_order(group, seed=8, run=run) for run in range(20)]


def test_a_peer_that_is_not_installed_is_left_out() -> None:
    groups = planned("redis", peers=["bullmq_node"])

    assert {order.peer for group in groups for order in group.orders} == {"toril", "bullmq_node"}


def test_an_idle_worker_is_watched_for_as_long_as_what_it_does_once_a_minute() -> None:
    (_, many) = planned("redis", "idle")

    assert {order.duration_s for order in many.orders} == {60.0}
    assert {order.queues for order in many.orders} == {50}


def test_commands_of_scripts_are_told_from_those_of_clients(tmp_path: Path) -> None:
    script = 'for i = 1, 10 do redis.call("SET", "x", i) end'

    with RedisServer.start(tmp_path) as server:
        calls, sent = count(server.url, lambda: server.command("EVAL", script, 0))

    assert (calls, sent) == (11, 1)


def test_child_processes_need_memory() -> None:
    (group, _) = planned("sqlite", "process-100", memory_bytes=GIB)

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


def scheduled(per_s: int, jobs: int, late_ms: Callable[[int], float]) -> list[Sample]:
    step_ns = 1_000_000_000 // per_s
    return [(i * step_ns, round(late_ms(i) * 1e6)) for i in range(jobs)]


@pytest.mark.parametrize(
    ("late_ms", "expected"),
    [
        pytest.param(lambda i: 2.0 + i % 3, True, id="as fast as they come"),
        pytest.param(lambda i: i % 1_000 / 2, True, id="a look every 500 ms"),
        pytest.param(
            lambda i: 400.0 if 4_000 <= i < 6_000 else 3.0, True, id="a pause, made up for"
        ),
        pytest.param(lambda i: 2.0 + i * 0.002, True, id="later by 20 ms in 5 s"),
        pytest.param(lambda i: 2.0 + i * 0.01, False, id="98 of 100 jobs, 100 ms late in the end"),
        pytest.param(lambda i: i * 0.5, False, id="half of the jobs"),
        pytest.param(lambda i: 80.0 + i % 10, False, id="always behind by the same"),
        pytest.param(lambda i: 3.0 if i < 7_000 else 300.0, False, id="behind since a pause"),
    ],
)
def test_a_queue_keeps_up_if_its_line_is_empty_now_and_then(
    late_ms: Callable[[int], float], expected: bool
) -> None:
    assert kept_up(percentiles_ms(scheduled(2_000, 10_000, late_ms), warm_up=0)) is expected


def test_how_much_later_is_too_much_depends_on_the_length_of_the_schedule() -> None:
    def later(i: int) -> float:
        return 2.0 + i * 60 / 10_000

    in_5_s = percentiles_ms(scheduled(2_000, 10_000, later), warm_up=0)
    in_50_s = percentiles_ms(scheduled(200, 10_000, later), warm_up=0)

    assert in_5_s["drift_ms"] == pytest.approx(in_50_s["drift_ms"])
    assert in_5_s["shortfall"] == pytest.approx(0.012, rel=0.01)
    assert (kept_up(in_5_s), kept_up(in_50_s)) == (False, True)


def test_a_rate_has_no_schedule_to_keep() -> None:
    assert kept_up({"per_s": 3.0})


def test_a_peer_that_cannot_keep_up_has_no_ratio() -> None:
    (group,) = planned("redis", "pickup-two")
    ours, node, python = group.orders
    falling_behind = percentiles_ms([(due, due * 10_000_000) for due in range(100)], warm_up=0)
    steady = percentiles_ms([(due, 1_000_000) for due in range(100)], warm_up=0)
    answers = {ours: [steady], node: [falling_behind], python: [steady]}

    figure = figures_of([Found(group, answers=answers)])[0]

    assert figure.peers["bullmq_node"].advantage is None
    assert figure.peers["bullmq_python"].advantage == 1.0
    assert figure.notes == [f"could not keep up with the rate, so no ratio: {node.label}"]


def test_a_peer_that_failed_has_a_dash_and_a_note() -> None:
    (group,) = planned("redis", "add-alone")
    ours, node, python = group.orders
    answers = {ours: [{"per_s": 30.0}], python: [{"per_s": 10.0}]}

    (figure,) = figures_of([Found(group, answers=answers, failures={node: "it broke"})])

    assert figure.peers.keys() == {"bullmq_python"}
    assert figure.peers["bullmq_python"].advantage == 3.0
    assert figure.notes == [f"failed: {node.label}"]


def test_a_series_is_the_median_with_least_and_most() -> None:
    assert Series.of([5.0, 1.0, 3.0]) == Series(3.0, 1.0, 5.0, 3)


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123")]
)
def test_numbers_have_three_digits_or_more(value: float, text: str) -> None:
    assert number(value) == text
