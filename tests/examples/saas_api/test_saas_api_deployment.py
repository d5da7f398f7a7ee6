"""How the SaaS API is set up: variables, first start, one process, compose and unit files."""

from __future__ import annotations

import configparser
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import redis
import yaml  # type: ignore[import-untyped]
from tests.examples.saas_api.saas import OPERATOR, ROOT, System
from tests.support.example_processes import START_S
from tests.support.http_server import Answer, Request, serving
from tests.support.lifelines import dies_with_us
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until, wait_until_sync

from toril import App

pytestmark = pytest.mark.timeout(600)
EXAMPLE = ROOT / "examples/saas_api"
PAGE = ROOT / "docs/systems/saas_api/index.md"
NOTE = {"title": "T", "body": "B"}
MAIL = {"to": "user@example.com", "subject": "Hi", "template": "test"}


async def test_parts_of_redis_are_read_and_the_cache_shares_them(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with RedisServer.start(tmp_path / "redis", options=("--databases", "16")) as server:
        server.command("CONFIG", "SET", "requirepass", "s3cret/of redis")
        system = System(
            tmp_path,
            "",
            {
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(server.port),
                "REDIS_PASSWORD": "s3cret/of redis",
                "REDIS_DB": "3",
            },
        )
        try:
            await system.api()
            await system.worker()
            kept = {"removeOnComplete": False}
            data = {"cacheKey": "cache:stats", "dataSource": "stats"}
            await system.done("CACHE_WARM", data, **kept)
            said = "".join(log.read_text() for log in system.folder.glob("*.log"))
        finally:
            system.close()
        with redis.Redis(port=server.port, db=3, password="s3cret/of redis") as client:
            jobs = [key.decode() for key in client.keys("bull:jobs:*")]
            value, ttl_s = client.get("cache:stats"), client.ttl("cache:stats")
        with redis.Redis(port=server.port, db=0, password="s3cret/of redis") as client:
            elsewhere = client.dbsize()

    assert "bull:jobs:1" in jobs
    assert set(json.loads(value)) == {"completed", "failed"}
    assert 3500 < ttl_s <= 3600
    assert elsewhere == 0
    assert "s3cret" not in said


def test_any_part_of_redis_makes_the_others_the_documented_ones(tmp_path: Path) -> None:
    program = "from examples.saas_api.worker import URL, services; print(URL, services.cache)"

    def told(**environment: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout

    assert told(REDIS_DB="2").startswith("redis://redis:6379/2 ")
    assert told(REDIS_HOST="r", REDIS_PASSWORD="").startswith("redis://r:6379/0 ")
    assert told(REDIS_HOST="r", REDIS_URL="redis://s:1/2").startswith("redis://s:1/2 ")
    assert told().startswith(f"sqlite:///{tmp_path}/jobs.db ")
    assert "Memory" in told()
    assert "Redis" in told(REDIS_HOST="r")
    assert "Memory" in told(REDIS_HOST="r", CACHE_URL="memory://")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUBMIT_RATE", "often"),
        ("QUEUE_PRIORITY_WIRE", "upside"),
        ("API_KEYS", "short=submitter"),
        ("PORT", "http"),
        ("CACHE_URL", "ftp://x"),
        ("ALERT_EMAIL_TO", "ops"),
        ("QUEUE_CONCURRENCY", "many"),
        ("QUEUE_CONCURRENCY", "0"),
        ("QUEUE_REMOVE_ON_FAIL", "few"),
        ("QUEUE_TYPE_LIMITS", "DATA_EXPORT"),
    ],
)
def test_setting_that_makes_no_sense_stops_the_start(name: str, value: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "examples.saas_api", "api"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PORT": "0", name: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert run.returncode != 0
    assert "Traceback" not in run.stderr, run.stderr
    assert name in run.stderr
    assert (value in run.stderr) == (name not in ("API_KEYS", "CACHE_URL"))  # they hold secrets


def test_one_process_works_with_nothing_set_and_shows_its_key_once(tmp_path: Path) -> None:
    def run(turn: int) -> tuple[str, int]:
        log = tmp_path / f"{turn}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*dies_with_us(), sys.executable, "-m", "examples.saas_api"],
                cwd=tmp_path,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PORT": "0"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            wait_until_sync(
                lambda: "curl http" in log.read_text() or process.poll() is not None,
                deadline_s=START_S,
                what="the start",
            )
            text = log.read_text()
            (url,) = re.findall(r"Listening on (\S+)", text)
            if turn == 1:
                (key,) = re.findall(r"shown this once: (\S+)", text)
                keys.append(key)
            headers = {"authorization": f"Bearer {keys[0]}"}
            body = {"type": "EMAIL_SEND", "data": MAIL, "options": {"priority": 10}}
            added = httpx.post(f"{url}/api/queue/jobs", json=body, headers=headers, timeout=60)
            assert added.status_code == 201, added.text
            mails = tmp_path / "saas-data/mail"
            wait_until_sync(
                lambda: mails.is_dir() and len([*mails.glob("*.eml")]) == turn, what="the mail"
            )
            assert httpx.get(f"{url}/queue/stats", headers=headers).status_code == 200
            process.send_signal(signal.SIGINT)
            return text, process.wait(60)
        finally:
            process.kill()
            process.wait()

    keys: list[str] = []
    first, code = run(1)
    second, again = run(2)

    assert (code, again) == (0, 0)
    assert f"Bearer {keys[0]}" in first  # the line to try is ready to be pasted
    assert keys[0] not in second
    assert "files in" in first
    assert "Traceback" not in first + second


