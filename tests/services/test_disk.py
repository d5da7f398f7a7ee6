from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toril.services.disk.folders import open_folder
from toril.services.disk.inside import open_inside
from toril.services.disk.locks import held, held_if_free
from toril.services.disk.writing import AsideFiles, make_folder, remove_asides
from toril.services.unusable import UnusableInputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_bytes(b"inside")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return folder


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Yield a folder of another file system than the temporary one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert os.stat(folder).st_dev != os.stat(tempfile.gettempdir()).st_dev
        yield Path(folder)


def test_relative_and_absolute_path_open_the_same_file(root: Path) -> None:
    for path in ("deep/a.txt", "./deep//a.txt", str(root / "deep" / "a.txt")):
        with open_inside(root, path, field="tempPath") as file:
            assert file.read(100) == b"inside"
            assert (file.name, file.relative, file.size_bytes) == ("a.txt", "deep/a.txt", 6)
            assert file.path == root / "deep" / "a.txt"


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "/",
        "..",
        "../secret.txt",
        "deep/../../secret.txt",
        "deep/../deep/a.txt",
        "/etc/passwd",
        "deep/a.txt\0.jpg",
        "\0",
        "\ud800.jpg",
    ],
)
def test_path_that_leads_out_is_not_allowed(root: Path, path: str) -> None:
    with pytest.raises(UnusableInputError, match="path not allowed"):
        open_inside(root, path, field="tempPath")


def test_folder_beside_with_same_beginning_is_not_allowed(root: Path, tmp_path: Path) -> None:
    beside = tmp_path / "root-of-somebody"
    beside.mkdir()
    (beside / "a.txt").touch()

    with pytest.raises(UnusableInputError, match="path not allowed"):
        open_inside(root, str(beside / "a.txt"), field="tempPath")


@pytest.mark.parametrize("target", ["../secret.txt", "deep/a.txt", "/etc/passwd", "nowhere"])
def test_link_is_not_followed(root: Path, target: str) -> None:
    (root / "link.jpg").symlink_to(target)

    with pytest.raises(UnusableInputError, match="path not allowed: it is a link"):
        open_inside(root, "link.jpg", field="tempPath")


def test_linked_folder_is_not_entered(root: Path, tmp_path: Path) -> None:
    (root / "out").symlink_to(tmp_path)

    with pytest.raises(UnusableInputError, match="'out' is a link, or not a folder"):
        open_inside(root, "out/secret.txt", field="tempPath")


def test_root_may_be_reached_through_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(root)

    for path in ("deep/a.txt", str(tmp_path / "current/deep/a.txt"), str(root / "deep/a.txt")):
        with open_inside(tmp_path / "current", path, field="tempPath") as file:
            assert file.read(100) == b"inside"


