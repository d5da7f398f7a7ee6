"""The rules of the SQL files, and that the hot ones use their index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import apsw.ext
import pytest

import toril.backends.sqlite as room
from toril.backends.sqlite.connection import connect
from toril.backends.sqlite.lookup import JobRow
from toril.backends.sqlite.queue_row import COUNTED, SETTINGS
from toril.backends.sqlite.recovery import Lapsed
from toril.engine.job import Claimed

FOLDER = Path(room.__file__).parent
FILES = sorted((FOLDER / "sql").glob("*.sql"))
NAMES = [file.stem for file in FILES]
SECTIONS = ("PARAMS", "RETURNS", "EMITS", "COST")


class Header:
    """The comment at the head of a file, taken apart."""

    def __init__(self, name: str) -> None:
        text = (FOLDER / "sql" / f"{name}.sql").read_text("utf-8")
        lines = text.splitlines()
        self.head = lines[: self._end(lines)]
        self.body = "\n".join(lines[len(self.head) :])
        self.sections: dict[str, list[str]] = {}
        for line in self.head[2:]:
            word = line.removeprefix("-- ")
            if word in SECTIONS:
                self.sections[word] = []
            elif self.sections:
                self.sections[next(reversed(self.sections))].append(line.removeprefix("--   "))

    @staticmethod
    def _end(lines: list[str]) -> int:
        return next(number for number, line in enumerate(lines) if not line.startswith("--"))

    @property
    def params(self) -> list[str]:
        """Names of the parameters, in the order of the header."""
        rows = self.sections.get("PARAMS", [])
        return [row.split()[0] for row in rows if re.match(r"\w+ +(int|text|real)\b", row)]

    @property
    def used(self) -> list[str]:
        """Names of the parameters, in the order of their first appearance."""
        code = re.sub(r"--.*|'[^']*'", "", self.body)
        return list(dict.fromkeys(re.findall(r":([a-z_]+)", code)))


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    """An empty database with the schema."""
    connection = connect(":memory:")
    for script in sorted((FOLDER / "migrations").glob("*.sql")):
        connection.execute(script.read_text("utf-8"))
    yield connection
    connection.close()


@pytest.mark.parametrize("name", NAMES)
def test_header_says_what_it_is_what_it_takes_returns_and_costs(name: str) -> None:
    header = Header(name)

    assert re.fullmatch(rf"-- {name}: \S.*\.", header.head[0])
    assert header.head[1] == "--"
    order = [section for section in SECTIONS if section in header.sections]
    assert list(header.sections) == order
    assert {"RETURNS", "COST"} <= header.sections.keys()
    assert all(header.sections.values())


@pytest.mark.parametrize("name", NAMES)
def test_parameters_stand_in_the_header_in_the_order_of_their_appearance(name: str) -> None:
    header = Header(name)

    assert header.params == header.used


@pytest.mark.parametrize("name", NAMES)
def test_file_is_one_statement_that_compiles(name: str, connection: apsw.Connection) -> None:
    header = Header(name)

    assert header.body.rstrip().endswith(";")
    assert re.sub(r"--.*|'[^']*'", "", header.body).count(";") == 1
    connection.execute("EXPLAIN " + header.body, dict.fromkeys(header.used)).fetchall()


def test_every_file_is_used_and_every_use_has_a_file() -> None:
    code = "\n".join(file.read_text("utf-8") for file in FOLDER.glob("*.py"))
    asked = set(
        re.findall(r'\b(?:run|value|changed|statement)\(\s*f?"([a-z_]+)(?:\{back\})?"', code)
    )
    asked |= {f"{name}_back" for name in re.findall(r'f"([a-z_]+)\{back\}"', code)}

    assert asked == set(NAMES)


def test_no_sql_is_put_together_from_pieces() -> None:
    for file in FOLDER.glob("*.py"):
        text = file.read_text("utf-8")
        assert not re.search(r'f"[^"]*\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b', text), file


CLAIMED = Claimed.__struct_fields__[: Claimed.__struct_fields__.index("queue")]
"""What a store reads of a claimed job; the rest it knows."""
QUEUE = ("id", "name", *SETTINGS, *(f"n_{state}".replace("-", "_") for state in COUNTED))
READ_BY_PLACE: dict[str, tuple[str, ...]] = {
    "claim_one": (*CLAIMED, "priority"),
    "jobs_read": JobRow._fields,
    "lapsed": Lapsed._fields,
    "doctor_lapsed": Lapsed._fields,
    "queue_get": QUEUE,
    "queue_list": QUEUE,
}


@pytest.mark.parametrize("name", READ_BY_PLACE)
def test_columns_stand_in_the_order_of_the_record_that_is_made_of_them(
    name: str, connection: apsw.Connection
) -> None:
    header = Header(name)
    info = apsw.ext.query_info(connection, header.body, dict.fromkeys(header.used))

    assert tuple(column for column, _type in info.description) == READ_BY_PLACE[name]


def test_jobs_of_a_claim_stand_in_the_order_of_their_record() -> None:
    told = " ".join(Header("claim_find").sections["RETURNS"])

    assert f"[{', '.join(CLAIMED)}]" in told


def test_a_queue_is_saved_in_the_order_in_which_it_is_read() -> None:
    assert Header("queue_save").params == [*QUEUE[2:], "queue_id"]


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(file.name[:4]) for file in (FOLDER / "migrations").glob("*.sql"))

    assert numbers == list(range(1, len(numbers) + 1))


def test_every_table_is_strict() -> None:
    for script in (FOLDER / "migrations").glob("*.sql"):
        text = script.read_text("utf-8")
        assert text.count("CREATE TABLE") == len(re.findall(r"^\) STRICT", text, re.MULTILINE))


HOT = {
    "claim_find": "jobs_line",
    "claim_one": "jobs_line",
    "oldest_waiting": "jobs_line",
    "list_line": "jobs_line",
    "list_line_back": "jobs_line",
    "due_find": "jobs_delayed",
    "due_next": "jobs_delayed",
    "list_delayed": "jobs_delayed",
    "list_delayed_back": "jobs_delayed",
    "finished_find": "jobs_finished",
    "list_finished": "jobs_finished",
    "list_finished_back": "jobs_finished",
    "lapsed": "jobs_active",
    "list_active": "jobs_active",
    "list_active_back": "jobs_active",
    "job_find_custom": "jobs_custom_id",
    "jobs_taken": "jobs_custom_id",
    "events_read": "events_position",
    "events_newest": "events_position",
    "events_trim": "events_position",
    "doctor_lapsed": "jobs_active",
}
SORTED = {
    "lapsed", "list_active", "list_active_back", "jobs_read", "jobs_find", "logs_read",
    "scan_sizes", "scan_sift", "operation_jobs", "removed_add",
    "doctor_lapsed", "doctor_unserved", "worker_list", "due_find",
}  # fmt: skip
"""What they sort is few: the jobs that run, those asked for or found, queues, workers."""


def plan(connection: apsw.Connection, name: str) -> list[str]:
    header = Header(name)
    values: dict[str, Any] = dict.fromkeys(header.used)
    rows = connection.execute("EXPLAIN QUERY PLAN " + header.body, values).fetchall()
    return [str(row[3]) for row in rows]


@pytest.mark.parametrize("name", HOT)
def test_hot_statement_walks_its_index(name: str, connection: apsw.Connection) -> None:
    steps = plan(connection, name)

    assert any(f"INDEX {HOT[name]}" in step for step in steps), steps


@pytest.mark.parametrize("name", ["due_find", "due_next", "jobs_wait_anew"])
def test_waits_by_the_steady_clock_are_found_by_their_index(
    name: str, connection: apsw.Connection
) -> None:
    steps = plan(connection, name)

    assert any("INDEX jobs_due_steady" in step for step in steps), steps
    assert not [step for step in steps if re.match(r"SCAN jobs\b", step)], steps


@pytest.mark.parametrize("name", NAMES)
def test_no_statement_sorts_or_scans_more_than_its_header_says(
    name: str, connection: apsw.Connection
) -> None:
    steps = plan(connection, name)

    if name not in SORTED:
        assert not [step for step in steps if "TEMP B-TREE" in step], steps
    scanned = [step for step in steps if re.match(r"SCAN (jobs|logs|events)\b", step)]
    assert all("USING" in step and "jobs_active" in step for step in scanned), steps


@pytest.mark.parametrize("name", ["list_line", "list_line_back"])
def test_pages_of_one_state_do_not_walk_through_the_other(
    name: str, connection: apsw.Connection
) -> None:
    (step,) = plan(connection, name)

    assert "(priority,position)>(?,?) AND (priority,position)<(?,?)" in step


def test_place_is_counted_within_its_limit_and_its_own_part_of_the_line(
    connection: apsw.Connection,
) -> None:
    """A walk through all jobs of the priority took 38 ms with 200,000 of them."""
    steps = plan(connection, "ahead_count")

    assert any("(priority,position)<(?,?)" in step for step in steps), steps


@pytest.mark.parametrize("name", HOT)
def test_hot_statement_is_not_planned_anew_for_each_value(
    name: str, connection: apsw.Connection
) -> None:
    """Planning took several times as long as running: 67 µs of a claim in place of 18."""
    header = Header(name)
    asked: list[int] = []  # SQLite asks for leave while it plans, and never while it runs

    def allow(*_: object) -> int:
        asked[-1] += 1
        return apsw.SQLITE_OK

    connection.authorizer = allow
    for value in (1, 2, 3):
        asked.append(0)
        connection.execute(header.body, dict.fromkeys(header.used, value)).fetchall()
    connection.authorizer = None

    assert asked[0] > 0
    assert asked[1:] == [0, 0]
