"""Exports: rows become files that other readers read, by workers, on both stores."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pickle
import signal
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from python_calamine import CalamineWorkbook

from toril import App, JobFailedError
from toril.core.errors import InvalidOptionError
from toril.library.exports import (
    Condition,
    ExportSettings,
    Rows,
    RowsSource,
    Sources,
    TableSource,
    Wanted,
)
from toril.library.exports.files import write_csv, write_json
from toril.library.exports.filters import read
from toril.library.exports.tasks import exports
from toril.library.exports.workbook import Writer, write_by_python, write_by_rust, write_xlsx
from toril.services.objects.folder import FolderObjects
from toril.services.objects.sync import SyncObjects
from toril.services.records.records import Records
from toril.services.unusable import UnusableInputError

ORDERS = RowsSource(
    {"id": int, "name": str, "paid": bool, "at": datetime, "sum": Decimal},
    [
        (1, "Jo", True, datetime(2026, 1, 1, 12, tzinfo=UTC), Decimal("10.50")),
        (2, "=1+1", False, datetime(2026, 1, 2, 12, tzinfo=UTC), Decimal("0.1")),
        (3, None, True, datetime(2026, 1, 3, 12, tzinfo=UTC), Decimal("-3")),
    ],
)


NOON = datetime.fromisoformat("2026-01-02T12:00")
"""A moment without a zone, as spreadsheets have it."""


class EndlessSource(RowsSource):
    """Rows without an end, until the process of the export is killed: its number is in a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__({"id": int}, [])
        self.folder = folder

    @contextmanager
    def open(self, wanted: Wanted) -> Iterator[Rows]:
        first = not (self.folder / "begun").exists()
        (self.folder / "begun").touch()

        def parts() -> Iterator[Sequence[Any]]:
            yield [(1,)]
            if first:
                os.kill(os.getpid(), signal.SIGKILL)

        yield Rows(1, parts())


class FullSource(RowsSource):
    """Rows that the disk has no room for, the first time."""

    def __init__(self, folder: Path) -> None:
        super().__init__({"id": int}, [])
        self.folder = folder

    @contextmanager
    def open(self, wanted: Wanted) -> Iterator[Rows]:
        first = not (self.folder / "begun").exists()
        (self.folder / "begun").touch()

        def parts() -> Iterator[Sequence[Any]]:
            yield [(1,)]
            if first:
                raise OSError(28, "No space left on device")
            yield [(2,)]

        yield Rows(2, parts())


@pytest.fixture
async def app(url: str, tmp_path: Path) -> AsyncIterator[App]:
    made = App(url)
    made.include(exports)
    made.provide(ExportSettings(work_dir=tmp_path / "work"))
    made.provide(SyncObjects(FolderObjects(tmp_path / "files")))
    made.provide(
        Sources(
            {
                "default": ORDERS,
                "killed": EndlessSource(tmp_path),
                "full": FullSource(tmp_path),
            }
        )
    )
    yield made
    await made.close()


async def exported(app: App, tmp_path: Path, **payload: Any) -> tuple[dict[str, Any], bytes]:
    job = await app.find_task("export-table").enqueue(**payload)
    await app.worker().run(until_idle=True)
    await job.result(timeout_s=60)
    result = (await job.info()).result
    assert isinstance(result, dict)
    return result, (tmp_path / "files" / result["key"]).read_bytes()


async def test_csv_has_the_rows_and_the_result_says_where(app: App, tmp_path: Path) -> None:
    result, content = await exported(app, tmp_path, export_type="csv", filters={})

    assert list(csv.reader(io.StringIO(content.decode()))) == [
        ["id", "name", "paid", "at", "sum"],
        ["1", "Jo", "true", "2026-01-01T12:00:00+00:00", "10.50"],
        ["2", "'=1+1", "false", "2026-01-02T12:00:00+00:00", "0.1"],
        ["3", "", "true", "2026-01-03T12:00:00+00:00", "-3"],
    ]
    assert set(result) == {"key", "url", "rows", "bytes", "exportType"}
    assert (result["rows"], result["bytes"], result["exportType"]) == (3, len(content), "csv")
    assert result["key"].startswith("exports/")
    assert result["key"].endswith(".csv")
    assert result["url"]
    info = SyncObjects(FolderObjects(tmp_path / "files")).head(result["key"])
    assert (info.content_type, info.filename) == ("text/csv; charset=utf-8", "default.csv")
    assert info.sha256 == hashlib.sha256(content).hexdigest()
    assert list((tmp_path / "work").iterdir()) == []


