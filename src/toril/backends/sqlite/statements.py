"""The SQL of this store: one file a statement, in `sql/`, read once."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """Return the text of `sql/<name>.sql`.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    return (files("toril.backends.sqlite") / "sql" / f"{name}.sql").read_text("utf-8")
