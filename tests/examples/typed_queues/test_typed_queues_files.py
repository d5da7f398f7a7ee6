"""The files that come with the typed queues: size, containers, units, the API's imports."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import compose_spec
import pytest
import yaml  # type: ignore[import-untyped]
from tests.examples.typed_queues.system import ROOT
from tests.support.ffmpeg import program

EXAMPLE = ROOT / "examples/typed_queues"
UNITS = sorted(path.name for path in EXAMPLE.glob("*.service"))
EXECUTABLES = re.compile(r"^ExecStart=\S+", re.MULTILINE)


def check(text: str) -> None:
    """Read a compose file as Docker does.

    Raises:
        ValueError: It would refuse it.
    """
    compose_spec.PyCompose.from_json(json.dumps(yaml.safe_load(text))).validate()


def test_example_stays_small() -> None:
    lines = [
        line
        for path in EXAMPLE.rglob("*.py")
        for line in path.read_text().splitlines()
        if line.strip() and not line.lstrip().startswith(('"""', "#"))
    ]

    assert len(lines) < 250


def test_api_imports_no_processor_and_nothing_of_a_workers(tmp_path: Path) -> None:
    """TQ-2."""
    program_text = """
import sys, examples.typed_queues.api
rooms = ("examples.typed_queues.worker", "toril.library.video.tasks", "toril.library.email.tasks")
rooms += ("av", "PIL", "typst", "sqlalchemy", "aiosmtplib", "aiohttp")
print([name for name in sys.modules if name.startswith(rooms)])
"""
    done = subprocess.run(
        [sys.executable, "-c", program_text],
        cwd=ROOT, env={"DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_compose_file_has_the_replicas_and_limits() -> None:
    """Step 15: what `docker compose config` would refuse is refused here."""
    text = (EXAMPLE / "compose.yaml").read_text()
    check(text)
    services = yaml.safe_load(text)["services"]

    shown = {
        name: (
            one["environment"]["WORKER_TYPE"],
            one["deploy"]["replicas"],
            one["deploy"]["resources"]["limits"]["memory"],
        )
        for name, one in services.items()
        if name.startswith("worker-")
    }
    assert shown == {
        "worker-light": ("light", 3, "512M"),
        "worker-medium": ("medium", 1, "2G"),
        "worker-heavy": ("heavy", 2, "8G"),
    }
    assert set(services) == {"api", "redis", *shown}
    for name in ("api", *shown):
        assert services[name]["stop_grace_period"] == "60s"
        assert services[name]["environment"]["REDIS_URL"] == "redis://redis:6379"
        assert services[name]["build"]["dockerfile"] == "examples/typed_queues/Dockerfile"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("replicas: 3", "replicas: three"),
        ("stop_grace_period", "stop_grce_period"),
        ("condition: service_healthy", "condition: service_helthy"),
        ("memory: 512M", "memory: lots"),
    ],
)
def test_compose_check_finds_mistakes(good: str, bad: str) -> None:
    text = (EXAMPLE / "compose.yaml").read_text()
    assert good in text

    with pytest.raises(ValueError, match=r"."):
        check(text.replace(good, bad))


def test_image_has_no_root_and_a_health_check() -> None:
    text = (EXAMPLE / "Dockerfile").read_text("utf-8")

    assert re.search(r"^USER tasks$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)
    for source in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / one).exists() for one in source.split())


@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    """Step 15; the program that it starts is not on this machine, so another stands for it."""
    text = (EXAMPLE / name).read_text()
    assert EXECUTABLES.search(text)
    (tmp_path / name).write_text(EXECUTABLES.sub("ExecStart=/bin/true", text))
    for folder in EXAMPLE.glob("*.service.d"):
        shutil.copytree(folder, tmp_path / folder.name)
    verify = program("systemd-analyze", "systemd")
    names = (
        [name] if "@" not in name else [name.replace("@", f"@{one}") for one in ("light", "heavy")]
    )

    for one in names:
        if one != name:
            shutil.copyfile(tmp_path / name, tmp_path / one)
        done = subprocess.run(
            [verify, "verify", "--man=no", str(tmp_path / one)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_units_have_the_memory_of_the_containers() -> None:
    def limit(path: Path) -> str:
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.read_string(path.read_text())
        return unit["Service"]["MemoryMax"]

    assert limit(EXAMPLE / "toril-worker@.service") == "512M"
    assert limit(EXAMPLE / "toril-worker@medium.service.d/memory.conf") == "2G"
    assert limit(EXAMPLE / "toril-worker@heavy.service.d/memory.conf") == "8G"


def test_all_in_one_process_ends_once_all_is_done(tmp_path: Path) -> None:
    """`python -m examples.typed_queues`, with nothing set up."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.typed_queues"],
        cwd=ROOT, env={"DATA_DIR": str(tmp_path), "PORT": "0", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "/admin/queues" in done.stdout
    (mail,) = (tmp_path / "mail").glob("*.eml")
    assert "user@example.com" in mail.read_text()
    (document,) = (tmp_path / "objects/documents").glob("report-*.pdf")
    assert document.read_bytes().startswith(b"%PDF-")
