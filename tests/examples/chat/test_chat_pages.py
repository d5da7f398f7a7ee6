"""What the chat's pages and files of deployment say holds."""

from __future__ import annotations

import configparser
import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from tests.examples.chat.deployment import ROOT
from tests.support.ffmpeg import program
from tests.support.lifelines import dies_with_us

EXAMPLE = ROOT / "examples" / "chat"
PAGES = ROOT / "docs" / "systems" / "chat"


def test_six_steps_hold_for_another_name(tmp_path: Path) -> None:
    """CH-39: the page's own code, with other names everywhere."""
    page = (PAGES / "new-types.md").read_text("utf-8")
    for name, other in (("send-text", "send-fax"), ("texts", "faxes"), ("texting", "faxing"),
                        ("add_text", "add_fax"), ("SEND_TEXT", "SEND_FAX")):  # fmt: skip
        assert name in page
        page = page.replace(name, other)
    copy = tmp_path / "new-types.md"
    copy.write_text(page, "utf-8")

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.house.pages", str(copy)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_compose_file_runs_api_worker_and_board() -> None:
    """CH-51: what the services are, and what each has."""
    composed = yaml.safe_load((EXAMPLE / "compose.yaml").read_text("utf-8"))
    services = composed["services"]

    assert {"api", "worker", "board", "redis", "postgres", "storage"} <= set(services)
    for name in ("api", "worker", "board"):
        assert services[name]["build"]["dockerfile"] == "examples/chat/Dockerfile"
        assert services[name]["stop_grace_period"] == "60s"
        assert set(services[name]["depends_on"]) <= set(services)
        named = [one.partition(":")[0] for one in services[name]["volumes"]]
        assert set(named) <= set(composed["volumes"])
        assert services[name]["environment"]["REDIS_URL"].startswith("redis://")


def test_compose_file_is_one_and_asks_for_a_key(tmp_path: Path) -> None:
    """CR-22: `config` reads it as it would be run, without a container engine."""
    compose = [program("docker-compose", "docker-compose"), "-f", str(EXAMPLE / "compose.yaml")]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def config(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*compose, "config"], env={**environ, **more}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    good, without = config(TORIL_ADMIN_KEY="k" * 32), config()

    assert good.returncode == 0, good.stderr
    read = yaml.safe_load(good.stdout)["services"]
    assert read["worker"]["environment"]["TORIL_ADMIN_KEY"] == "k" * 32
    assert read["worker"]["command"] == ["toril", "worker", "examples.chat", "-c", "13"]
    assert without.returncode != 0
    assert "openssl rand -hex 32" in without.stderr


