"""What the platform's files of deployment and its README say holds; and its demo runs anywhere."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from PIL import Image
from tests.examples.content_platform.deployment import ROOT

EXAMPLE = ROOT / "examples/content_platform"
PAGES = ROOT / "docs/systems/content_platform"


def test_compose_file_has_all_parts() -> None:
    """CP-77, by its structure."""
    composed = yaml.safe_load((EXAMPLE / "compose.yaml").read_text("utf-8"))
    services = composed["services"]
    assert {"api", "media-worker", "notify-worker", "redis", "postgres", "s3"} <= set(services)
    for name in ("api", "media-worker", "notify-worker"):
        assert services[name]["build"]["dockerfile"] == "examples/content_platform/Dockerfile"
        assert set(services[name]["depends_on"]) <= set(services)
        named = [one.partition(":")[0] for one in services[name]["volumes"]]
        assert set(named) <= set(composed["volumes"])
    served = " ".join(" ".join(one.get("command", [])) for one in services.values())
    for queue in ("media-processing", "media-sync", "watermark", "notifications"):
        assert queue in served
    assert "3030:3030" in services["api"]["ports"]


def test_image_has_no_root_and_a_health_check() -> None:
    text = (EXAMPLE / "Dockerfile").read_text("utf-8")
    assert re.search(r"^USER content$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["api", "worker"])
def test_unit_stops_after_the_worker_does(name: str) -> None:
    """CR-22."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((EXAMPLE / f"content-platform-{name}.service").read_text("utf-8"))
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) > 25
    assert service["User"] == "content"
    assert service["KillMode"] == "mixed"
    assert "examples.content_platform" in service["ExecStart"]


def test_grafana_shows_our_figures_only() -> None:
    """CP-79: each name of its queries is one that /metrics has."""
    board = json.loads((EXAMPLE / "grafana.json").read_text("utf-8"))
    asked = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    names = set(re.findall(r"\b(?:media|notification|watermark)_[a-z_]+", asked))
    assert names == {
        "media_processing_queue_size", "media_processing_jobs_total",
        "media_processing_duration_seconds_bucket", "media_sync_queue_size",
        "media_sync_jobs_total", "watermark_queue_size", "watermark_jobs_total",
        "notification_queue_size", "notification_jobs_total", "notification_queue_switches_total",
    }  # fmt: skip


def test_example_stays_small() -> None:
    """CR-28."""
    lines = [
        line
        for path in EXAMPLE.glob("*.py")
        for line in path.read_text().splitlines()
        if line.strip() and not line.lstrip().startswith(('"""', "#"))
    ]
    assert len(lines) < 250


def test_demo_runs_with_nothing_set_and_ends_by_itself(tmp_path: Path) -> None:
    """CR-2, CR-28: from another folder, with standard input closed."""
    ran = subprocess.run(
        [sys.executable, "-m", "examples.content_platform"], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PORT": "0", "BOARD_PORT": "0",
             "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Board on http://127.0.0.1:" in ran.stdout
    assert "Jo reads: Hi You are in." in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
    assert len(re.findall(r"s  media\.processed  \w+\.(jpg|png): 4 sizes", ran.stdout)) == 6
    assert len(re.findall(r"s  media\.failed     bad-\w+\.(jpg|png): ", ran.stdout)) == 3
    assert "media-processing  6 completed   3 failed" in ran.stdout
    assert "media-sync        6 completed   0 failed" in ran.stdout
    assert "login?link=" not in ran.stdout, "the server is closed when somebody reads it"
    assert ran.stdout.endswith("It ends here, as standard input is no terminal.\n")
    data = tmp_path / "content-data"
    assert len(list((data / "mail").glob("*.eml"))) == 1
    here = {path.name for path in (data / "public").rglob("*.webp")}
    assert len(here) == 24
    assert here <= {path.name for path in (data / "objects").rglob("*.webp")}


WORKERS = """
import asyncio
from examples.content_platform import queues as q
from examples.content_platform.store import services, settings
from toril.library.images import MediaProcessingJobData
from toril.library.images.samples import sample_folder
from toril.library.images.service import MediaService

async def main():
    path = sample_folder(settings.temp_dir / "a")[0]
    with MediaService(settings) as service:
        record = service.process_upload(MediaProcessingJobData(
            entity_type="user_avatar", temp_path=f"a/{path.name}", original_filename=path.name))
    assert q.get_watermark_queue() is q.WatermarkQueue
    mark = {"watermarkId": "wm-logo", "position": "center", "opacity": 0.5, "scale": 0.5}
    job = await q.add_watermark_job({"mediaId": record.media_id, **mark})
    await q.MediaSyncWorker().run(until_idle=True)
    assert (await job.info()).state == "wait"
    await q.WatermarkWorker().run(until_idle=True)
    assert (await job.info()).state == "completed", (await job.info()).failed_reason
    assert (await q.MediaSyncQueue.get_stats())["waiting"] == 1
    await q.MediaSyncWorker().run(until_idle=True)
    print(await q.MediaSyncQueue.get_stats(), (await q.WatermarkQueue.get_job(job.id).info()).name)
    await q.app.close()

asyncio.run(main())
"""


def test_workers_serve_their_queue_alone(tmp_path: Path) -> None:
    """CP-5, CP-20, CP-78: under the names of the source."""
    marks = tmp_path / "marks"
    marks.mkdir()
    mark = Image.new("RGBA", (8, 4), (255, 0, 255, 255))
    mark.save(marks / "wm-logo.png")
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "WATERMARK_DIR": str(marks)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "'completed': 1" in ran.stdout
    assert "__default__" in ran.stdout
