"""BullMQ on Node, beside us on one Redis.

The first test that asks for Node may have to install its packages, and Node itself: tests here
carry a longer limit (`pytestmark = pytest.mark.timeout(300)`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.node import Node


@pytest.fixture
async def node(redis_url: str) -> AsyncIterator[Node]:
    """A Node process with BullMQ, on the same empty store as `redis_url`."""
    async with await Node.start(redis_url) as node:
        yield node
