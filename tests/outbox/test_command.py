"""`toril relay`: a process that relays, and what people see of an outbox."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from tests.cli.support import Terminal
from tests.support.waiting import wait_until_sync

from toril.outbox.table import create_outbox

SHOP = """
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from toril import App

app = App("sqlite:///jobs.db", outbox="sqlite:///shop.db")


@app.task
async def ship(order: int) -> None: ...


def buy(*orders: int) -> None:
    with create_engine("sqlite:///shop.db", poolclass=NullPool).begin() as connection:
        for order in orders:
            ship.enqueue_in_sync(connection, order=order)
"""


@pytest.fixture
def shop(terminal: Terminal) -> Path:
    """A folder with an app and its database."""
    (terminal.folder / "boutique.py").write_text(SHOP)
    engine = create_engine(f"sqlite:///{terminal.folder}/shop.db", poolclass=NullPool)
    with engine.begin() as connection:
        create_outbox(connection)
    return terminal.folder


def buy(terminal: Terminal, *orders: int) -> None:
    """Commit jobs."""
    subprocess.run(
        [sys.executable, "-c", f"import boutique; boutique.buy(*{orders})"],
        cwd=terminal.folder,
        env=terminal.environment(),
        check=True,
    )


def ask(file: Path, statement: str) -> int:
    """Run a statement, commit it, and return the number that it answers, if it does."""
    with closing(sqlite3.connect(file)) as connection, connection:
        found = connection.execute(statement).fetchone()
        return 0 if found is None else int(found[0])


def spoil(folder: Path) -> None:
    """Spoil the first row."""
    first = "(SELECT min(position) FROM toril_outbox)"
    ask(folder / "shop.db", f"UPDATE toril_outbox SET options = '{{' WHERE position = {first}")


def waiting(folder: Path) -> int:
    """Return how many rows there are."""
    return ask(folder / "shop.db", "SELECT count(*) FROM toril_outbox")


def test_relay_goes_on_until_it_is_told_to_stop(terminal: Terminal, shop: Path) -> None:
    running = terminal.start("relay", "--app", "boutique", "--json").says("relaying the outbox in")
    buy(terminal, 1, 2)
    wait_until_sync(lambda: waiting(shop) == 0, deadline_s=30)

    running.tell(signal.SIGTERM)

    assert running.ends() == 0
    printed = [json.loads(line) for line in running.log.splitlines() if line.startswith("{")]
    assert sum(line["relayed"] for line in printed) == 2
    assert {line["queue"] for line in printed} == {"default"}


def test_ctrl_c_ends_it_as_well(terminal: Terminal, shop: Path) -> None:
    running = terminal.start("relay", "--app", "boutique").says("relaying the outbox in")

    running.tell(signal.SIGINT)

    assert running.ends() == 0
    assert "Relayed 0 jobs." in running.log


def test_it_needs_no_app_and_ends_when_nothing_is_left(terminal: Terminal, shop: Path) -> None:
    buy(terminal, 1, 2, 3)
    where = ("--outbox", "sqlite:///shop.db", "--url", "sqlite:///jobs.db")

    done = terminal.run("relay", "--drain", *where)

    assert (done.code, done.out) == (0, "Relayed 3 jobs.\n")
    assert terminal.run("relay", "status", *where).out == "The outbox is empty.\n"


def test_what_waits_and_what_was_refused_is_shown_retried_and_removed(
    terminal: Terminal, shop: Path
) -> None:
    buy(terminal, 1, 2)
    status = terminal.run("relay", "status", "--app", "boutique")
    assert status.out.splitlines()[1].split()[:3] == ["default", "2", "0"]
    spoil(shop)

    drained = terminal.run("relay", "--drain", "--app", "boutique")

    assert drained.out == "Relayed 1 job. Refused 1: toril relay status.\n"
    shown = terminal.run("relay", "status", "--app", "boutique", "--json").json
    ((row,), (queue,)) = shown["refused"], shown["queues"]
    assert "not as an outbox writes them" in row["reason"]
    assert (queue["queue"], queue["waiting"], queue["refused"]) == ("default", 0, 1)
    assert row["row_id"] in terminal.run("relay", "status", "--app", "boutique").out
    retried = terminal.run("relay", "retry", row["row_id"], "--app", "boutique")
    assert retried.out == "1 row is relayed again.\n"
    again = terminal.run("relay", "retry", row["row_id"], "--app", "boutique")
    assert (again.code, "not refused ones" in again.err) == (4, True)
    terminal.run("relay", "--drain", "--app", "boutique")
    unsure = terminal.run("relay", "remove", "--all", "--app", "boutique")
    assert (unsure.code, "give --yes" in unsure.err) == (2, True)
    removed = terminal.run("relay", "remove", "--all", "--yes", "--app", "boutique", "--json")
    assert removed.json == {"removed": 1}
    assert waiting(shop) == 0


def test_rows_have_to_be_named_or_all(terminal: Terminal, shop: Path) -> None:
    for words in (("retry",), ("retry", "a", "--all")):
        refused = terminal.run("relay", *words, "--app", "boutique")
        assert refused.code == 2
        assert "or --all" in refused.err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--url", "sqlite:///jobs.db"), 2, "the app has no outbox"),
        (("--outbox", "sqlite:///none.db"), 1, "there is no such file"),
        (("--outbox", "nonsense"), 2, "expected a URL"),
        (("--outbox", "sqlite:///shop.db", "--url", "redis://127.0.0.1:1"), 3, "127.0.0.1:1"),
        (("--outbox", "sqlite:///other.db"), 1, "no table toril_outbox: run the migration"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    terminal: Terminal, shop: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    ask(shop / "other.db", "CREATE TABLE other (a)")
    buy(terminal, 1)

    refused = terminal.run("relay", "--drain", *words)

    assert (refused.code, "Traceback" in refused.err) == (code, False)
    assert sentence in refused.err
    assert not (shop / "none.db").exists()


def test_doctor_says_that_nobody_relays(terminal: Terminal, shop: Path) -> None:
    buy(terminal, 1)
    ask(shop / "shop.db", "UPDATE toril_outbox SET created_ms = created_ms - 90000")
    terminal.run("jobs", "add", "other", "job", "--url", "sqlite:///jobs.db")

    told = terminal.run("doctor", "--url", "sqlite:///jobs.db", TORIL_OUTBOX="sqlite:///shop.db")

    assert told.code == 0
    assert re.search(r"outbox: 1 rows wait, the oldest for \d+ s", told.out)
