"""`toril new`: what it writes runs, and its own tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

JOB = """
import asyncio
from shared.queues.my_feature.producer import MyFeatureProducer
from shared.queues.my_feature.types import MyFeatureJobPayload
from shared.queues.registry import QUEUES
from toril import App
from worker.queues.registry import PROCESSORS

async def main():
    app = App()
    PROCESSORS.register(app)
    async with app:
        job = await QUEUES.producers(app).get(MyFeatureProducer).enqueue(MyFeatureJobPayload("u1"))
        async with app.worker():
            print(await job.result(timeout_s=60))

asyncio.run(main())
"""


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "toril.db" not in path.name
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An application, as the command writes it."""
    folder = tmp_path_factory.mktemp("new")
    made = run(folder, "-m", "toril", "new", "app", "my-shop")
    assert (made.returncode, made.stderr) == (0, "")
    return folder / "my-shop"


def test_new_app_passes_its_own_tests_and_a_new_queue_runs_a_job(shop: Path) -> None:
    passed = run(shop, "-m", "pytest", "-q", "-p", "no:randomly")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    before = contents(shop)

    made = run(shop, "-m", "toril", "new", "queue", "my-feature", "--profile", "medium")

    assert (made.returncode, made.stderr) == (0, "")
    after = contents(shop)
    registries = ["shared/queues/registry.py", "worker/queues/registry.py"]
    assert sorted(name for name in before if before[name] != after[name]) == registries
    assert sorted(after.keys() - before.keys()) == [
        "shared/queues/my_feature/__init__.py",
        "shared/queues/my_feature/producer.py",
        "shared/queues/my_feature/spec.py",
        "shared/queues/my_feature/types.py",
        "worker/queues/my_feature/__init__.py",
        "worker/queues/my_feature/processor.py",
    ]
    done = run(shop, "-c", JOB)
    assert done.stdout == "MyFeatureJobResult(success=True)\n", done.stderr
    again = run(shop, "-m", "pytest", "-q", "-p", "no:randomly")
    assert again.returncode == 0, again.stdout + again.stderr
    twice = run(shop, "-m", "toril", "new", "queue", "my-feature")
    assert twice.returncode == 4
    assert "there is one already; choose another name" in twice.stderr
    assert contents(shop) == after


def test_files_leave_no_placeholder_and_are_clean(shop: Path) -> None:
    for name, text in contents(shop).items():
        for word in ("@name@", "@feature@", "@Feature@", "@FEATURE@", "@module@", "@profile@"):
            assert word not in text, name
    checked = run(shop, "-m", "ruff", "check", "--isolated", "--select", "E,F,B", "--line-length",
                  "100", "--no-cache", ".")  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_wrong_worker_type_stops_the_start(shop: Path) -> None:
    done = run(shop, "-m", "worker", WORKER_TYPE="hevy")

    assert done.returncode == 1
    assert "did you mean 'heavy'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["My", "a_b", "-a", "a:b", "class", "../x"])
def test_names_that_will_not_do_are_refused(tmp_path: Path, name: str) -> None:
    for kind in ("app", "queue"):
        done = run(tmp_path, "-m", "toril", "new", kind, "--", name)
        assert done.returncode == 2
        assert "expected small letters and digits" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_queue_outside_of_an_application_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "toril", "new", "queue", "mail")

    assert done.returncode == 4
    assert "shared/queues/registry.py is not here" in done.stderr
    (tmp_path / "mail").mkdir()
    there = run(tmp_path, "-m", "toril", "new", "app", "mail")
    assert "mail: there is one already" in there.stderr
