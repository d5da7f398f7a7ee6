"""The cleaning tasks, by workers, on both stores."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from toril import App, InvalidPayloadError, JobFailedError
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.library.cleanup import CleanedQueues, CleanupSettings
from toril.library.cleanup.tasks import clean_jobs, cleanup, run_cleanup

HOUR_MS = 3_600_000


class Visits:
    """A session store: when each was used last, in seconds since 1970."""

    def __init__(self, used_s: list[float]) -> None:
        self.used_s = used_s

    async def remove_expired(self, *, before_s: float, dry_run: bool) -> int:
        kept = [used_s for used_s in self.used_s if used_s >= before_s]
        gone = len(self.used_s) - len(kept)
        if not dry_run:
            self.used_s = kept
        return gone


@pytest.fixture
async def app(url: str, tmp_path: Path) -> AsyncIterator[App]:
    made = App(url)
    made.include(cleanup)
    made.provide(settings_of(tmp_path))
    made.provide(CleanedQueues(made, ["mail", "paint"]))

    @made.task(queue="mail")
    async def send(number: int) -> None:
        if number < 0:
            raise ValueError(number)

    yield made
    await made.close()


def settings_of(tmp_path: Path, **more: Any) -> CleanupSettings:
    for name in ("tmp", "logs"):
        (tmp_path / name).mkdir(exist_ok=True)
    return CleanupSettings(temp_root=tmp_path / "tmp", log_root=tmp_path / "logs", **more)


def put(path: Path, hours: float) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("text")
    os.utime(path, (time.time() - hours * 3600,) * 2)


async def ran(app: App, **payload: Any) -> dict[str, Any]:
    """Run one cleaning by a worker; return its result as on the wire."""
    job = await app.bound(run_cleanup).enqueue(**payload)
    await app.worker().run(until_idle=True)
    await job.result(timeout_s=60)
    info = await job.info()
    assert isinstance(info.result, dict)
    return info.result


async def refused(app: App, **payload: Any) -> str:
    """Run one cleaning that must fail at once; return its reason."""
    job = await app.bound(run_cleanup).enqueue(**payload)
    await app.worker().run(until_idle=True)
    with pytest.raises(JobFailedError) as error:
        await job.result(timeout_s=60)
    assert (await job.info()).attempts_made == 1
    return str(error.value)


async def test_files_go_by_age_and_pattern(app: App, tmp_path: Path) -> None:
    put(tmp_path / "tmp/old.tmp", 2)
    put(tmp_path / "tmp/old.txt", 2)
    put(tmp_path / "tmp/new.tmp", 0.1)
    request = {"target_type": "temp_files", "older_than": HOUR_MS, "pattern": "*.tmp"}

    dry = await ran(app, **request, dry_run=True)
    wet = await ran(app, **request)

    assert dry == {
        "removed": 1, "freedBytes": 4, "skipped": 0, "reasons": {}, "dryRun": True
    }  # fmt: skip
    assert wet == {**dry, "dryRun": False}
    assert {path.name for path in (tmp_path / "tmp").iterdir()} == {"old.txt", "new.tmp"}


@pytest.mark.parametrize("absolute", [True, False])
async def test_path_begins_at_the_root_or_is_absolute_in_it(
    app: App, tmp_path: Path, absolute: bool
) -> None:
    put(tmp_path / "tmp/a/old.tmp", 2)
    put(tmp_path / "tmp/old.tmp", 2)
    path = str(tmp_path / "tmp/a") if absolute else "a"

    await ran(app, target_type="temp_files", older_than=HOUR_MS, path=path)

    assert (tmp_path / "tmp/old.tmp").exists()
    assert not (tmp_path / "tmp/a/old.tmp").exists()


@pytest.mark.parametrize("root", [".", "", "root"])
async def test_root_itself_can_be_named(app: App, tmp_path: Path, root: str) -> None:
    put(tmp_path / "tmp/old.tmp", 2)
    path = str(tmp_path / "tmp") if root == "root" else root

    done = await ran(app, target_type="temp_files", older_than=HOUR_MS, path=path)

    assert done["removed"] == 1


@pytest.mark.parametrize("path", ["../logs", "/etc", "a/../../logs", "a\0b", "link", "nowhere"])
async def test_path_that_leads_out_fails_at_once(app: App, tmp_path: Path, path: str) -> None:
    put(tmp_path / "logs/old.log", 2)
    (tmp_path / "tmp/link").symlink_to(tmp_path / "logs")

    reason = await refused(app, target_type="temp_files", older_than=HOUR_MS, path=path)

    assert reason.partition("path ")[2].partition(": ")[2] != ""
    assert (tmp_path / "logs/old.log").exists()


async def test_log_in_use_stays(app: App, tmp_path: Path) -> None:
    put(tmp_path / "logs/old.log", 2)
    put(tmp_path / "logs/new.log", 1.5)
    with (tmp_path / "logs/new.log").open("a"):
        os.utime(tmp_path / "logs/new.log", (time.time() - 5400,) * 2)
        done = await ran(app, target_type="old_logs", older_than=HOUR_MS)

    assert (done["removed"], done["skipped"], done["reasons"]) == (1, 1, {"in use": 1})


async def test_floor_of_the_age_outranks_the_payload(app: App, tmp_path: Path) -> None:
    app.provide(settings_of(tmp_path, min_age_s=7200.0))
    put(tmp_path / "tmp/young.tmp", 1)
    put(tmp_path / "tmp/old.tmp", 3)

    assert (await ran(app, target_type="temp_files", older_than=0))["removed"] == 1
    assert (tmp_path / "tmp/young.tmp").exists()


async def test_sessions_are_asked_of_their_store(app: App, tmp_path: Path) -> None:
    store = Visits([time.time() - 7200, time.time()])
    app.provide(settings_of(tmp_path, sessions=store))
    request = {"target_type": "expired_sessions", "older_than": HOUR_MS}

    assert (await ran(app, **request, dry_run=True))["removed"] == 1
    assert len(store.used_s) == 2
    assert (await ran(app, **request))["removed"] == 1
    assert len(store.used_s) == 1
    assert "leave it out for expired_sessions" in await refused(app, **request, pattern="*")


async def test_what_is_not_set_is_refused_by_its_name(app: App) -> None:
    app.provide(CleanupSettings())

    for target, word in (
        ("temp_files", "TEMP_ROOT"),
        ("old_logs", "LOG_ROOT"),
        ("expired_sessions", "sessions=…"),
    ):
        assert word in await refused(app, target_type=target, older_than=0)


@pytest.mark.parametrize("pattern", ["../*", "a/b", ""])
async def test_pattern_is_of_a_name(app: App, pattern: str) -> None:
    reason = await refused(app, target_type="temp_files", older_than=0, pattern=pattern)

    assert "without '/'" in reason


@pytest.mark.parametrize(
    "payload",
    [{"target_type": "everything", "older_than": 1}, {"target_type": "old_logs", "older_than": -1}],
)
async def test_nonsense_is_refused_when_added(app: App, payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayloadError):
        await app.bound(run_cleanup).enqueue(**payload)


async def with_jobs(app: App) -> None:
    send = app.find_task("send").with_options(max_attempts=1)
    await send.enqueue_many({"number": number} for number in (1, 2, 3, -1, -2))
    await app.worker(queues=["mail"]).run(until_idle=True)


async def figures(app: App) -> tuple[int, int]:
    info = await app.queue("mail").info()
    assert info is not None
    return info.completed, info.failed


async def cleaned(app: App, **payload: Any) -> Any:
    job = await app.bound(clean_jobs).enqueue(**payload)
    await app.worker(queues=["cleanup"]).run(until_idle=True)
    return await job.result(timeout_s=60)


async def test_finished_jobs_go_by_state_and_age(app: App) -> None:
    await with_jobs(app)

    assert (await cleaned(app)).removed == {"mail": 0, "paint": 0}  # none is a day old
    done = await cleaned(app, state="failed", older_than=0)
    assert (done.removed, done.more) == ({"mail": 2, "paint": 0}, [])
    assert await figures(app) == (3, 0)
    assert (await cleaned(app, older_than=0, queue="mail")).removed == {"mail": 3}


async def test_limit_is_of_each_queue_and_said(app: App) -> None:
    await with_jobs(app)

    done = await cleaned(app, state="completed", older_than=0, limit=2)

    assert (done.removed, done.more) == ({"mail": 2, "paint": 0}, ["mail"])
    assert await figures(app) == (1, 2)


async def test_other_queues_are_left_alone(app: App) -> None:
    job = await app.bound(clean_jobs).enqueue(queue="payments")
    await app.worker().run(until_idle=True)

    with pytest.raises(JobFailedError, match=r"queue 'payments': expected one of: mail, paint"):
        await job.result(timeout_s=60)


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    found = CleanupSettings.from_environment({"TEMP_ROOT": str(tmp_path), "LOG_ROOT": " "})

    assert (found.temp_root, found.log_root) == (tmp_path, None)
    with pytest.raises(InvalidSettingError, match="TEMP_ROOT='/'"):
        CleanupSettings.from_environment({"TEMP_ROOT": "/"})


def test_roots_that_would_remove_too_much_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="temp_root"):
        CleanupSettings(temp_root=Path("/"))
    with pytest.raises(InvalidOptionError, match="log_root"):
        CleanupSettings(temp_root=tmp_path, log_root=tmp_path / "logs")
    with pytest.raises(InvalidOptionError, match="min_age_s"):
        CleanupSettings(min_age_s=-1.0)
