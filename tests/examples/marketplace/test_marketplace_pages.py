"""What the marketplace's page and files of deployment say holds."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from tests.support.example_processes import ROOT

EXAMPLE = ROOT / "examples" / "marketplace"
PAGE = (ROOT / "docs/systems/marketplace/index.md").read_text("utf-8")
WORKERS = re.compile(r"toril worker examples\.marketplace")


def test_example_stays_small() -> None:
    lines = [
        line
        for path in EXAMPLE.glob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.strip() and not line.lstrip().startswith(('"""', "#"))
    ]

    assert len(lines) < 250


def test_demo_runs_with_nothing_set_and_ends_by_itself(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "examples.marketplace", "demo"], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PORT": "0", "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert "The dashboard is at http://127.0.0.1:" in ran.stdout
    assert "CLAMD_ADDRESS=memory" in ran.stderr
    folder = tmp_path / "marketplace-data"
    subjects = sorted(path.name.split("-", 1)[1] for path in (folder / "mail").glob("*.eml"))
    assert [one[:12] for one in subjects] == [
        "Daily-report", "Payment-rece", "Welcome-to-M", "Winter-sale-", "Winter-sale-",
        "You-earned-1",
    ]  # fmt: skip
    assert len(list((folder / "objects/files").rglob("*.jpg"))) == 4
    assert len(list((folder / "objects/reports/daily").rglob("report.*"))) == 3
    assert (folder / "encryption.key").stat().st_mode & 0o777 == 0o600


def test_page_tells_of_each_queue_as_the_table_does() -> None:
    queues = tomllib.loads((EXAMPLE / "queues.toml").read_text("utf-8"))

    for name, row in queues.items():
        (line,) = re.findall(rf"^\| `{name}` \| (.*)$", PAGE.split("## Payloads")[0], re.MULTILINE)
        assert f"| {row['concurrency']} | {row['attempts']}" in line
        if name != "dead-letter":
            assert f"`{row['job']}`" in line
            assert f"{row['attempts']}, {row['backoff'] // 1000} s" in line
        assert {"attempts", "backoff", "removeOnComplete", "removeOnFail", "priority"} < set(row)


def test_page_names_every_setting() -> None:
    read: set[str] = set()
    for path in (*EXAMPLE.glob("*.py"), ROOT / "src/toril/library/shops.py"):
        text = path.read_text("utf-8")
        read |= set(re.findall(r'(?:get|for_trial)\("([A-Z_]{4,})"', text))

    assert read > {"DATA_DIR", "QUEUE_OPTIONS", "REPORT_TO"}
    assert {name for name in read if name not in PAGE} == set()


def test_compose_file_runs_api_workers_and_all_servers() -> None:
    """A structural check: a container engine is not at hand everywhere."""
    composed = yaml.safe_load((EXAMPLE / "compose.yaml").read_text("utf-8"))
    services = composed["services"]

    assert {"api", "job-workers", "redis", "postgres", "storage", "clamd"} == set(services)
    for name in ("api", "job-workers"):
        assert services[name]["build"]["dockerfile"] == "examples/marketplace/Dockerfile"
        assert set(services[name]["depends_on"]) <= set(services)
        assert services[name]["environment"]["TORIL_ENV"] == "production"
        assert services[name]["environment"]["CLAMD_ADDRESS"] == "tcp://clamd:3310"
    volumes = {one.partition(":")[0] for each in services.values() for one in each["volumes"]}
    assert volumes == set(composed["volumes"])


def test_image_has_no_root_a_health_check_and_runs_workers() -> None:
    text = (EXAMPLE / "Dockerfile").read_text("utf-8")

    assert re.search(r"^USER market$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)
    assert '"--processes"' in text.splitlines()[-1]


def test_unit_runs_one_worker_and_stops_after_it_does() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((EXAMPLE / "job-workers.service").read_text("utf-8"))

    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) > 25
    assert service["Restart"] == "on-failure"
    assert WORKERS.search(service["ExecStart"])
    assert "TORIL_ENV=production" in service["Environment"]


def test_commands_of_make_start_workers() -> None:
    for name in ("workers-dev", "workers-prod", "workers-start"):
        told = subprocess.run(
            ["make", "--dry-run", name], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        assert WORKERS.search(told), told
