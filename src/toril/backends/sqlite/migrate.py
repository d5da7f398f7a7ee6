"""Brings a file to this version's schema, step by step, under `PRAGMA user_version`."""

from __future__ import annotations

from importlib.resources import files

import apsw

from toril.backends.sqlite.connection import APPLICATION_ID
from toril.core.errors import StoreForeignError


def refuse_newer(connection: apsw.Connection, path: str) -> None:
    """Refuse a file whose schema this version does not know, before anything is changed in it.

    Raises:
        StoreForeignError: A newer Toril has written it.
    """
    version, known = _version(connection), len(_scripts())
    if version > known:
        raise StoreForeignError(
            f"{path}: written by a newer Toril (schema {version}, this one knows {known})."
            " Upgrade this installation; the file was left as it is."
        )


def migrate(connection: apsw.Connection) -> None:
    """Apply the migrations that the file has not seen, each in a transaction of its own."""
    scripts = _scripts()
    while (version := _version(connection)) < len(scripts):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been faster while this one waited for the lock.
            if _version(connection) == version:
                connection.execute(scripts[version])
                connection.pragma("user_version", version + 1)
                connection.pragma("application_id", APPLICATION_ID)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: apsw.Connection) -> int:
    version: int = connection.pragma("user_version")
    return version


def _scripts() -> list[str]:
    folder = files("toril.backends.sqlite") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(folder / name).read_text("utf-8") for name in names]