async def test_json_is_one_array(app: App, tmp_path: Path) -> None:
    _, content = await exported(
        app, tmp_path, export_type="json", filters={"paid": True}, columns=["sum", "id"]
    )

    assert json.loads(content) == [{"sum": "10.50", "id": 1}, {"sum": "-3", "id": 3}]


async def test_workbook_is_read_by_another_reader(app: App, tmp_path: Path) -> None:
    _, content = await exported(app, tmp_path, export_type="xlsx", filters={"id": {"gte": 2}})

    assert sheets(content) == {
        "Data": [
            ["id", "name", "paid", "at", "sum"],
            [2.0, "=1+1", False, NOON, 0.1],
            [3.0, "", True, NOON + timedelta(days=1), -3.0],
        ]
    }


async def test_what_can_never_work_fails_at_once(app: App) -> None:
    job = await app.find_task("export-table").enqueue(export_type="csv", filters={"nme": "Jo"})
    await app.worker().run(until_idle=True)

    with pytest.raises(JobFailedError, match="filters 'nme': unknown column 'nme'"):
        await job.result(timeout_s=60)
    assert (await job.info()).attempts_made == 1


async def test_too_many_rows_are_refused_and_nothing_is_stored(app: App, tmp_path: Path) -> None:
    app.provide(ExportSettings(work_dir=tmp_path / "work", max_rows=2))
    job = await app.find_task("export-table").enqueue(export_type="csv", filters={})
    await app.worker().run(until_idle=True)

    with pytest.raises(JobFailedError, match=r"3 rows .* over the 2 that are allowed"):
        await job.result(timeout_s=60)
    assert not list((tmp_path / "files").rglob("*.csv"))


@pytest.mark.parametrize("source", ["full", "killed"])
async def test_disk_and_kills_leave_nothing_half_done(
    app: App, tmp_path: Path, source: str
) -> None:
    quick = app.find_task("export-table").with_options(backoff_s=0.0, max_attempts=3)
    job = await quick.enqueue(export_type="csv", filters={"source": source})
    worker = app.worker()
    await worker.run(until_idle=True)

    result = await job.result(timeout_s=60)
    files = [path.name for path in (tmp_path / "files/exports").iterdir() if path.suffix == ".csv"]
    assert files == [Path(result.key).name]
    assert result.rows == (2 if source == "full" else 1)
    assert list((tmp_path / "work").iterdir()) == []


