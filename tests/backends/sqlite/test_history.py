"""History in a file alone: how large it gets."""

from __future__ import annotations

from pathlib import Path

import apsw
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import Q
from tests.support.history import YEAR, write_a_year

from toril.engine.contract import Level
from toril.testing.clock import ManualClock


async def test_year_of_a_task_takes_few_megabytes(opener: Opener, path: Path) -> None:
    clock = ManualClock()
    backend = opener(clock=clock)

    await write_a_year(backend, clock)

    rows = [
        await backend.history.read(Q, level, since_ms=0, until_ms=2**50)
        for level in (Level.MINUTE, Level.HOUR, Level.DAY)
    ]
    await backend.lifecycle.close()
    connection = apsw.Connection(str(path))
    ((tallies,),) = connection.execute("SELECT sum(length(tally) + 20) FROM history").fetchall()
    assert isinstance(tallies, int)
    size = path.stat().st_size
    print(f"a year of one task: {[len(found) for found in rows]} rows, {tallies / 1e6:.2f} MB in a"
          f" file of {size / 1e6:.2f} MB")  # fmt: skip
    assert len(rows[0]) <= YEAR.minutes_most
    assert len(rows[1]) <= YEAR.hours_most
    assert tallies < 5_000_000
    assert size < 15_000_000  # with the room of what was removed
