"""A check of files by a scanner: clean passes, nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from toril import InvalidSettingError
from toril.services.media.opening import media_work_from_environment
from toril.services.scan.checking import NoVerdictError, scan_check
from toril.services.scan.clamd import ClamdScanner
from toril.services.scan.memory import MemoryScanner, eicar
from toril.services.unusable import UnusableInputError


async def test_clean_file_passes_and_a_found_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    check = scan_check(MemoryScanner())

    path.write_bytes(b"clean" * 100_000)
    await check(path)
    path.write_bytes(eicar())
    with pytest.raises(UnusableInputError, match="Eicar"):
        await check(path)


async def test_file_over_the_scanners_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 11)

    with pytest.raises(UnusableInputError, match="too large"):
        await scan_check(MemoryScanner(max_bytes=10))(path)


async def test_scanner_that_is_away_gives_no_verdict(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")

    with pytest.raises(NoVerdictError, match="no verdict"):
        await scan_check(ClamdScanner(f"unix://{tmp_path}/none"))(path)


async def test_media_work_by_the_environment(tmp_path: Path) -> None:
    environ = {"STORAGE_URL": f"file://{tmp_path}/public", "CLAMD_URL": f"unix://{tmp_path}/none"}
    work = media_work_from_environment(environ=environ)
    await work.objects.put("a.txt", b"x")

    with pytest.raises(NoVerdictError):
        async with work.fetched("a.txt", max_bytes=10):
            pass
    plain = media_work_from_environment(environ={**environ, "CLAMD_URL": ""})
    async with plain.fetched("/a.txt", max_bytes=10) as source:
        assert source.path.read_bytes() == b"x"
    await work.close()
    await plain.close()


def test_nonsense_in_the_environment_is_named() -> None:
    with pytest.raises(InvalidSettingError, match="CLAMD_URL"):
        media_work_from_environment(environ={"CLAMD_URL": "http://nowhere"})
