"""A dashboard over a store of each kind, and a browser's requests to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.web.dashboard.support import Site, site

from toril import App
from toril.web.options import ServerOptions


@pytest.fixture
async def pages(app: App) -> AsyncIterator[Site]:
    """The dashboard of an app, open to this machine."""
    async with site(app, options=ServerOptions(tick_s=0.05, heartbeat_s=0.5)) as found:
        yield found
