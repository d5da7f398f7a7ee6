from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.support.ports import give_back_port, reserve_port

from toril.core.errors import InvalidOptionError, InvalidSettingError, MissingExtraError
from toril.services.records.engines import PoolOptions
from toril.services.records.errors import RecordsUnavailableError
from toril.services.records.records import Records


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a.db", "Records('sqlite:///a.db')"),
        ("sqlite+aiosqlite:////srv/a.db", "Records('sqlite:////srv/a.db')"),
        ("postgres://u:hunter2@h/d", "Records('postgresql://u:***@h/d')"),
        ("postgresql+asyncpg://u:hunter2@h:1/d?ssl=x", "Records('postgresql://u:***@h:1/d')"),
    ],
)
def test_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert repr(Records(url)) == shown


async def test_driver_that_is_named_is_for_asyncio() -> None:
    assert Records("postgresql+asyncpg://h/d").engine.driver == "asyncpg"
    assert Records("postgresql+asyncpg://h/d").plain_engine.driver == "psycopg"
    assert Records("postgresql://h/d").engine.driver == "psycopg"
    assert Records("sqlite:///x.db")._address.asynchronous.drivername == "sqlite+aiosqlite"


async def test_database_that_is_not_there_is_unavailable() -> None:
    port = reserve_port()
    try:
        for scheme in ("postgresql", "postgresql+asyncpg"):
            records = Records(f"{scheme}://u:hunter2@127.0.0.1:{port}/d")
            with pytest.raises(RecordsUnavailableError, match=f"127.0.0.1:{port}/d: ") as refused:
                await records.check()
            assert "hunter2" not in str(refused.value)
            assert "\n" not in str(refused.value)
            with pytest.raises(RecordsUnavailableError):
                records.check_plain()
            await records.close()
    finally:
        give_back_port(port)


def test_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is no database" * 100)
    records = Records(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(RecordsUnavailableError, match="not a database"):
        records.check_plain()
    records.close_plain()


def test_file_is_for_its_user_only(tmp_path: Path) -> None:
    for mode in (0o600, 0o660):
        path = tmp_path / f"{mode}" / "a.db"
        records = Records(f"sqlite:///{path}", file_mode=mode)
        records.check_plain()
        assert stat.S_IMODE(path.stat().st_mode) == mode
        records.close_plain()


async def test_memory_is_of_one_loop_or_of_plain_code() -> None:
    first = Records("sqlite://")
    await first.check()
    with pytest.raises(InvalidOptionError, match="only one event loop or plain code"):
        first.check_plain()
    await first.close()
    second = Records("sqlite://")
    second.check_plain()
    with pytest.raises(InvalidOptionError, match="only one event loop or plain code"):
        await second.check()
    second.close_plain()


def test_environment_names_the_database() -> None:
    records = Records.from_environment(
        {"DATABASE_URL": "postgresql://h/d", "DATABASE_POOL_SIZE": "3", "DATABASE_MIGRATE": "check"}
    )

    assert repr(records) == "Records('postgresql://h/d')"
    assert (records._pool.size, records._migrate) == (3, "check")
    assert repr(Records.from_environment({})) == "Records('sqlite:///records.db')"
    given = Records.from_environment({"DATABASE_URL": " "}, default_url="sqlite:///x.db")
    assert repr(given) == "Records('sqlite:///x.db')"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"DATABASE_URL": "mysql://root:hunter2@h/d"}, "DATABASE_URL: it begins with 'mysql'"),
        ({"DATABASE_URL": "hunter2"}, "DATABASE_URL: it cannot be read: expected sqlite:///"),
        ({"DATABASE_POOL_SIZE": "0"}, "DATABASE_POOL_SIZE='0': expected a number from 1"),
        ({"DATABASE_POOL_SIZE": "many"}, "DATABASE_POOL_SIZE='many'"),
        ({"DATABASE_MIGRATE": "yes"}, "DATABASE_MIGRATE='yes': expected auto or check"),
    ],
)
def test_environment_that_makes_no_sense_is_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message) as refused:
        Records.from_environment(environ)

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 0}, "pool size=0"),
        ({"overflow": -1}, "pool overflow=-1"),
        ({"timeout_s": 0}, "pool timeout_s=0"),
        ({"recycle_s": 0}, "pool recycle_s=0"),
    ],
)
def test_pool_that_makes_no_sense_is_refused(given: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        PoolOptions(**given)


async def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"pg8000 needs its driver: pip install pg8000"):
        _ = Records("postgresql+pg8000://h/d").plain_engine
    import sys

    monkeypatch.setitem(sys.modules, "aiosqlite", None)
    with pytest.raises(
        MissingExtraError, match=r"aiosqlite needs its driver: pip install.*records"
    ):
        _ = Records(f"sqlite:///{tmp_path}/x.db").engine
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"psycopg needs its driver: pip install.*postgres"):
        _ = Records("postgresql://h/d").plain_engine
