"""`toril new`: what it writes runs, and its own tests pass."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import compose_spec
import pytest
import yaml  # type: ignore[import-untyped]
from tests.house.tree import ROOT
from tests.support.environments import python_with
from tests.support.ffmpeg import program

from toril.cli.new_project import write_app
from toril.core.extras import Source

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

TYPED_JOBS = """
import asyncio
from jobs.registry import app
from toril import App

async def main():
    async with app, App() as stranger:
        good = await stranger.queue("jobs").add("send-text", {"userId": "u1"})
        odd = await stranger.queue("jobs").add("send-fax", {"userId": "u1"})
        await app.worker().run(until_idle=True)
        print(await good.result())
        info = await odd.info()
        print(info.state, info.failed_reason)

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


def test_what_the_command_says_next_works_as_it_stands(tmp_path: Path) -> None:
    """It named pytest, which nothing had installed, and Toril came from an index without it."""
    python = python_with([str(ROOT)], tmp_path / "venv")
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    outside["PATH"] = f"{python.parent}{os.pathsep}{outside['PATH']}"
    made = subprocess.run(
        [str(python.parent / "toril"), "new", "app", "shop"],
        cwd=tmp_path, env=outside, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (made.returncode, made.stderr) == (0, "")
    _, _, commands = made.stdout.partition("Go on with:\n")

    done = subprocess.run(
        ["sh", "-e"],
        input=commands, cwd=tmp_path, env=outside, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "2 passed" in done.stdout
    typed = [line.strip() for line in commands.splitlines()]
    assert typed[0] == "cd shop"
    assert typed[-1].endswith("python -m pytest")


def test_readme_image_and_project_install_from_where_this_toril_came(shop: Path) -> None:
    project = tomllib.loads((shop / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == [f"toril[redis,web] @ {ROOT.as_uri()}"]
    assert project["optional-dependencies"] == {"dev": ["pytest>=8"]}
    assert "pip install '.[dev]'\n" in (shop / "README.md").read_text()
    image = (shop / "Dockerfile").read_text()
    mount = f"--mount=type=bind,from=toril,target={ROOT},rw"
    assert f"RUN {mount} pip install --no-cache-dir . && useradd" in image
    built = yaml.safe_load((shop / "compose.yaml").read_text())["services"]["api"]["build"]
    assert built == {"context": ".", "additional_contexts": {"toril": str(ROOT)}}


def test_application_of_an_index_or_a_repository_installs_from_there(tmp_path: Path) -> None:
    git = "git+https://example.com/toril.git@v2"

    write_app(tmp_path, "by-index", Source(url=None))
    write_app(tmp_path, "by-git", Source(url=git, needs_git=True))

    wanted = {"by-index": "toril[redis,web]", "by-git": f"toril[redis,web] @ {git}"}
    for name, requirement in wanted.items():
        project = tomllib.loads((tmp_path / name / "pyproject.toml").read_text())["project"]
        assert project["dependencies"] == [requirement]
        image = (tmp_path / name / "Dockerfile").read_text()
        assert "RUN pip install --no-cache-dir . && useradd" in image
        assert ("install -y --no-install-recommends git" in image) is (name == "by-git")
        composed = yaml.safe_load((tmp_path / name / "compose.yaml").read_text())
        assert composed["services"]["api"]["build"] == "."


def test_files_leave_no_placeholder_and_are_clean(shop: Path) -> None:
    for name, text in contents(shop).items():
        for word in (
            "@name@",
            "@feature@",
            "@Feature@",
            "@FEATURE@",
            "@module@",
            "@profile@",
            "@type@",
            "@toril@",
            "@install@",
            "@build@",
        ):
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


def test_new_job_types_have_tests_that_pass_and_run_on_one_queue(tmp_path: Path) -> None:
    made = run(tmp_path, "-m", "toril", "new", "app", "my-chat")
    assert made.returncode == 0, made.stderr
    chat = tmp_path / "my-chat"
    before = contents(chat)

    first = run(chat, "-m", "toril", "new", "job-type", "send-text", "--json")
    second = run(chat, "-m", "toril", "new", "job-type", "export")

    assert json.loads(first.stdout) == {
        "folder": ".",
        "written": ["jobs/__init__.py", "jobs/registry.py", "jobs/send_text.py",
                    "tests/test_send_text.py"],
        "changed": [],
    }  # fmt: skip
    assert second.stdout.splitlines() == [
        "written  jobs/export.py",
        "written  tests/test_export.py",
        "changed  jobs/registry.py",
    ]
    after = contents(chat)
    assert {name: text for name, text in after.items() if name in before} == before
    passed = run(chat, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "6 passed" in passed.stdout
    worked = run(chat, "-c", TYPED_JOBS)
    good, odd = worked.stdout.splitlines()
    assert good == "{'success': True}"
    assert odd.startswith("failed")
    assert "has no task 'send-fax' on queue 'jobs'" in odd
    checked = run(chat, "-m", "ruff", "check", "--isolated", "--select", "E,F,B", "--line-length",
                  "100", "--no-cache", ".")  # fmt: skip
    assert checked.returncode == 0, checked.stdout
    twice = run(chat, "-m", "toril", "new", "job-type", "export")
    assert twice.returncode == 4
    assert "jobs/export.py: there is one already; choose another name" in twice.stderr
    assert contents(chat) == after


def test_job_type_that_will_not_do_is_refused(tmp_path: Path) -> None:
    for words in (["Send"], ["send", "--queue", "a:b"], ["class"]):
        done = run(tmp_path, "-m", "toril", "new", "job-type", *words)
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/registry.py").write_text("TYPES = tuple()\n")
    odd = run(tmp_path, "-m", "toril", "new", "job-type", "send")
    assert odd.returncode == 4
    assert "expected TYPES = [...] in the registry: add send by hand" in odd.stderr
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["registry.py"]


def test_containers_and_units_of_a_new_application_are_accepted(shop: Path, tmp_path: Path) -> None:
    composed = yaml.safe_load((shop / "compose.yaml").read_text())
    compose_spec.PyCompose.from_json(json.dumps(composed)).validate()
    services = composed["services"]
    limits = {
        name: (one["deploy"].get("replicas", 1), one["deploy"]["resources"]["limits"]["memory"])
        for name, one in services.items()
        if name.startswith("worker-")
    }
    assert limits == {
        "worker-light": (3, "512M"), "worker-medium": (1, "2G"), "worker-heavy": (2, "8G"),
    }  # fmt: skip
    verify = program("systemd-analyze", "systemd")
    shutil.copytree(shop / "deploy", tmp_path, dirs_exist_ok=True)
    for name in ("my-shop-api.service", "my-shop-worker@.service"):
        text = (tmp_path / name).read_text()
        started = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text)
        assert started != text
        for one in [name] if "@" not in name else [f"my-shop-worker@{kind}.service" for kind in
                                                   ("light", "heavy")]:  # fmt: skip
            (tmp_path / one).write_text(started.replace("/srv/my-shop\n", "/srv\n"))
            done = subprocess.run(
                [verify, "verify", "--man=no", str(tmp_path / one)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
    heavy = (tmp_path / "my-shop-worker@heavy.service.d/memory.conf").read_text()
    assert "my-shop-worker@heavy.service.d/memory.conf" in heavy
    assert "MemoryMax=8G" in heavy
