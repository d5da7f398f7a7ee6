from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toril.services.objects.errors import ObjectMissingError
from toril.services.objects.folder import FolderObjects
from toril.services.objects.memory import MemoryObjects
from toril.services.objects.opening import open_objects
from toril.services.objects.port import ObjectStore
from toril.services.objects.sync import SyncObjects

pytestmark = [pytest.mark.usefixtures("no_thread_left")]


@pytest.fixture(params=["s3", "folder", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncObjects]:
    store: ObjectStore
    if request.param == "folder":
        store = FolderObjects(tmp_path / "objects")
    elif request.param == "memory":
        store = MemoryObjects()
    else:
        store = open_objects(str(request.getfixturevalue("s3_url")))
    with SyncObjects(store) as made:
        yield made


def test_plain_code_does_all_that_a_storage_does(objects: SyncObjects, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)

    stored = objects.put(
        "a/b", content, content_type="x/y", filename="f", metadata={"m": "1"}, if_absent=True
    )
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert objects.head("a/b").metadata == {"m": "1"}
    assert objects.read("a/b", 3_000_000) == content
    assert objects.read("a/b", 10, start=5, length=3) == content[5:8]
    assert b"".join(objects.blocks("a/b")) == content
    assert objects.save("a/b", tmp_path / "out").filename == "f"
    assert (tmp_path / "out").read_bytes() == content
    assert objects.copy("a/b", "c").key == "c"
    assert [entry.key for entry in objects.list().entries] == ["a/b", "c"]
    assert "a/b" in objects.link("a/b", expires_s=60)
    objects.check()
    objects.delete("a/b", "c")
    with pytest.raises(ObjectMissingError):
        objects.head("a/b")
    with pytest.raises(ObjectMissingError):
        next(objects.blocks("a/b"))


def test_blocks_can_be_left_half_way(objects: SyncObjects) -> None:
    objects.put("k", b"x" * 5_000_000)
    source = objects.blocks("k")

    assert next(source)
    source.close()

    objects.delete("k")


def test_threads_share_it(objects: SyncObjects) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for turn in range(5):
                objects.put(f"{name}/{turn}", name.encode())
                assert objects.read(f"{name}/{turn}", 10) == name.encode()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert len(objects.list().entries) == 20


def test_it_opens_again_after_it_was_closed(objects: SyncObjects) -> None:
    objects.put("k", b"x")
    objects.close()
    objects.close()

    objects.put("k2", b"x")


def put_in_child(objects: SyncObjects) -> str:
    with objects:
        return objects.put("from/child", b"x" * 100_000).sha256 or ""


@pytest.mark.parametrize("kind", ["s3", "folder"])
def test_child_process_stores_by_it(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/o" if kind == "folder" else str(request.getfixturevalue("s3_url"))
    with SyncObjects(open_objects(url)) as objects:
        objects.put("from/parent", b"x")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            sha256 = pool.apply(put_in_child, (objects,))

        assert objects.head("from/child").sha256 == sha256
        assert objects.read("from/parent", 1) == b"x"


def test_forked_process_has_a_thread_of_its_own(tmp_path: Path) -> None:
    with SyncObjects(FolderObjects(tmp_path)) as objects:
        objects.put("k", b"x")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                objects.put("k2", b"x")
                objects.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert objects.head("k2").size_bytes == 1


def test_memory_cannot_go_to_another_process() -> None:
    with pytest.raises(TypeError, match="use a folder"):
        pickle.dumps(SyncObjects(MemoryObjects()))
