"""`python -m benchmarks.budget`: prints the tables of `docs/design/performance.md`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.budget import loops, on_redis, on_sqlite, pickups
from benchmarks.budget.rows import Row, table
from benchmarks.storage import find_storage


def main() -> None:
    """Measure everything, less than two minutes, and print it."""
    storage = find_storage(None)
    print(f"Storage: {storage}\n")
    with tempfile.TemporaryDirectory(prefix="toril-budget-", dir=storage.folder) as folder:
        parts: dict[str, list[Row]] = {
            "The event loop": loops.rows(),
            "Redis": on_redis.rows(Path(folder)),
            "SQLite": on_sqlite.rows(Path(folder)),
            "Pick-up, 200 jobs in a second": pickups.rows(Path(folder)),
        }
    for title, rows in parts.items():
        print(f"**{title}**\n\n{table(rows)}\n")


if __name__ == "__main__":
    main()
