"""The plugin, as a project that uses it sees it: with and without a plugin for asyncio."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
from toril import Context

def test_plain(toril_app, toril_clock):
    @toril_app.task()
    def add(a: int, b: int) -> int:
        return a + b

    job = add.with_options(delay=60).enqueue_sync(1, 2)
    assert toril_app.run_until_idle_sync().completed == []
    toril_clock.advance(60)
    ran = toril_app.run_until_idle_sync()
    ran.raise_errors()
    assert job.result_sync() == 3
    assert toril_app.clock is toril_clock
"""

ASYNC = """
async def test_async(toril_app):
    @toril_app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    job = await add.enqueue(1, 2)
    await toril_app.run_until_idle()
    assert await job.result() == 3
"""

AUTO = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]


@pytest.mark.parametrize(
    ("source", "options"),
    [(TESTS, ["-p", "no:asyncio"]), (TESTS + ASYNC, AUTO)],
)
def test_a_project_finds_the_fixtures_by_itself(
    tmp_path: Path, source: str, options: list[str]
) -> None:
    (tmp_path / "test_shop.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_toril_and_its_testing_do_not_need_pytest() -> None:
    code = "import sys; import toril, toril.testing; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
