"""What only a folder can meet: other programs, links, full disks, several processes."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from toril.services.disk.folders import GROUP
from toril.services.objects.errors import (
    ObjectMissingError,
    StorageDeniedError,
    StorageFullError,
)
from toril.services.objects.folder import FolderObjects
from toril.services.objects.folder_files import FolderFiles
from toril.services.objects.opening import open_objects
from toril.services.unusable import UnusableInputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(root: Path) -> FolderObjects:
    return FolderObjects(root)


async def read(store: FolderObjects, key: str) -> bytes:
    async with await store.get(key) as stream:
        return await stream.read(1 << 20)


async def keys(store: FolderObjects) -> list[str]:
    return [entry.key for entry in (await store.list()).entries]


async def test_objects_are_files_that_people_can_find(store: FolderObjects, root: Path) -> None:
    await store.put("a/b.txt", b"hello")

    file = root / "a" / "b.txt"
    assert file.read_bytes() == b"hello"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in root.iterdir()) == [".toril", "a"]


async def test_group_may_use_what_is_made_for_it(root: Path) -> None:
    store = FolderObjects(root, access=GROUP)
    await store.put("a/b", b"x")

    assert stat.S_IMODE((root / "a" / "b").stat().st_mode) == 0o660
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o2770


async def test_file_of_others_is_an_object(store: FolderObjects, root: Path) -> None:
    (root / "photos").mkdir(parents=True)
    (root / "photos" / "cat.jpg").write_bytes(b"jpeg")

    found = await store.head("photos/cat.jpg")

    assert (found.size_bytes, found.content_type, found.sha256) == (4, "image/jpeg", None)
    assert await read(store, "photos/cat.jpg") == b"jpeg"
    assert await keys(store) == ["photos/cat.jpg"]


async def test_note_is_not_that_of_a_file_which_others_have_replaced(
    store: FolderObjects, root: Path
) -> None:
    before = await store.put("a.jpg", b"ours", content_type="x/own", metadata={"m": "1"})
    (root / "a.jpg").write_bytes(b"them")

    found = await store.head("a.jpg")

    assert (found.content_type, found.sha256, dict(found.metadata)) == ("image/jpeg", None, {})
    assert found.etag != before.etag
    assert await read(store, "a.jpg") == b"them"


async def test_damaged_note_is_as_good_as_none(store: FolderObjects, root: Path) -> None:
    await store.put("a.jpg", b"ours", content_type="x/own")
    [note] = (root / ".toril" / "notes").glob("*/*.json")
    assert b"x/own" in note.read_bytes()
    for damage in (b"{", b"[]", b'{"key": "other", "versions": []}', b"x" * 70_000):
        note.write_bytes(damage)
        assert (await store.head("a.jpg")).content_type == "image/jpeg"
    await store.put("a.jpg", b"ours", content_type="x/own")
    assert (await store.head("a.jpg")).content_type == "x/own"


async def test_note_fits_whether_the_process_dies_before_or_after_the_file_is_replaced(
    store: FolderObjects, root: Path
) -> None:
    first = await store.put("k", b"first", content_type="text/first")
    kept = root / "kept"
    os.link(root / "k", kept)
    await store.put("k", b"second", content_type="text/second")

    os.replace(kept, root / "k")  # as if the note had been written and the file not replaced

    found = await store.head("k")
    assert (found.content_type, found.etag) == ("text/first", first.etag)
    assert await read(store, "k") == b"first"


async def test_object_moves_with_its_folder(store: FolderObjects, root: Path) -> None:
    await store.put("k", b"x", content_type="x/own")
    root.rename(root.with_name("moved"))

    assert (await FolderObjects(root.with_name("moved")).head("k")).content_type == "x/own"


async def test_links_lead_nowhere(store: FolderObjects, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    await store.put("real/object", b"x")
    (root / "file").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    os.mkfifo(root / "pipe")

    for key in ("file", "folder/secret", "pipe"):
        with pytest.raises((ObjectMissingError, UnusableInputError)):
            await store.get(key)
        with pytest.raises((ObjectMissingError, UnusableInputError)):
            await store.head(key)
    assert await keys(store) == ["real/object"]
    with pytest.raises(UnusableInputError, match="a link"):
        await store.put("folder/new", b"x")
    await store.delete("folder/secret")
    await store.delete("file")
    await store.put("file", b"ours")  # takes the place of the link, not of what it leads to

    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert await read(store, "file") == b"ours"


@pytest.mark.parametrize("own", [".toril", ".toril/notes", ".toril/new", ".toril/locks"])
async def test_own_folders_are_no_way_out_either(
    store: FolderObjects, root: Path, tmp_path: Path, own: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / own).parent.mkdir(parents=True)
    (root / own).symlink_to(outside)

    with pytest.raises(UnusableInputError):
        await store.put("k", b"x")

    assert list(outside.iterdir()) == []
    assert not (root / "k").exists()


async def test_key_cannot_be_an_object_and_a_folder(store: FolderObjects) -> None:
    await store.put("a", b"object")
    await store.put("b/c", b"object")

    with pytest.raises(UnusableInputError, match=r"'a/b'.*in a folder a key cannot be both"):
        await store.put("a/b", b"x")
    with pytest.raises(UnusableInputError, match=r"'b'.*in a folder a key cannot be both"):
        await store.put("b", b"x")
    with pytest.raises((ObjectMissingError, UnusableInputError)):
        await store.head("a/b")

    assert await keys(store) == ["a", "b/c"]


async def test_empty_folders_go_with_the_last_object(store: FolderObjects, root: Path) -> None:
    await store.put("a/b/c/d", b"x")
    await store.put("a/e", b"x")

    await store.delete("a/b/c/d")

    assert [path.name for path in (root / "a").iterdir()] == ["e"]
    assert list((root / ".toril" / "notes").glob("*/*.json")) != []
    await store.delete("a/e")
    assert [path.name for path in root.iterdir()] == [".toril"]
    assert list((root / ".toril" / "notes").glob("*/*.json")) == []


async def test_upload_under_way_is_not_tidied_up(store: FolderObjects, root: Path) -> None:
    upload = store._files.upload("k")
    await FolderObjects(root).put("other", b"x")

    assert len(list((root / ".toril" / "new").iterdir())) == 1
    upload.close()
    assert list((root / ".toril" / "new").iterdir()) == []


FULL = """
    import asyncio, resource, sys
    from toril.services.objects.errors import StorageFullError
    from toril.services.objects.folder import FolderObjects

    async def main():
        store = FolderObjects(sys.argv[1])
        await store.put("k", b"before")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            await store.put("k", b"x" * 200_000)
        except StorageFullError as error:
            print(error)
        assert await (await store.get("k")).read(10) == b"before"

    asyncio.run(main())