def sheets(content: bytes) -> dict[str, list[list[Any]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


class TestFilters:
    def wanted(self, filters: Mapping[str, Any], columns: list[str] | None = None) -> Wanted:
        return read(Sources({"default": ORDERS}), filters, columns)[2]

    def test_bare_value_has_to_be_equal(self) -> None:
        assert self.wanted({"name": "Jo"}).conditions == (Condition("name", "eq", "Jo"),)
        assert self.wanted({"name": None}).conditions == (Condition("name", "eq", None),)

    def test_range_and_list(self) -> None:
        found = self.wanted({"id": {"gte": 1, "lte": 3}, "sum": {"in": ["0.1", 3]}}).conditions

        assert found == (
            Condition("id", "gte", 1),
            Condition("id", "lte", 3),
            Condition("sum", "in", (Decimal("0.1"), Decimal(3))),
        )

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-01-02T12:00:00Z", datetime(2026, 1, 2, 12, tzinfo=UTC)),
            ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
            ("2026-01-02T12:00:00", datetime(2026, 1, 2, 12, tzinfo=UTC)),
        ],
    )
    def test_moments_without_a_zone_are_in_utc(self, text: str, moment: datetime) -> None:
        assert self.wanted({"at": text}).conditions[0].value == moment

    @pytest.mark.parametrize(
        ("filters", "columns", "says"),
        [
            ({"source": "ordrs"}, None, "unknown source 'ordrs'"),
            ({"source": 3}, None, "expected a source's name"),
            ({"nam": 1}, None, r"unknown column 'nam'.*name"),
            ({}, ["id", "nam"], r"columns 'nam': unknown column"),
            ({}, [], "at least one column"),
            ({}, ["id", "id"], "each once"),
            ({"id": "1"}, None, "expected a whole number, not '1'"),
            ({"id": True}, None, "expected a whole number, not True"),
            ({"paid": 1}, None, "expected true or false"),
            ({"name": 1}, None, "expected a text"),
            ({"at": 5}, None, "expected a text such as 2026"),
            ({"at": "soon"}, None, "expected a text such as 2026"),
            ({"sum": "many"}, None, "expected a number, or a text with one"),
            ({"sum": "NaN"}, None, "expected a number, or a text with one"),
            ({"id": {"gt": 1}}, None, r"unknown operator 'gt'.*gte"),
            ({"id": {"in": 1}}, None, "a list of 1 to 1,000 values"),
            ({"id": {"in": []}}, None, "a list of 1 to 1,000 values"),
            ({"id": {"gte": None}}, None, "expected a whole number, not None"),
        ],
    )
    def test_nonsense_is_named(
        self, filters: Mapping[str, Any], columns: list[str] | None, says: str
    ) -> None:
        with pytest.raises(UnusableInputError, match=says):
            self.wanted(filters, columns)

    def test_column_of_another_kind_can_be_read_and_not_asked_for(self) -> None:
        sources = Sources({"default": RowsSource({"tags": list}, [(["a"],)])})

        assert read(sources, {}, None)[2].columns == ("tags",)
        with pytest.raises(UnusableInputError, match="cannot be chosen by this column"):
            read(sources, {"tags": "a"}, None)

    def test_there_has_to_be_a_source(self) -> None:
        with pytest.raises(InvalidOptionError, match="at least one source"):
            Sources({})


ODD: dict[str, Any] = {
    "none": None,
    "at": "@home",
    "plus": "+1",
    "minus": "-1",
    "tab": "\tx",
    "number": -1,
    "float": -1.5,
    "no number": float("nan"),
    "long": 2**60,
    "exact": Decimal("12345678901234567890.12"),
    "day": date(2026, 1, 2),
    "time": time(12, 30),
    "span": timedelta(minutes=1),
    "bytes": b"\x00\xff",
    "list": [1, "a"],
    "id": UUID(int=1),
    "line": 'a "b",\nc',
    "old": datetime.fromisoformat("1800-01-01"),
    "zone": datetime(2026, 1, 2, 12, tzinfo=UTC),
}


