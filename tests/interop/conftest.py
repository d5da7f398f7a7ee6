"""BullMQ on Node and in Python, beside us on one Redis.

The first test that asks for one may have to install its packages, and Node itself: tests here carry
a longer limit (`pytestmark = pytest.mark.timeout(600)`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.node import Node
from tests.support.python_port import PythonPort

from toril import App


@pytest.fixture
async def node(redis_url: str) -> AsyncIterator[Node]:
    """A Node process with BullMQ, on the same empty store as `redis_url`."""
    async with await Node.start(redis_url) as node:
        yield node


@pytest.fixture
async def port(redis_url: str) -> AsyncIterator[PythonPort]:
    """A process with the official BullMQ for Python, on the same store."""
    async with await PythonPort.start(redis_url) as port:
        yield port


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[App]:
    """An app on the store that they use."""
    async with App(redis_url) as app:
        yield app
