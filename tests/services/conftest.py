from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.services.postgres import running_postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with running_postgres() as url:
        yield url
