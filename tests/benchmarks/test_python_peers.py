"""The queues for Python beside Toril: each at work, and their table. No look at how fast."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from benchmarks.figures import figures_of
from benchmarks.isolated import measure
from benchmarks.order import Order, Peer, Store
from benchmarks.plan import Planner
from benchmarks.program import main
from benchmarks.python_figures.tally import Run, per_s
from benchmarks.python_peers import PYTHON_PEERS, on_store
from benchmarks.python_plan import HEADINGS
from benchmarks.python_table import python_table
from benchmarks.rows import Group
from benchmarks.runs import Found
from benchmarks.sizes import FULL
from benchmarks.stores import fresh_store
from benchmarks.table import number

EVERYBODY: list[Peer] = list(PYTHON_PEERS)
# One of each sort, as each needs an environment of its own. All: `TORIL_PEERS=all`.
AT_WORK: list[Peer] = (
    EVERYBODY if os.environ.get("TORIL_PEERS") == "all" else ["celery", "taskiq", "flexiq"]
)
OF_COLUMNS: list[Peer] = ["huey", "bullmq_node", "bullmq_python"]


def planned(*only: str, store: Store = "redis", peers: Sequence[Peer] = EVERYBODY) -> list[Group]:
    planner = Planner(sizes=FULL, peers=OF_COLUMNS, memory_bytes=2**36, python_peers=peers)
    return planner.groups([store], ["full", "normal"], only)


@pytest.mark.timeout(300)  # the first run makes an environment for each
@pytest.mark.parametrize("peer", AT_WORK)
def test_a_queue_does_what_it_is_measured_at(peer: Peer, tmp_path: Path) -> None:
    it = PYTHON_PEERS[peer]
    # One at once needs one process: one of several might do all before the others are there.
    few = Order(peer=peer, work="", store=it.store, jobs=20, warm_up=4, concurrency=1, producers=2)
    # One by one and all at once are the same but for the number of producers.
    for work in (work for work in it.works if work != "adding.alone"):
        order = msgspec.structs.replace(few, work=work)
        with fresh_store(it.store, tmp_path) as where:
            found = measure(order, where)
        if work.startswith("pickup"):
            assert found["samples"] == 20
            assert found["p99_ms"] >= found["p50_ms"] > 0
        else:
            assert found["per_s"] > 0


def test_a_queue_stands_beside_the_durability_that_it_has() -> None:
    groups = planned("process-10", store="sqlite")

    beside = {o.durability for group in groups for o in group.orders if o.peer == "flexiq"}
    assert beside == {"normal"}


def test_they_have_their_turns_in_the_groups_of_everybody() -> None:
    (group,) = planned("process-100")

    who = [order.peer for order in group.orders]
    assert who[:3] == ["toril", "bullmq_node", "bullmq_python"]
    assert set(on_store("redis")) < set(who)
    assert len(set(group.orders)) == len(who)


def test_nobody_is_asked_for_what_it_cannot_do() -> None:
    groups = [*planned(), *planned(store="sqlite")]
    asked = [order for group in groups for order in group.orders if order.peer in PYTHON_PEERS]

    assert {order.peer for order in asked} == set(EVERYBODY)
    assert all(order.work in PYTHON_PEERS[order.peer].works for order in asked)


def test_toril_has_one_turn_for_the_figures_that_both_tables_show() -> None:
    alone = planned(peers=[])
    beside_others = planned()

    for without, beside in zip(alone, beside_others, strict=True):
        ours = [order for order in beside.orders if order.peer == "toril"]
        assert ours == [order for order in without.orders if order.peer == "toril"]


def test_titles_and_names_are_unique() -> None:
    names = [group.name for group in planned()]
    lines = [(group.name, row.title) for group in planned() for row in group.rows]
    twice = [line for line in set(lines) if lines.count(line) > 1]
    assert len(set(names)) == len(names)
    assert twice == [("claim", "… times as long at the second")]
    assert len({it.title for it in PYTHON_PEERS.values()}) == len(PYTHON_PEERS)
    assert set(HEADINGS) <= {group.name for group in planned()}


def test_an_unknown_peer_is_answered_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--peers", "selery"])

    assert "celery" in capsys.readouterr().err


def test_each_is_a_row_with_the_ratio_that_fits_its_tasks() -> None:
    (group,) = planned("process-10", peers=["celery", "arq"])
    rates = {("toril", "loop"): 900.0, ("toril", "thread"): 400.0}
    answers = {
        order: [{"per_s": rates.get((order.peer, order.run_in), 100.0)}] for order in group.orders
    }
    notes: list[str] = []

    parts = python_table("Redis", figures_of([Found(group, answers=answers)]), notes, number)

    assert parts[-1].splitlines() == [
        "| Queue | Tasks | process, 10 at once |",
        "|---|---|---:|",
        "| Toril | coroutines | 900 |",
        "| Toril | functions | 400 |",
        "| Celery | functions | 100 (4.00 ×) |",
        "| arq | coroutines | 100 (9.00 ×) |",
    ]


def test_what_a_queue_cannot_do_is_a_dash_and_a_failure_a_note() -> None:
    groups = planned("add", peers=["arq", "saq"])
    everybody = [Found(group) for group in groups]
    for found in everybody:
        for order in found.group.orders:
            if order.peer == "saq":
                found.failures[order] = "it broke"
            else:
                found.answers[order] = [{"per_s": 10.0}]
    notes: list[str] = []

    *_, table = python_table("Redis", figures_of(everybody), notes, number)

    assert "| arq | coroutines | 10.0 (1.00 ×) | 10.0 (1.00 ×) | – |" in table
    assert "SAQ" not in table
    assert notes == ["failed: saq adding.alone redis", "failed: saq adding.concurrent redis"]
    assert "add, one by one (1)" in table


def test_a_section_without_them_has_no_such_table() -> None:
    (group,) = planned("add-alone", peers=[])

    assert python_table("Redis", figures_of([Found(group)]), [], number) == []


def test_a_rate_counts_from_when_all_processes_are_there() -> None:
    second = 1_000_000_000
    early = [Run(n * second, 0, 1) for n in range(10)]
    late = [Run(n * second, 0, 1 + n % 2) for n in range(10, 20)]

    assert per_s(early + late, warm_up=2) == pytest.approx(1.0)
    with pytest.raises(RuntimeError, match="no more than 1 runs"):
        per_s([*early, Run(10 * second, 0, 2), Run(11 * second, 0, 1)], warm_up=2)


def test_every_peer_of_a_column_is_a_name_too() -> None:
    assert set(get_args(Peer)) == {"toril", *OF_COLUMNS, *PYTHON_PEERS}