def test_csv_of_odd_values(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", list(ODD), [[list(ODD.values())]])

    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        names, values = csv.reader(file)
    assert dict(zip(names, values, strict=True)) == {
        "none": "",
        "at": "'@home",
        "plus": "'+1",
        "minus": "'-1",
        "tab": "'\tx",
        "number": "-1",
        "float": "-1.5",
        "no number": "nan",
        "long": str(2**60),
        "exact": "12345678901234567890.12",
        "day": "2026-01-02",
        "time": "12:30:00",
        "span": "60.0",
        "bytes": "00ff",
        "list": '[1,"a"]',
        "id": str(UUID(int=1)),
        "line": 'a "b",\nc',
        "old": "1800-01-01T00:00:00",
        "zone": "2026-01-02T12:00:00+00:00",
    }


def test_raw_csv_and_names_that_are_formulas(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["=a"], [[["=1"]]], raw=True)
    write_csv(tmp_path / "b.csv", ["=a"], [[["=1"]]])

    assert (tmp_path / "a.csv").read_text() == "=a\n=1\n"
    assert (tmp_path / "b.csv").read_text() == "'=a\n'=1\n"


def test_json_of_odd_values_and_of_none(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", list(ODD), [[list(ODD.values())]])
    write_json(tmp_path / "b.json", list(ODD), [])

    (found,) = json.loads((tmp_path / "a.json").read_text())
    assert found["no number"] is None
    assert found["exact"] == "12345678901234567890.12"
    assert (found["long"], found["day"], found["list"]) == (2**60, "2026-01-02", [1, "a"])
    assert json.loads((tmp_path / "b.json").read_text()) == []


@pytest.mark.parametrize("writer", [write_by_rust, write_by_python])
class TestWorkbooks:
    def test_odd_values(self, tmp_path: Path, writer: Writer) -> None:
        write_xlsx(tmp_path / "a.xlsx", list(ODD), [[list(ODD.values())]], 1, writer=writer)

        names, values = sheets((tmp_path / "a.xlsx").read_bytes())["Data"]
        found = dict(zip(names, values, strict=True))
        assert found == {
            "none": "",
            "at": "@home",
            "plus": "+1",
            "minus": "-1",
            "tab": "\tx",
            "number": -1.0,
            "float": -1.5,
            "no number": "",
            "long": str(2**60),
            "exact": "12345678901234567890.12",
            "day": found["day"],
            "time": "12:30:00",
            "span": 60.0,
            "bytes": "00ff",
            "list": '[1,"a"]',
            "id": str(UUID(int=1)),
            "line": 'a "b",\nc',
            "old": "1800-01-01T00:00:00",
            "zone": NOON,
        }
        assert found["day"] in (date(2026, 1, 2), datetime.fromisoformat("2026-01-02"))

    def test_no_text_becomes_a_formula(self, tmp_path: Path, writer: Writer) -> None:
        write_xlsx(tmp_path / "a.xlsx", ["a"], [[["=1+1"], ["http://x.test"]]], 2, writer=writer)

        with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
            sheet = book.read("xl/worksheets/sheet1.xml")
        assert b"<f>" not in sheet
        assert b"hyperlink" not in sheet

    def test_rows_go_on_in_another_sheet(self, tmp_path: Path, writer: Writer) -> None:
        parts = [[[1], [2]], [[3], [4], [5]]]
        write_xlsx(tmp_path / "a.xlsx", ["n"], parts, 5, sheet_rows=2, writer=writer)

        assert sheets((tmp_path / "a.xlsx").read_bytes()) == {
            "Data": [["n"], [1.0], [2.0]],
            "Data 2": [["n"], [3.0], [4.0]],
            "Data 3": [["n"], [5.0]],
        }

    def test_no_rows_leave_the_names(self, tmp_path: Path, writer: Writer) -> None:
        write_xlsx(tmp_path / "a.xlsx", ["n", "m"], [], 0, writer=writer)

        assert sheets((tmp_path / "a.xlsx").read_bytes()) == {"Data": [["n", "m"]]}

    def test_text_that_is_too_long_is_named(self, tmp_path: Path, writer: Writer) -> None:
        rows = [[["x"], ["y" * 32_768]]]

        with pytest.raises(UnusableInputError, match=r"'n': row 2 has a text of 32,768 characters"):
            write_xlsx(tmp_path / "a.xlsx", ["n"], rows, 2, writer=writer)


def test_too_many_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInputError, match="at most 16,384 columns"):
        write_xlsx(tmp_path / "a.xlsx", ["n"] * 16_385, [], 0)


@pytest.mark.parametrize(
    ("option", "value"),
    [("prefix", "/a"), ("prefix", ""), ("link_s", 0), ("link_s", 604_801), ("max_rows", 0)],
)
def test_settings_that_make_no_sense_are_refused(option: str, value: object) -> None:
    with pytest.raises(InvalidOptionError, match=option):
        ExportSettings(**{option: value})  # type: ignore[arg-type]


METADATA = sa.MetaData()
SALES = sa.Table(
    "sales",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("customer_name", sa.String(50)),
    sa.Column("made_at", sa.DateTime),
    sa.Column("due_at", sa.DateTime(timezone=True)),
    sa.Column("total", sa.Numeric(12, 2)),
    sa.Column("paid", sa.Boolean),
    sa.Column("secret", sa.String(20)),
)
COLUMNS = {
    "id": "id",
    "name": "customer_name",
    "madeAt": "made_at",
    "dueAt": "due_at",
    "total": "total",
    "paid": "paid",
}


class TestTables:
    @pytest.fixture(params=["sqlite", "postgresql"])
    def records(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
        url = f"sqlite:///{tmp_path}/shop.db"
        if request.param == "postgresql":
            url = request.getfixturevalue("postgres_url")
        found = Records(url)
        with found.begin_plain() as connection:
            METADATA.drop_all(connection)
            METADATA.create_all(connection)
            for number in (3, 1, 2):
                moment = NOON + timedelta(days=number - 2)
                connection.execute(
                    SALES.insert().values(
                        id=number,
                        customer_name=None if number == 3 else f"Jo {number}",
                        made_at=moment,
                        due_at=moment.replace(tzinfo=UTC),
                        total=Decimal("10.25") * number,
                        paid=number != 2,
                        secret="x",
                    )
                )
        yield found
        with found.begin_plain() as connection:
            METADATA.drop_all(connection)
        found.plain_engine.dispose()

    def ids(self, records: Records, filters: Mapping[str, Any]) -> list[int]:
        source = TableSource(records, "sales", COLUMNS)
        _, found, wanted = read(Sources({"default": source}), filters, ["id"])
        with found.open(wanted) as rows:
            ids = [row[0] for part in rows.parts for row in part]
            assert rows.total == len(ids)
        return ids

    @pytest.mark.parametrize(
        ("filters", "ids"),
        [
            ({}, [1, 2, 3]),
            ({"name": "Jo 2"}, [2]),
            ({"name": None}, [3]),
            ({"paid": True}, [1, 3]),
            ({"total": {"gte": "20.50"}}, [2, 3]),
            ({"total": {"lte": 20.5}}, [1, 2]),
            ({"id": {"in": [3, 1, 9]}}, [1, 3]),
            ({"madeAt": {"gte": "2026-01-02T12:00:00Z"}}, [2, 3]),
            ({"madeAt": {"lte": "2026-01-02T13:00:00+01:00"}}, [1, 2]),
            ({"dueAt": "2026-01-02T12:00:00Z"}, [2]),
            ({"id": {"gte": 2}, "paid": False}, [2]),
        ],
    )
    def test_database_chooses_the_rows(
        self, records: Records, filters: Mapping[str, Any], ids: list[int]
    ) -> None:
        assert self.ids(records, filters) == ids

    def test_only_named_columns_are_reached(self, records: Records) -> None:
        source = TableSource(records, "sales", COLUMNS)
        sources = Sources({"default": source})

        assert list(source.columns()) == list(COLUMNS)
        with pytest.raises(UnusableInputError, match="unknown column 'secret'"):
            read(sources, {"secret": "x"}, None)
        with pytest.raises(UnusableInputError, match="unknown column 'customer_name'"):
            read(sources, {}, ["customer_name"])

    def test_table_and_column_that_are_not_there_are_named(self, records: Records) -> None:
        with pytest.raises(InvalidOptionError, match="table='sale'"):
            TableSource(records, "sale", ["id"]).columns()
        with pytest.raises(InvalidOptionError, match="unknown column 'idd'"):
            TableSource(records, "sales", ["idd"]).columns()

    def test_it_goes_to_a_child_process(self, records: Records) -> None:
        source = pickle.loads(pickle.dumps(TableSource(records, "sales", COLUMNS)))

        assert list(source.columns()) == list(COLUMNS)
        source._table._records.plain_engine.dispose()

    def test_all_rows_are_of_one_moment(self, records: Records, tmp_path: Path) -> None:
        if records.kind == "sqlite":  # another journal makes a writer wait for the reader
            records.plain_engine.dispose()
            with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        source = TableSource(records, "sales", ["id"])
        with source.open(Wanted(columns=("id",))) as rows:
            with records.begin_plain() as writing:
                writing.execute(SALES.insert().values(id=9))
            found = [row[0] for part in rows.parts for row in part]

        assert (found, rows.total) == ([1, 2, 3], 3)