async def test_one_process_ends_at_once_when_told_twice(tmp_path: Path) -> None:
    asked: list[str] = []

    def hang(request: Request) -> Answer:
        asked.append(request.path)
        return Answer(hangs=True)

    log = tmp_path / "log"
    key = "operator-of-one-000001"
    async with serving(hang) as server:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*dies_with_us(), sys.executable, "-m", "examples.saas_api"],
                cwd=tmp_path,
                env={
                    "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PORT": "0",
                    "TORIL_EGRESS_ALLOW": "127.0.0.1", "API_KEYS": f"{key}=operator",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )  # fmt: skip
        try:
            await wait_until(
                lambda: "curl http" in log.read_text(), deadline_s=START_S, what="the start"
            )
            (url,) = re.findall(r"Listening on (\S+)", log.read_text())
            body = {
                "type": "CACHE_WARM",
                "data": {"cacheKey": "cache:a", "dataSource": server.url("/")},
            }
            async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}) as http:
                added = await http.post(f"{url}/api/queue/jobs", json=body, timeout=60)
            await wait_until(lambda: bool(asked), what="the job to run")
            began_s = time.monotonic()
            process.send_signal(signal.SIGINT)
            await wait_until(lambda: "once more: now" in log.read_text(), what="the first signal")
            process.send_signal(signal.SIGINT)
            await wait_until(lambda: process.poll() is not None, what="its end")
            took_s = time.monotonic() - began_s
        finally:
            process.kill()
            process.wait()
    async with App(f"sqlite:///{tmp_path}/saas-data/jobs.db") as app:
        info = await app.queue("jobs").job(added.json()["jobId"]).info()

    assert process.returncode == 0, log.read_text()
    assert took_s < 30  # SHUTDOWN_TIMEOUT_S
    assert (info.state, info.attempts_made) == ("prioritized", 0)


def test_compose_file_has_all_parts_and_lets_workers_scale() -> None:
    composed = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())
    services = composed["services"]

    assert set(services) == {"app", "queue-worker", "redis", "postgres", "storage"}
    for name in ("app", "queue-worker"):
        environment = services[name]["environment"]
        grace_s = int(services[name]["stop_grace_period"].removesuffix("s"))
        assert grace_s == 40 > int(environment["SHUTDOWN_TIMEOUT_S"])
        assert services[name]["build"]["dockerfile"] == "examples/saas_api/Dockerfile"
        assert set(services[name]["depends_on"]) <= set(services)
        queue_database = environment["REDIS_DB"]
        assert not environment["CACHE_URL"].endswith(f"/{queue_database}")
    worker = services["queue-worker"]
    assert "ports" not in worker
    assert "container_name" not in worker
    assert worker["command"] == ["toril", "worker", "examples.saas_api"]
    assert services["app"]["ports"] == ["3001:3001"]
    assert "noeviction" in services["redis"]["command"]
    named = {volume.partition(":")[0] for one in services.values() for volume in one["volumes"]}
    assert named == set(composed["volumes"])


def test_image_has_no_root_and_a_health_check() -> None:
    text = (EXAMPLE / "Dockerfile").read_text()

    assert re.search(r"^USER saas$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)
    assert 'CMD ["python", "-m", "examples.saas_api", "api"]' in text


@pytest.mark.parametrize("name", ["toril-queue-worker", "toril-saas-api"])
def test_unit_stops_after_the_jobs(name: str) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((EXAMPLE / f"{name}.service").read_text())

    service = unit["Service"]
    (shutdown,) = re.findall(r"SHUTDOWN_TIMEOUT_S=(\d+)", service["Environment"])
    assert int(service["TimeoutStopSec"]) == 40 > int(shutdown)
    assert service["User"] == "saas"
    assert service["KillSignal"] == "SIGTERM"
    assert "examples.saas_api" in service["ExecStart"]


def test_page_names_every_setting_command_and_type() -> None:
    page = PAGE.read_text()
    read = set()
    for path in EXAMPLE.glob("*.py"):
        text = path.read_text()
        read |= set(re.findall(r'ENV(?:\.get\(|\[)f?"([A-Z_]+)"', text))
        read |= set(re.findall(r'"(QUEUE_[A-Z_]+|SHUTDOWN_[A-Z_]+|EXPORT_[A-Z_]+)":', text))
    composed = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())
    read |= set(composed["services"]["app"]["environment"])

    missing = {name for name in read if name not in page and not name.startswith("S3_")}
    assert missing == set()
    for said in (
        "make worker-queue", "KEYS bull:jobs:*", "MONITOR", "toril queues --json", "toril doctor",
        "journalctl -u toril-queue-worker", "--scale queue-worker=3", "stop queue-worker",
    ):  # fmt: skip
        assert said in page, said


async def test_doctor_is_told_of_raw_priorities(tmp_path: Path) -> None:
    system = System(tmp_path, f"sqlite:///{tmp_path}/jobs.db", {"QUEUE_PRIORITY_WIRE": "raw"})
    try:
        await system.api()
        run = subprocess.run(
            [sys.executable, "-m", "toril", "doctor", "--json", "--url", system.store],
            cwd=ROOT,
            env=system.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        added = await system.ask(
            "POST", "/queue/jobs", {"type": "USER_NOTIFICATION", "data": NOTE}, key=OPERATOR
        )
    finally:
        system.close()

    (found,) = [one for one in json.loads(run.stdout)["findings"] if one["subject"] == "priorities"]
    assert found["grade"] == "warning"
    assert added.status_code == 422  # an operator's key has no user: the notice needs one
