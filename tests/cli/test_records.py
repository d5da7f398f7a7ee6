"""`toril records`: tables in a database of the user's."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import DONE, ERROR, USAGE
from toril.services.media import migrations
from toril.services.records.known import KNOWN


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATABASE_POOL_SIZE", "DATABASE_MIGRATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/own.db"


def test_tables_are_migrated_and_shown(terminal: Terminal, url: str) -> None:
    before = terminal.here("records", "status", "media", "--database", url)
    assert "media" in before.out
    assert "to migrate" in before.out

    done = terminal.here("records", "migrate", "media", "--database", url)
    assert (done.code, done.out) == (DONE, "1 family migrated: media.\n")
    again = terminal.here("records", "migrate", "media", "--database", url, "--json")
    assert again.json == {"migrated": []}
    assert terminal.here("records", "migrate", "media", "--database", url).out == (
        "All tables are current.\n"
    )

    assert "current" in terminal.here("records", "status", "media", "--database", url).out
    found = terminal.here("records", "status", "media", "--database", url, "--json")
    newest = max(path.stem[1:5] for path in Path(migrations.__path__[0]).glob("v*.py"))
    assert found.json == [{"family": "media", "version": newest, "newest": newest, "current": True}]


def test_looking_makes_no_file(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`records status` without DATABASE_URL left an empty records.db behind."""
    monkeypatch.chdir(tmp_path)

    looked = terminal.here("records", "status")
    facts = terminal.here("records", "status", "media", "--json").json

    assert looked.code == DONE
    assert looked.out.count("to migrate") == len(KNOWN)
    assert looked.out.endswith("records.db is not there yet: toril records migrate makes it.\n")
    assert [(one["family"], one["version"], one["current"]) for one in facts] == [
        ("media", None, False)
    ]
    assert not (tmp_path / "records.db").exists()
    assert terminal.here("records", "migrate", "media").code == DONE
    assert "not there" not in terminal.here("records", "status", "media").out


def test_help_names_every_family(terminal: Terminal) -> None:
    told = terminal.here("records", "--help").out

    assert ", ".join(KNOWN) in " ".join(told.split())


def test_database_is_that_of_the_environment(
    terminal: Terminal, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    assert terminal.here("records", "migrate").code == DONE

    found = sqlite3.connect(tmp_path / "own.db")
    names = {row[0] for row in found.execute("SELECT name FROM sqlite_master")}
    found.close()
    assert {"toril_media", "toril_media_version"} <= names


def test_sql_is_printed(terminal: Terminal, url: str, tmp_path: Path) -> None:
    text = terminal.here("records", "sql", "media", "--database", url).out

    assert "CREATE TABLE IF NOT EXISTS toril_media" in text
    (family,) = terminal.here("records", "sql", "media", "--database", url, "--json").json
    assert family == {"family": "media", "sql": text}
    assert not (tmp_path / "own.db").exists()
    assert "BIGINT" in terminal.here("records", "sql", "--database", "postgresql://h/d").out


def test_what_cannot_be_is_refused_in_a_sentence(
    terminal: Terminal, tmp_path: Path, url: str
) -> None:
    (tmp_path / "odd.db").write_bytes(b"no database " * 1000)
    odd = f"sqlite:///{tmp_path}/odd.db"

    for words, code, said in (
        (["status", "meida", "--database", url], USAGE, "did you mean 'media'"),
        (["status", "--database", "mysql://u:hunter2@h/d"], USAGE, "expected sqlite:///"),
        (["status", "--database", odd], ERROR, "not a database"),
        (["migrate", "--database", odd], ERROR, "not a database"),
        (["migrate", "--database", "postgresql://u:hunter2@127.0.0.1:1/d"], ERROR, "127.0.0.1"),
        (["mirgate"], USAGE, "did you mean 'migrate'"),
    ):
        result = terminal.here("records", *words)
        assert result.code == code, words
        assert said in result.err, words
        assert "hunter2" not in result.err
        assert "Traceback" not in result.err
    assert "migrate" in terminal.here("records").out


def test_installation_without_the_extra_is_told_how_to_get_it(tmp_path: Path) -> None:
    """It was an unexpected error, to be reported."""
    program = (
        "import sys; sys.modules['sqlalchemy'] = None; from toril.cli.main import main; main()"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "records", "status", "--database", "sqlite:///records.db"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "records need SQLAlchemy: pip install" in done.stderr
    assert "unexpected" not in done.stderr
