"""kill -9 before every single change on the disk, and two processes on one job."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.library.media import (
    MEDIA_ID,
    check_whole,
    in_child,
    in_quarantine,
    payload,
    process,
    public_files,
    record,
    upload,
    uploads,
)
from tests.services.pictures import photo

from toril.core.codec import decode, encode_text
from toril.library.images.payloads import MediaResult
from toril.library.images.settings import MediaSettings
from toril.services.unusable import UnusableInputError

_CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "sqlite3.connect"}
_FSYNC = os.fsync


def killed_before(change: int, tmp_path: Path, work: Callable[[], object]) -> bool:
    """Run `work` in a child that is killed before its n-th change; return whether it got so far.

    The interpreter announces each change on the disk to its audit hooks (PEP 578).
    """
    seen = 0

    def step() -> None:
        nonlocal seen
        seen += 1
        if seen == change:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in _CHANGES:
            return
        if event == "open":  # ours by its path, or made in a folder that is open already
            flags = arguments[2]
            made = isinstance(flags, int) and bool(flags & os.O_CREAT)
            if not made and not str(arguments[0]).startswith(str(tmp_path)):
                return
        step()

    def fsync(fd: Any) -> None:
        step()
        _FSYNC(fd)

    def run() -> None:
        os.fsync = fsync  # the one change that is not announced; the child ends with it
        sys.addaudithook(hook)
        work()

    code = in_child(run)
    assert code in (0, -signal.SIGKILL), f"change {change}: exit code {code}"
    return code != 0


def reset(settings: MediaSettings) -> None:
    """Forget everything but the folders."""
    for folder in (settings.media_root, settings.temp_dir, settings.quarantine):
        for path in folder.rglob("*") if folder.exists() else ():
            if path.is_file():
                path.unlink()
    for leftover in settings.temp_dir.parent.glob("media.db*"):
        leftover.unlink()


def test_upload_killed_anywhere_is_done_once_in_the_end(
    settings: MediaSettings, tmp_path: Path
) -> None:
    upload(settings, photo("chelsea.png"))
    expected = process(settings, media_id="m-1")
    change = 0

    while True:
        change += 1
        reset(settings)
        upload(settings, photo("chelsea.png"))
        if not killed_before(change, tmp_path, lambda: process(settings)):
            break
        check_whole(settings)

        result = process(settings)

        assert result == expected
        assert public_files(settings) == {each.path for each in result.variants}
        assert uploads(settings) == set()
        check_whole(settings)
    assert change > 15


def test_reprocess_killed_anywhere_shows_old_or_new_and_ends_as_new(
    settings: MediaSettings, tmp_path: Path
) -> None:
    change = 0

    while True:
        change += 1
        reset(settings)
        upload(settings, photo("rocket.jpg"))
        old = process(settings)
        upload(settings, photo("chelsea.png"), "new.png")
        new = payload("new.png", media_id=MEDIA_ID, entity_type="default")
        if not killed_before(change, tmp_path, lambda: process(settings, new)):  # noqa: B023
            break
        check_whole(settings)
        shown = record(settings)
        assert shown is not None
        assert len(shown.variants) in (len(old.variants), 2)

        result = process(settings, new)

        assert public_files(settings) == {each.path for each in result.variants}
        assert uploads(settings) == set()
        check_whole(settings)
    assert change > 15


def test_bad_upload_killed_anywhere_ends_in_quarantine_once(
    settings: MediaSettings, tmp_path: Path
) -> None:
    def refused() -> None:
        with pytest.raises(UnusableInputError):
            process(settings)

    change = 0
    while True:
        change += 1
        reset(settings)
        upload(settings, b"text")
        if not killed_before(change, tmp_path, refused):
            break

        with pytest.raises(UnusableInputError, match="are not an image"):
            process(settings)

        kept = {name for name in in_quarantine(settings) if ".part" not in name}
        assert kept == {"m-1/up.jpg", "m-1/up.jpg.note.json"}
    assert change > 5


def test_processes_on_the_same_job_leave_one_set(settings: MediaSettings, tmp_path: Path) -> None:
    for round_ in range(3):
        reset(settings)
        upload(settings, photo("chelsea.png"))
        start, go = os.pipe()
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.close(go)
                    os.read(start, 1)  # all are let go at once, when the other end is closed
                    result = process(settings)
                    (tmp_path / f"result-{number}").write_text(encode_text(result))
                    code = 0
                finally:
                    os._exit(code)
            children.append(child)
        os.close(start)
        os.close(go)

        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

        assert codes == [0, 0, 0], f"round {round_}"
        results = [decode((tmp_path / f"result-{number}").read_text()) for number in range(3)]
        assert results[0] == results[1] == results[2]
        assert public_files(settings) == {each["path"] for each in results[0]["variants"]}
        assert uploads(settings) == set()
        check_whole(settings)


def test_processes_on_different_media_do_not_disturb_each_other(settings: MediaSettings) -> None:
    names = ["rocket.jpg", "chelsea.png", "coffee.png"]
    children = []
    for number, name in enumerate(names):
        upload(settings, photo(name), name)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                process(settings, payload(name), media_id=f"m-{number}")
                code = 0
            finally:
                os._exit(code)
        children.append(child)

    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert codes == [0, 0, 0]
    assert len(public_files(settings)) == 9
    assert all(record(settings, f"m-{number}") for number in range(3))


def test_settings_and_results_travel_between_processes(settings: MediaSettings) -> None:
    upload(settings, photo("chelsea.png"))
    carried = pickle.loads(pickle.dumps(settings))

    result = pickle.loads(pickle.dumps(process(carried)))

    assert carried == settings
    assert isinstance(result, MediaResult)
