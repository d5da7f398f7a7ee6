from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.smtp_process import SmtpProcess, smtp_process


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[SmtpProcess]:
    """A mail server that does what the receivers' names ask for."""
    with smtp_process(tmp_path / "smtp") as server:
        yield server
