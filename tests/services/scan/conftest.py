"""Each adapter of the scanner, and a clamd that can be hurt."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.support.clamd import STREAM_MAX_BYTES, Clamd, running_clamd

from toril.services.scan.clamd import ClamdScanner
from toril.services.scan.memory import MemoryScanner
from toril.services.scan.port import Scanner

SMALL = 256 * 1024
"""Largest content in these tests: below clamd's own limits."""


@pytest.fixture(scope="session")
def common_clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """One clamd for all tests that do it no harm."""
    with running_clamd(tmp_path_factory.mktemp("clamd")) as clamd:
        yield clamd


@pytest.fixture
def own_clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """One that a test may kill."""
    with running_clamd(tmp_path_factory.mktemp("clamd")) as clamd:
        yield clamd


@pytest.fixture(params=["memory", "unix", "tcp"])
def adapter(request: pytest.FixtureRequest) -> str:
    """Which scanner."""
    return str(request.param)


@pytest.fixture
def scanner(adapter: str, request: pytest.FixtureRequest) -> Scanner:
    """A scanner that takes 256 KiB."""
    if adapter == "memory":
        return MemoryScanner(max_bytes=SMALL)
    clamd: Clamd = request.getfixturevalue("common_clamd")
    assert SMALL < STREAM_MAX_BYTES
    return ClamdScanner(getattr(clamd, adapter), max_bytes=SMALL)


@pytest.fixture
def switch_off(adapter: str, request: pytest.FixtureRequest) -> tuple[Scanner, Callable[[], None]]:
    """A scanner, and what makes it unavailable."""
    if adapter == "memory":
        memory = MemoryScanner()

        def off() -> None:
            memory.is_available = False

        return memory, off
    clamd: Clamd = request.getfixturevalue("own_clamd")
    return ClamdScanner(getattr(clamd, adapter)), clamd.kill