@pytest.mark.parametrize("path", ["no.jpg", "deep/no.jpg", "no/a.txt", "x" * 300])
def test_missing_file_is_missing(root: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_inside(root, path, field="tempPath")


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket"])
def test_only_regular_files_are_opened(
    root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    if kind == "folder":
        os.mkdir("odd")
    elif kind == "pipe":
        os.mkfifo("odd")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("odd")

    with pytest.raises(UnusableInputError, match="tempPath 'odd': it is not a regular file"):
        open_inside(root, "odd", field="tempPath")


def test_file_over_limit_is_not_read(root: Path) -> None:
    with open_inside(root, "deep/a.txt", field="tempPath") as file:
        assert file.read(6) == b"inside"
    with (
        open_inside(root, "deep/a.txt", field="tempPath") as file,
        pytest.raises(UnusableInputError, match=r"file 'a\.txt': it has 6 bytes, over the 5"),
    ):
        file.read(5)


def test_removing_twice_is_harmless(root: Path) -> None:
    with open_inside(root, "deep/a.txt", field="tempPath") as file:
        file.remove()
        file.remove()

    assert not (root / "deep" / "a.txt").exists()


def test_opened_files_are_closed(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))

    for path in ("deep/a.txt", "deep/no.txt", "deep/../x", "deep"):
        try:
            open_inside(root, path, field="tempPath").close()
        except (UnusableInputError, FileNotFoundError):
            continue

    assert len(os.listdir("/proc/self/fd")) == before


def test_file_moves_to_another_file_system(root: Path, elsewhere: Path) -> None:
    with open_inside(root, "deep/a.txt", field="tempPath") as file:
        file.read(100)
        with open_folder(elsewhere) as folder:
            file.move_to(folder, "kept.txt")

    assert (elsewhere / "kept.txt").read_bytes() == b"inside"
    assert os.listdir(elsewhere) == ["kept.txt"]
    assert not (root / "deep" / "a.txt").exists()


def test_files_appear_together(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"

    with AsideFiles(folder) as files:
        files.write("a", b"1")
        files.write("b", b"2")
        assert not any((folder / name).exists() for name in "ab")
        files.publish()

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"1", "b": b"2"}


def test_files_of_a_failed_set_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail() -> None:
        with AsideFiles(tmp_path) as files:
            files.write("a", b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "kept.webp").touch()
    files = AsideFiles(tmp_path)
    files.write("a.webp", b"half")
    assert len(os.listdir(tmp_path)) == 2

    remove_asides(tmp_path)

    assert os.listdir(tmp_path) == ["kept.webp"]


def test_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")

    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_lock_lets_one_thread_in_at_a_time(tmp_path: Path) -> None:
    inside, most, tally = 0, 0, threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        for _ in range(20):
            with held(tmp_path / "locks", "m-1"):
                with tally:
                    inside += 1
                    most = max(most, inside)
                os.listdir(tmp_path)
                with tally:
                    inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    ready, says_ready = os.pipe()
    child = os.fork()
    if child == 0:
        with held(tmp_path, "m-1"):
            os.write(says_ready, b"!")
            os.kill(os.getpid(), 9)
    os.read(ready, 1)
    os.waitpid(child, 0)

    with held(tmp_path, "m-1"):
        assert len(os.listdir(tmp_path)) == 1

    os.close(ready)
    os.close(says_ready)


def test_lock_that_is_held_is_not_waited_for(tmp_path: Path) -> None:
    with held_if_free(tmp_path / "locks", "a") as first:
        with held_if_free(tmp_path / "locks", "a") as second:
            assert (first, second) == (True, False)
        with held_if_free(tmp_path / "locks", "b") as other:
            assert other
        with held_if_free(tmp_path / "locks", "a") as still:
            assert not still
    with held_if_free(tmp_path / "locks", "a") as again:
        assert again
    assert list((tmp_path / "locks").iterdir()) == []


def test_lock_that_is_not_waited_for_ends_with_its_process(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with held_if_free(tmp_path, "a"):
            os.write(writing, b"1")
            threading.Event().wait()
    os.read(reading, 1)
    with held_if_free(tmp_path, "a") as free:
        assert not free
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)

    with held_if_free(tmp_path, "a") as free:
        assert free


def test_lock_that_is_not_waited_for_is_one_threads_at_a_time(tmp_path: Path) -> None:
    """Its file is removed and made again all the time."""
    inside, most, entered = 0, 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most, entered
        for _ in range(200):
            with held_if_free(tmp_path, "a") as free:
                if not free:
                    continue
                with counting:
                    inside += 1
                    entered += 1
                    most = max(most, inside)
                with counting:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1
    assert entered > 0


def test_private_file_that_cannot_be_given_its_name_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()

    with open_folder(tmp_path) as folder, pytest.raises(OSError, match="directory"):
        folder.write("taken", b"content")

    assert os.listdir(tmp_path) == ["taken"]


def test_private_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    with open_folder(tmp_path / "new") as folder:
        folder.write("note", b"12345")
        os.mkfifo(tmp_path / "new" / "pipe")

        assert folder.read("note", 5) == b"12345"
        assert folder.read("note", 4) is None
        assert folder.read("pipe", 4) is None
        assert folder.read("no", 4) is None
        assert sorted(folder.names()) == ["note", "pipe"]


def test_upload_that_cannot_be_copied_leaves_nothing_of_it(root: Path, elsewhere: Path) -> None:
    (elsewhere / "kept.txt").mkdir()

    with (
        open_inside(root, "deep/a.txt", field="tempPath") as file,
        open_folder(elsewhere) as folder,
        pytest.raises(OSError, match="directory"),
    ):
        file.move_to(folder, "kept.txt")

    assert os.listdir(elsewhere) == ["kept.txt"]
    assert (root / "deep" / "a.txt").exists()
