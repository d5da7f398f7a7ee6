"""The queues for Python beside Toril: each at work, and their table. No look at how fast."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
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
from benchmarks.python_plan import HEADINGS, ON_POSTGRESQL
from benchmarks.python_table import python_table
from benchmarks.rows import Group
from benchmarks.runs import Found
from benchmarks.sections import REDIS
from benchmarks.sizes import FULL
from benchmarks.stores import fresh_store
from benchmarks.table import number
from tests.support import postgres

EVERYBODY: list[Peer] = list(PYTHON_PEERS)
# One of each sort, as each needs an environment of its own; of those on PostgreSQL one is in a
# report below. All: `TORIL_PEERS=all`.
ONE_OF_EACH: list[Peer] = ["celery", "taskiq", "flexiq"]
AT_WORK = EVERYBODY if os.environ.get("TORIL_PEERS") == "all" else ONE_OF_EACH
OF_COLUMNS: list[Peer] = ["huey", "bullmq_node", "bullmq_python"]
TRIAL = ("--quick", "--jobs-scale", "0.01")


def planned(*only: str, store: Store = "redis", peers: Sequence[Peer] = EVERYBODY) -> list[Group]:
    planner = Planner(sizes=FULL, peers=OF_COLUMNS, memory_bytes=2**36, python_peers=peers)
    return planner.groups([store], ["full", "normal"], only)


@pytest.mark.parametrize("peer", AT_WORK)
def test_a_queue_does_what_it_is_measured_at(peer: Peer, tmp_path: Path) -> None:
    it = PYTHON_PEERS[peer]
    # As whom PostgreSQL runs may not enter pytest's folders.
    folder = Path(tempfile.gettempdir()) if it.store == "postgresql" else tmp_path
    # One at once needs one process: one of several might do all before the others are there.
    few = Order(peer=peer, work="", store=it.store, jobs=20, warm_up=4, concurrency=1, producers=2)
    # One by one and all at once are the same but for the number of producers.
    for work in (work for work in it.works if work != "adding.alone"):
        order = msgspec.structs.replace(few, work=work)
        with fresh_store(it.store, folder) as where:
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
    groups = [*planned(), *planned(store="sqlite"), *planned(store="postgresql")]
    asked = [order for group in groups for order in group.orders if order.peer in PYTHON_PEERS]

    assert {order.peer for order in asked} == set(EVERYBODY)
    assert all(order.work in PYTHON_PEERS[order.peer].works for order in asked)


def test_toril_has_one_turn_for_the_figures_that_both_tables_show() -> None:
    alone = planned(peers=[])
    beside_others = planned()

    for without, beside in zip(alone, beside_others, strict=True):
        ours = [order for order in beside.orders if order.peer == "toril"]
        assert ours == [order for order in without.orders if order.peer == "toril"]


def test_on_postgresql_toril_is_measured_on_a_file_that_survives_a_loss_of_power() -> None:
    groups = planned(store="postgresql")
    on_sqlite = [order for group in planned(store="sqlite") for order in group.orders]

    assert tuple(group.name for group in groups) == ON_POSTGRESQL
    for group in groups:
        ours = [order for order in group.orders if order.peer == "toril"]
        assert [(order.store, order.durability) for order in ours] == [("sqlite", "full")]
        # The same that stands beside others there.
        assert ours[0] in on_sqlite
        theirs = [order for order in group.orders if order.peer != "toril"]
        assert {order.peer: order.store for order in theirs} == {
            "procrastinate": "postgresql",
            "pgqueuer": "postgresql",
        }


def test_without_a_queue_on_postgresql_nothing_is_measured_there() -> None:
    assert planned(store="postgresql", peers=["celery", "flexiq"]) == []


def test_the_report_on_postgresql_says_on_what_toril_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "figures.json"
    to_measure = ("--only", "add-alone", "pickup", "--peers", "pgqueuer", "celery")

    code = main([*TRIAL, "--store", "postgresql", *to_measure, "--json", str(facts)])

    said = capsys.readouterr().out
    assert code == 0, said
    assert "| Queue | Tasks | add, one by one | pick-up p50, ms" in said
    assert "| Toril on SQLite | coroutines | " in said
    assert "| pgqueuer | coroutines | " in said
    assert "* Store: PostgreSQL " in said
    assert "Celery" not in said
    figures = json.loads(facts.read_text())["figures"]
    assert {figure["section"] for figure in figures} == {"postgresql"}


@pytest.fixture
def no_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have none, and no way to install one."""
    for program in ("redis-server", "node", "npm"):
        if found := shutil.which(program):
            (tmp_path / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "_BINARIES", str(tmp_path / "*" / "bin"))


@pytest.mark.usefixtures("no_postgresql")
def test_a_machine_without_postgresql_measures_the_rest_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main([*TRIAL, "--only", "add-alone", "--durability", "full", "--peers", "pgqueuer"])

    said = capsys.readouterr()
    assert code == 0, said.err
    assert "PostgreSQL is left out: PostgreSQL is needed and not under" in said.out
    assert "this machine has no apt-get." in said.out
    assert "| add, each awaited before the next | jobs/s |" in said.out
    assert "pgqueuer" not in said.out


@pytest.mark.usefixtures("no_postgresql")
def test_a_machine_without_postgresql_cannot_measure_it_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main([*TRIAL, "--store", "postgresql"])

    assert "PostgreSQL is needed" in capsys.readouterr().err


def test_postgresql_alone_needs_somebody_to_stand_beside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main([*TRIAL, "--store", "postgresql", "--peers", "celery"])

    assert "needs one of --peers procrastinate pgqueuer" in capsys.readouterr().err


def test_titles_and_names_are_unique() -> None:
    names = [group.name for group in planned()]
    lines = [(group.name, row.title) for group in planned() for row in group.rows]
    twice = [line for line in set(lines) if lines.count(line) > 1]
    assert len(set(names)) == len(names)
    assert twice == [("claim", "… times as long at the second")]
    assert len({it.title for it in PYTHON_PEERS.values()}) == len(PYTHON_PEERS)
    assert set(HEADINGS) <= {group.name for group in planned()}
    assert set(ON_POSTGRESQL) <= set(HEADINGS)


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

    parts = python_table(REDIS, figures_of([Found(group, answers=answers)]), notes, number)

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

    *_, table = python_table(REDIS, figures_of(everybody), notes, number)

    assert "| arq | coroutines | 10.0 (1.00 ×) | 10.0 (1.00 ×) | – |" in table
    assert "SAQ" not in table
    assert notes == ["failed: saq adding.alone redis", "failed: saq adding.concurrent redis"]
    assert "add, one by one (1)" in table


def test_a_section_without_them_has_no_such_table() -> None:
    (group,) = planned("add-alone", peers=[])

    assert python_table(REDIS, figures_of([Found(group)]), [], number) == []


def test_a_rate_counts_from_when_all_processes_are_there() -> None:
    second = 1_000_000_000
    early = [Run(n * second, 0, 1) for n in range(10)]
    late = [Run(n * second, 0, 1 + n % 2) for n in range(10, 20)]

    assert per_s(early + late, warm_up=2) == pytest.approx(1.0)
    with pytest.raises(RuntimeError, match="no more than 1 runs"):
        per_s([*early, Run(10 * second, 0, 2), Run(11 * second, 0, 1)], warm_up=2)


def test_every_peer_of_a_column_is_a_name_too() -> None:
    assert set(get_args(Peer)) == {"toril", *OF_COLUMNS, *PYTHON_PEERS}
