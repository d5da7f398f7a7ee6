from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.postgres import running_postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with running_postgres(options=("-c", "fsync=off", "-c", "max_connections=20")) as url:
        yield url