"""


async def test_upload_that_has_just_begun_is_not_taken_for_one_of_the_dead(root: Path) -> None:
    """Who began to use the folder removed it before it had its lock: `put` said it is missing."""
    files = FolderFiles(root)
    ended = threading.Event()

    def clear() -> None:
        while not ended.is_set():
            files.clear()

    others = [threading.Thread(target=clear) for _ in range(3)]
    for other in others:
        other.start()
    store = FolderObjects(root)
    try:
        for number in range(300):
            await store.put(f"{number}", b"x")
    finally:
        ended.set()
        for other in others:
            other.join()

    assert len(await keys(store)) == 300


def test_no_room_is_told_and_leaves_what_was_there(root: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(root)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "object 'k': no room in" in ran.stdout
    assert list((root / ".toril" / "new").iterdir()) == []


async def test_full_memory_is_told() -> None:
    from toril.services.objects.memory import MemoryObjects

    store = MemoryObjects(max_bytes=10)
    await store.put("a", b"123456")
    await store.put("a", b"1234567890")

    for call in (store.put("b", b"1"), store.copy("a", "b"), store.put("a", b"x" * 11)):
        with pytest.raises(StorageFullError, match=r"10 bytes \(max_bytes\)"):
            await call
    await store.delete("a")
    await store.put("b", b"1")
    assert await (await store.get("b")).read(1) == b"1"


async def test_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(UnusableInputError):
        await FolderObjects(tmp_path / "file").put("k", b"x")
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(StorageDeniedError):
            await FolderObjects(tmp_path / "closed" / "in").put("k", b"x")


WRITER = """
    import asyncio, sys
    from toril.services.objects.opening import open_objects

    async def main():
        store = open_objects(sys.argv[1])
        own = sys.argv[2]
        for turn in range(30):
            await store.put("shared", own.encode() * 5000, content_type=f"text/{own}")
            await store.put(f"folder/{own}", b"x")
            await store.delete(f"folder/{own}")

    asyncio.run(main())
"""


async def test_processes_share_a_folder(store: FolderObjects, root: Path) -> None:
    """Each removes the folder that the other is about to use, and replaces its object."""
    await store.put("shared", b"0" * 5000, content_type="text/0")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), f"file://{root}", name],
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    while any(child.poll() is None for child in children):
        async with await store.get("shared") as stream:
            content = await stream.read(1 << 20)
            assert stream.info.content_type == f"text/{content[:1].decode()}"
            assert stream.info.sha256 == hashlib.sha256(content).hexdigest()
    for child in children:
        _, said = child.communicate()
        assert child.returncode == 0, said
    assert await keys(store) == ["shared"]


async def test_store_goes_to_another_process(store: FolderObjects) -> None:
    await store.put("k", b"x")

    copy = pickle.loads(pickle.dumps(store))

    assert await read(copy, "k") == b"x"


def test_relative_folder_is_the_one_of_the_opening_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_objects("file://./uploads")

    assert repr(store) == f"FolderObjects('{tmp_path}/uploads')"