@pytest.mark.parametrize("name", ["api", "worker", "board"])
def test_unit_is_one(name: str, tmp_path: Path) -> None:
    """CR-22: systemd reads it without a complaint, but for programs that are not installed here."""
    text = (EXAMPLE / f"chat-{name}.service").read_text("utf-8")
    here = Path(sys.executable).parent
    assert "/srv/chat/.venv/bin/" in text
    unit = tmp_path / f"chat-{name}.service"
    unit.write_text(text.replace("/srv/chat/.venv/bin", str(here)), "utf-8")

    done = subprocess.run(
        [program("systemd-analyze", "systemd"), "verify", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


def test_image_has_no_root_and_a_health_check() -> None:
    text = (EXAMPLE / "Dockerfile").read_text("utf-8")

    assert re.search(r"^USER chat$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)
    for source in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / one).exists() for one in source.split())


@pytest.mark.parametrize("name", ["api", "worker", "board"])
def test_unit_stops_after_the_worker_does(name: str) -> None:
    """CR-22."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((EXAMPLE / f"chat-{name}.service").read_text("utf-8"))

    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) > 25
    assert service["User"] == "chat"
    assert service["KillMode"] == "mixed"
    assert "examples.chat" in service["ExecStart"]


def test_readme_names_every_setting() -> None:
    text = (EXAMPLE / "README.md").read_text("utf-8")
    read = set()
    for path in EXAMPLE.glob("*.py"):
        read |= set(re.findall(r'env(?:iron)?\.get\("([A-Z_]+)"\)', path.read_text("utf-8")))

    assert {name for name in read if name not in text} <= {"TORIL_URL"}


def test_demo_runs_with_nothing_set_and_ends_by_itself(tmp_path: Path) -> None:
    """CR-2, CR-28: from another folder, with standard input closed."""
    ran = subprocess.run(
        [sys.executable, "-m", "examples.chat"], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PORT": "0", "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert "The board is at http://127.0.0.1:" in ran.stdout
    assert "1 sent, 0 failed" in ran.stdout
    folder = tmp_path / "chat-demo"
    assert len(list((folder / "mail").glob("*.eml"))) == 2
    assert len([path for path in (folder / "push").rglob("*") if path.is_file()]) == 1
    assert len(list((folder / "public").glob("*-avatar-*"))) == 10


def test_demo_at_a_terminal_stays_until_ctrl_c(tmp_path: Path) -> None:
    """It says so once the round is over, answers meanwhile, and ends in order."""
    ours, theirs = pty.openpty()
    ran = subprocess.Popen(
        [*dies_with_us(), sys.executable, "-m", "examples.chat"], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PORT": "0", "PYTHONUTF8": "1"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    told = ""
    try:
        while "until you press Ctrl-C" not in told:
            told += os.read(ours, 4096).decode()
        (url,) = re.findall(r"Listening on (http://\S+)", told)
        (key,) = re.findall(r"shown this once: (\S+)", told)
        headers = {"authorization": f"Bearer {key}"}
        page = httpx2.get(f"{url}/admin/queues/queues", headers=headers, timeout=60)
        os.write(ours, b"\x03")
        code = ran.wait(60)
    finally:
        ran.kill()
        ran.wait()
        os.close(ours)

    assert page.status_code == 200
    assert code == 0
    assert "Traceback" not in told


def test_worker_does_not_start_without_a_sender(tmp_path: Path) -> None:
    """CH-26."""
    ran = subprocess.run(
        [sys.executable, "-m", "toril", "worker", "examples.chat"], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert ran.returncode != 0
    assert "EMAIL_FROM" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("given", "url", "fallback"),
    [
        ({}, "sqlite:///toril.db", False),
        ({"REDIS_URL": "redis://r:7000/2"}, "redis://r:7000/2", True),
        ({"REDIS_HOST": "r"}, "redis://r:6379/0", True),
        ({"REDIS_PORT": "7000", "REDIS_PASSWORD": "p"}, "redis://:p@localhost:7000/0", True),
        ({"REDIS_URL": "redis://r:7000", "REDIS_HOST": "other"}, "redis://r:7000", True),
        ({"TORIL_URL": "sqlite:///jobs.db"}, "sqlite:///jobs.db", False),
    ],
)
def test_jobs_are_where_the_settings_say(
    tmp_path: Path, given: dict[str, str], url: str, fallback: bool
) -> None:
    """CR-2, CH-50: nothing set is a file; the parts of Redis count where no URL does."""
    code = "from examples.chat.worker import app; print(app.url, app.has_fallback)"

    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **given},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert (ran.stdout.strip(), ran.stderr) == (f"{url} {fallback}", "")


def test_wire_names_are_the_documents(tmp_path: Path) -> None:
    """CH-4, CH-8: constants under their own names."""
    code = "from examples.chat import worker as w\nfor n in %r: print(getattr(w, n))"
    names = {
        "PUSH_NOTIFICATIONS": "push-notifications", "FILE_PROCESSING": "file-processing",
        "EMAIL": "email", "PUSH_NOTIFICATION": "push-notification",
        "PUSH_NOTIFICATION_BATCH": "push-notification-batch", "PROCESS_IMAGE": "process-image",
        "PROCESS_VIDEO": "process-video", "OPTIMIZE_AVATAR": "optimize-avatar",
        "SEND_EMAIL": "send-email",
    }  # fmt: skip

    ran = subprocess.run(
        [sys.executable, "-c", code % [*names]], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip

    assert ran.stdout.split() == [*names.values()]
