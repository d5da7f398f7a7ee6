"""The SQL of outboxes, by dialect. Parameters are named, `:so`; lists of them are JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toril.core.errors import InvalidOptionError
from toril.outbox.rows import CHANNEL, TABLE

Dialect = Literal["sqlite", "postgresql"]

_INSERT = f"""
INSERT INTO {TABLE} (row_id, queue, name, data, options, created_ms)
VALUES (:row_id, :queue, :name, :data, :options, :created_ms)"""  # noqa: S608 - no value is in it

_INSERT_AND_TELL = f"""
WITH added AS ({_INSERT} RETURNING 1)
SELECT pg_notify('{CHANNEL}', '') FROM added"""  # noqa: S608 - no value is in it

_QUEUES = f"""
WITH RECURSIVE known(queue) AS (
    SELECT min(queue) FROM {TABLE} WHERE refused_ms IS NULL
     UNION ALL
    SELECT (SELECT min(queue) FROM {TABLE} WHERE refused_ms IS NULL AND queue > known.queue)
      FROM known WHERE known.queue IS NOT NULL
)
SELECT queue FROM known WHERE queue IS NOT NULL"""  # noqa: S608 - no value is in it

_ROWS = f"""
SELECT position, row_id, queue, name, data, options
  FROM {TABLE}
 WHERE refused_ms IS NULL AND queue = :queue
 ORDER BY position
 LIMIT :many"""  # noqa: S608 - no value is in it

_STATUS = f"""
SELECT queue,
       sum(CASE WHEN refused_ms IS NULL THEN 1 ELSE 0 END),
       sum(CASE WHEN refused_ms IS NULL THEN 0 ELSE 1 END),
       min(CASE WHEN refused_ms IS NULL THEN created_ms END)
  FROM {TABLE} GROUP BY queue ORDER BY queue"""  # noqa: S608 - no value is in it

_REFUSED = f"""
SELECT row_id, queue, name, created_ms, refused_ms, reason
  FROM {TABLE} WHERE refused_ms IS NOT NULL ORDER BY position LIMIT :many"""  # noqa: S608 - no value is in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """What is asked of a database."""

    insert: str
    """Write a row; on PostgreSQL also tell of it once it is committed."""
    queues: str
    """The queues that have rows. Probes the index once a queue, however many rows there are."""
    lock: str | None
    """Take the queues of `keys` for this transaction, as far as no other relay has them. None:
    one relay at a time has the whole database, by a lock of the file."""
    rows: str
    delete: str
    refuse: str
    trim: str
    """Remove rows that were refused long ago, once `old` has found one: it takes a lock."""
    old: str = f"SELECT 1 FROM {TABLE} WHERE refused_ms < :before_ms LIMIT 1"  # noqa: S608 - no value is in it
    status: str = _STATUS
    refused: str = _REFUSED
    retry: str
    remove: str


def _statements(numbers: str, texts: str) -> dict[str, str]:
    return {
        "delete": f"DELETE FROM {TABLE} WHERE position IN ({numbers})",  # noqa: S608 - no value is in it
        "refuse": f"UPDATE {TABLE} SET refused_ms = :now_ms, reason = :reason"  # noqa: S608 - no value is in it
        " WHERE position = :position",
        "trim": f"DELETE FROM {TABLE} WHERE refused_ms < :before_ms RETURNING row_id",  # noqa: S608 - no value is in it
        "retry": f"UPDATE {TABLE} SET refused_ms = NULL, reason = NULL"  # noqa: S608 - no value is in it
        f" WHERE refused_ms IS NOT NULL AND (:every = 1 OR row_id IN ({texts})) RETURNING row_id",
        "remove": f"DELETE FROM {TABLE} WHERE refused_ms IS NOT NULL"  # noqa: S608 - no value is in it
        f" AND (:every = 1 OR row_id IN ({texts})) RETURNING row_id",
    }


STATEMENTS: dict[str, Statements] = {
    "sqlite": Statements(
        insert=_INSERT,
        queues=_QUEUES,
        lock=None,
        rows=_ROWS,
        **_statements(
            "SELECT value FROM json_each(:positions)", "SELECT value FROM json_each(:row_ids)"
        ),
    ),
    "postgresql": Statements(
        insert=_INSERT_AND_TELL,
        queues=_QUEUES,
        lock="SELECT value, pg_try_advisory_xact_lock(CAST(value AS bigint))"
        " FROM json_array_elements_text(CAST(:keys AS json)) AS locks(value)",
        rows=f"{_ROWS} FOR UPDATE SKIP LOCKED",
        **_statements(
            "SELECT CAST(value AS bigint)"
            " FROM json_array_elements_text(CAST(:positions AS json)) AS gone(value)",
            "SELECT value FROM json_array_elements_text(CAST(:row_ids AS json)) AS asked(value)",
        ),
    ),
}


def statements(dialect: str) -> Statements:
    """Return what is asked of a database of a dialect.

    Raises:
        InvalidOptionError: There is no outbox in such a database.
    """
    found = STATEMENTS.get(dialect)
    if found is None:
        raise InvalidOptionError(
            f"outbox: a database of {dialect}: expected PostgreSQL or SQLite, which have what an"
            " outbox needs"
        )
    return found
