"""Old files go, and nothing else: no link is followed, no log in use is removed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toril.services.disk import sweeping
from toril.services.disk.sweeping import Swept, sweep
from toril.services.disk.writers import is_being_written

NOW_S = time.time()
HOUR_S = 3600.0
has_leases = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who writes")


def put(path: Path, *, hours: float = 2.0, text: str = "text") -> Path:
    """Write a file that was changed so many hours ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    age(path, hours)
    return path


def age(path: Path, hours: float = 2.0) -> None:
    os.utime(path, (NOW_S - hours * HOUR_S,) * 2, follow_symlinks=False)


def left(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def swept(root: Path, *parts: str, **options: object) -> Swept:
    return sweep(root, parts, older_than_s=HOUR_S, now_s=NOW_S, **options)  # type: ignore[arg-type]


def test_old_files_go_and_new_ones_stay(tmp_path: Path) -> None:
    put(tmp_path / "old.tmp")
    put(tmp_path / "deep/er/old.txt", text="longer text")
    put(tmp_path / "new.tmp", hours=0.5)

    found = swept(tmp_path)

    assert left(tmp_path) == {"new.tmp"}
    assert (found.removed, found.freed_bytes, found.skipped) == (2, 15, 0)


def test_dry_run_counts_the_same_and_removes_nothing(tmp_path: Path) -> None:
    put(tmp_path / "old.tmp")
    (tmp_path / "empty").mkdir()
    age(tmp_path / "empty")

    found = swept(tmp_path, dry_run=True)

    assert (found.removed, found.freed_bytes) == (1, 4)
    assert left(tmp_path) == {"old.tmp"}
    assert (tmp_path / "empty").is_dir()


def test_pattern_is_of_names_and_case_counts(tmp_path: Path) -> None:
    for name in ("a.tmp", "b.TMP", "c.txt", "deep/d.tmp"):
        put(tmp_path / name)

    assert swept(tmp_path, pattern="*.tmp").removed == 2
    assert left(tmp_path) == {"b.TMP", "c.txt"}


def test_links_stay_and_lead_nowhere(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside/precious.txt")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.txt").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    for name in ("link.txt", "folder"):
        age(root / name)

    found = swept(root)

    assert outside.exists()
    assert found.removed == 0
    assert found.reasons == {"a link": 1}
    assert (root / "link.txt").is_symlink()
    assert (root / "folder").is_symlink()


@pytest.mark.parametrize("kind", ["link", "file", "missing"])
def test_way_to_where_it_begins_is_made_of_folders_only(tmp_path: Path, kind: str) -> None:
    precious = put(tmp_path / "outside/precious.txt")
    root = tmp_path / "root"
    root.mkdir()
    if kind == "link":
        (root / "step").symlink_to(precious.parent)
    elif kind == "file":
        put(root / "step")

    with pytest.raises(FileNotFoundError if kind == "missing" else NotADirectoryError):
        swept(root, "step")
    assert precious.exists()


def test_only_what_lies_below_where_it_begins_goes(tmp_path: Path) -> None:
    put(tmp_path / "a/old.txt")
    put(tmp_path / "b/old.txt")

    assert swept(tmp_path, "a").removed == 1
    assert left(tmp_path) == {"b/old.txt"}


def test_file_with_another_name_frees_nothing(tmp_path: Path) -> None:
    put(tmp_path / "root/old.txt")
    os.link(tmp_path / "root/old.txt", tmp_path / "kept.txt")

    found = swept(tmp_path / "root")

    assert (found.removed, found.freed_bytes) == (1, 0)
    assert (tmp_path / "kept.txt").read_text() == "text"


def test_pipe_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    age(tmp_path / "pipe")

    assert swept(tmp_path, spare_open=True).reasons == {"no regular file": 1}


def test_empty_folder_goes_once_it_is_old(tmp_path: Path) -> None:
    put(tmp_path / "emptied/old.txt")
    (tmp_path / "old").mkdir()
    age(tmp_path / "old")
    (tmp_path / "new").mkdir()
    put(tmp_path / "full/new.txt", hours=0)
    age(tmp_path / "full")

    swept(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"emptied", "new", "full"}


@has_leases
def test_log_that_another_process_writes_stays(tmp_path: Path) -> None:
    held = put(tmp_path / "held.log")
    put(tmp_path / "ended.log")
    program = "import sys; file = open(sys.argv[1], 'a'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(held)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"

        found = swept(tmp_path, spare_open=True)

        assert left(tmp_path) == {"held.log"}
        assert (found.removed, found.reasons) == (1, {"in use": 1})
        writer.communicate("\n")
    assert swept(tmp_path, spare_open=True).removed == 1


@has_leases
def test_reader_is_no_writer(tmp_path: Path) -> None:
    path = put(tmp_path / "read.log")
    with path.open("rb") as ours, path.open("rb"):
        assert is_being_written(ours.fileno()) is False
        with path.open("ab"):
            assert is_being_written(ours.fileno()) is True
        assert is_being_written(ours.fileno()) is False


def test_newest_stays_where_nobody_tells_who_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "is_being_written", lambda fd: None)
    put(tmp_path / "app.log", hours=2)
    put(tmp_path / "app.log.1", hours=3)
    put(tmp_path / "app.log.2", hours=4)

    found = swept(tmp_path, spare_open=True)

    assert left(tmp_path) == {"app.log"}
    assert (found.removed, found.reasons) == (2, {"in use": 1})


def test_it_can_be_stopped_after_each_folder(tmp_path: Path) -> None:
    put(tmp_path / "a/1.txt")
    put(tmp_path / "b/2.txt")
    seen: list[int] = []

    def stop(files: int) -> None:
        seen.append(files)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        swept(tmp_path, seen=stop)
    assert seen == [1]
    assert len(left(tmp_path)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_file_that_may_not_be_removed_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "closed/old.txt")
    (tmp_path / "closed").chmod(0o500)
    try:
        assert swept(tmp_path).reasons == {"no permission": 1}
    finally:
        (tmp_path / "closed").chmod(0o700)
