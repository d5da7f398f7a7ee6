"""Fixtures for pytest, which finds them by itself where Toril is installed.

`toril_app`: an app in memory. `toril_clock`: its time. Both serve plain and asynchronous tests; no
plugin for asyncio is needed. Nothing else imports this module: Toril works without pytest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toril.testing.clock import ManualClock
from toril.testing.harness import MemoryApp


@pytest.fixture
def toril_clock() -> ManualClock:
    """Time that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def toril_app(toril_clock: ManualClock) -> Iterator[MemoryApp]:
    """Return an app whose store is in memory and empty; its time is `toril_clock`."""
    app = MemoryApp(clock=toril_clock)
    yield app
    app.close_sync()
