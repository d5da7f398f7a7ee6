"""What tests of every room may ask for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import hypothesis
import pytest
from tests.support.waiting import wait_until_sync

from toril.testing.clock import ManualClock

# A busy machine is no failure: how long an example takes says nothing here.
hypothesis.settings.register_profile(
    "toril", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("toril")


@pytest.fixture
def clock() -> ManualClock:
    """Time that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread of ours behind: it did not close what it opened."""
    before = set(threading.enumerate())
    yield
    wait_until_sync(
        lambda: (
            not [
                thread
                for thread in threading.enumerate()
                if thread not in before and thread.name.startswith("toril-")
            ]
        ),
        what="every toril-* thread to end",
    )
