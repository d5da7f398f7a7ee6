"""Uploads of large files that were interrupted, on a real server behind a proxy."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services.objects.resumed import INTERRUPTED_AFTER, MIB, Bench
from tests.support.proxy import Proxy
from tests.support.s3_server import S3Server
from tests.support.waiting import wait_until

from toril.services.objects.errors import (
    ObjectExistsError,
    StorageDeniedError,
    StorageUnavailableError,
    WrongChecksumError,
)
from toril.services.objects.opening import open_objects
from toril.services.objects.remote import PART_BYTES, RemoteObjects
from toril.services.objects.resuming import OLD_S
from toril.services.objects.upload_notes import UploadNotes
from toril.services.unusable import UnusableInputError


@pytest.fixture
def bench(s3_server: S3Server, bucket: str, tmp_path: Path) -> Iterator[Bench]:
    with Proxy(s3_server.port) as proxy:
        yield Bench(s3_server, bucket, tmp_path, proxy)


async def interrupted(bench: Bench, path: Path, key: str = "k") -> None:
    """Send a file until the connection is cut."""
    bench.proxy.break_after(INTERRUPTED_AFTER)
    with pytest.raises(StorageUnavailableError):
        await bench.store().put(key, path)
    bench.proxy.mend()
    assert 0 < bench.missing(path) < path.stat().st_size


def assert_done(bench: Bench, path: Path, key: str = "k") -> None:
    assert bench.content(key) == path.read_bytes()
    assert bench.uploads() == []
    assert bench.notes() == []


async def test_upload_without_a_fault_is_as_by_the_other_way(bench: Bench) -> None:
    path = bench.file()
    more = {"filename": "Über 1.mp4", "metadata": {"owner": "7"}}
    store = bench.store()

    with bench.sending(path.stat().st_size):
        stored = await store.put("a b/ü+%41.mp4", path, **more)  # type: ignore[arg-type]
    other = await open_objects(bench.url).put("other.mp4", path, **more)  # type: ignore[arg-type]

    assert_done(bench, path, "a b/ü+%41.mp4")
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    resumed, plain = await store.head("a b/ü+%41.mp4"), await store.head("other.mp4")
    assert (resumed.etag, resumed.sha256) == (stored.etag, stored.sha256)
    for name in ("etag", "content_type", "filename", "metadata", "sha256", "size_bytes"):
        assert getattr(resumed, name) == getattr(plain, name), name
        assert getattr(stored, name) == getattr(other, name), name
    async with await store.get("a b/ü+%41.mp4") as stream:
        assert len(await stream.read(100 * MIB)) == stored.size_bytes
    await store.close()


async def test_upload_goes_on_after_a_cut_connection(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)

    with bench.going_on(path):
        stored = await bench.store().put("k", path)

    assert stored.size_bytes == path.stat().st_size
    assert_done(bench, path)


async def test_upload_goes_on_after_it_was_cancelled(bench: Bench) -> None:
    path = bench.file()
    bench.proxy.freeze_after(INTERRUPTED_AFTER)
    upload = asyncio.ensure_future(bench.store().put("k", path))
    await wait_until(lambda: bench.proxy.is_frozen)

    upload.cancel()
    await asyncio.sleep(0)
    bench.proxy.thaw()
    began_s = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await upload

    assert time.monotonic() - began_s < 8
    assert [name.rpartition(".")[2] for name in bench.notes()] == ["upload"]
    with bench.going_on(path):
        await bench.store().put("k", path)
    assert_done(bench, path)


SENDING = """
    import asyncio, os, sys
    from pathlib import Path
    from toril.services.objects.opening import open_objects

    url, resume_dir, path = sys.argv[1:]
    asyncio.run(open_objects(url, resume_dir=resume_dir).put("k", Path(path)))
    os._exit(0)  # obstore's threads may abort a process that is ending while they do
"""


def sender(bench: Bench, path: Path) -> subprocess.Popen[bytes]:
    code = textwrap.dedent(SENDING)
    return subprocess.Popen(
        [sys.executable, "-c", code, bench.url, str(bench.resume_dir), str(path)],
        stderr=subprocess.PIPE,
    )


async def test_upload_goes_on_after_its_process_was_killed(bench: Bench) -> None:
    path = bench.file()
    bench.proxy.freeze_after(INTERRUPTED_AFTER)
    child = sender(bench, path)
    try:
        await wait_until(lambda: bench.proxy.is_frozen)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    bench.proxy.thaw()
    await wait_until(lambda: bench.proxy.connections == 0)

    with bench.going_on(path):
        await bench.store().put("k", path)

    assert_done(bench, path)


async def test_upload_goes_on_when_only_its_completion_is_missing(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    ((key, upload_id),) = bench.uploads()
    content = path.read_bytes()
    for number in range(1, 9):
        block = content[(number - 1) * PART_BYTES : number * PART_BYTES]
        bench.boto.upload_part(
            Bucket=bench.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=block
        )

    with bench.sending(0):
        await bench.store().put("k", path)

    assert_done(bench, path)


@pytest.mark.parametrize("retries", [0, 1])
async def test_completion_whose_answer_was_lost_sends_nothing_again(
    retries: int, bench: Bench
) -> None:
    path = bench.file(size_bytes=10 * MIB)
    bench.proxy.cut_after_request(b"<CompleteMultipartUpload")
    store = bench.store(retries=retries)
    if not retries:
        with pytest.raises(StorageUnavailableError):
            await store.put("k", path)
        assert len(bench.notes()) == 1

    with bench.sending(0 if not retries else 10 * MIB):
        stored = await store.put("k", path)

    assert bench.proxy.has_cut
    assert stored.etag == (await store.head("k")).etag
    assert_done(bench, path)


async def test_connection_that_is_cut_once_is_made_again(bench: Bench) -> None:
    path = bench.file(size_bytes=10 * MIB)
    bench.proxy.cut_after_request(b"partNumber=1")
    store = bench.store(retries=2)

    await store.put("k", path)

    assert bench.proxy.has_cut
    assert_done(bench, path)


async def test_other_content_begins_anew_and_the_old_upload_is_given_up(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    ((_, before),) = bench.uploads()
    path.write_bytes(os.urandom(path.stat().st_size))
    bench.proxy.break_after(INTERRUPTED_AFTER)
    with pytest.raises(StorageUnavailableError):
        await bench.store().put("k", path)
    bench.proxy.mend()

    assert [upload_id != before for _, upload_id in bench.uploads()] == [True]
    assert len(bench.notes()) == 1
    with bench.going_on(path):
        await bench.store().put("k", path)
    assert_done(bench, path)


@pytest.mark.parametrize("what", ["content_type", "filename", "metadata"])
async def test_other_description_begins_anew(what: str, bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    value: object = {"content_type": "image/png", "filename": "x", "metadata": {"a": "b"}}[what]

    with bench.sending(path.stat().st_size):
        await bench.store().put("k", path, **{what: value})  # type: ignore[arg-type]

    assert getattr(await bench.store().head("k"), what) == value
    assert_done(bench, path)


async def test_other_key_begins_anew_and_leaves_the_first_alone(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)

    with bench.sending(path.stat().st_size):
        await bench.store().put("k2", path)
    assert [key for key, _ in bench.uploads()] == ["k"]
    with bench.going_on(path):
        await bench.store().put("k", path)

    assert_done(bench, path)
    assert_done(bench, path, "k2")


async def test_part_that_is_wrong_on_the_server_is_sent_again(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    ((key, upload_id),) = bench.uploads()
    wrong = min(bench.parts())
    bench.boto.upload_part(
        Bucket=bench.bucket,
        Key=key,
        UploadId=upload_id,
        PartNumber=wrong,
        Body=os.urandom(PART_BYTES),
    )

    with bench.going_on(path, more_bytes=PART_BYTES):
        await bench.store().put("k", path)

    assert_done(bench, path)


async def test_upload_that_the_server_has_removed_is_begun_anew(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    ((key, upload_id),) = bench.uploads()
    bench.boto.abort_multipart_upload(Bucket=bench.bucket, Key=key, UploadId=upload_id)
    bench.boto.put_object(Bucket=bench.bucket, Key=key, Body=b"of somebody else")

    with bench.sending(path.stat().st_size):
        await bench.store().put("k", path)

    assert_done(bench, path)


async def test_note_that_makes_no_sense_is_replaced(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    ((key, upload_id),) = bench.uploads()
    (name,) = bench.notes()
    (bench.resume_dir / name).write_bytes(b"\x00garbage")
    bench.boto.abort_multipart_upload(Bucket=bench.bucket, Key=key, UploadId=upload_id)

    await bench.store().put("k", path)

    assert_done(bench, path)


@pytest.mark.parametrize("how", ["other bytes", "longer", "shorter"])
async def test_file_that_changes_while_it_is_sent_leaves_nothing(how: str, bench: Bench) -> None:
    path = bench.file()
    bench.proxy.freeze_after(INTERRUPTED_AFTER)
    upload = asyncio.ensure_future(bench.store().put("k", path))
    await wait_until(lambda: bench.proxy.is_frozen)
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "shorter":
            file.truncate(size - 1)
        else:
            file.seek(size - 5 if how == "other bytes" else size)
            file.write(b"other")
    bench.proxy.thaw()

    with pytest.raises(WrongChecksumError, match=r"object 'k': its .* bytes have SHA-256"):
        await upload

    assert bench.uploads() == []
    assert bench.notes() == []
    assert (await bench.store().list()).entries == ()


async def test_wrong_checksum_is_refused_before_anything_is_sent(bench: Bench) -> None:
    path = bench.file(size_bytes=9 * MIB)

    with bench.sending(0), pytest.raises(WrongChecksumError):
        await bench.store().put("k", path, sha256="0" * 64)

    assert not bench.resume_dir.exists()


async def test_other_content_and_small_files_go_by_the_usual_way(bench: Bench) -> None:
    path, small = bench.file(size_bytes=9 * MIB), bench.file("small", PART_BYTES)
    store = bench.store()

    await store.put("small", small)
    await store.put("bytes", path.read_bytes())
    with path.open("rb") as file:
        await store.put("open", file)
    await store.put("absent", path, if_absent=True)
    there = await store.head("absent")
    await store.put("absent", path, if_etag=there.etag)
    with pytest.raises(ObjectExistsError):
        await store.put("absent", path, if_absent=True)
    await store.put("bytes", path, unless_equal=True)

    assert not bench.resume_dir.exists()
    for key in ("bytes", "open", "absent"):
        assert bench.content(key) == path.read_bytes()


async def test_key_that_is_being_sent_already_goes_by_the_usual_way(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    store = bench.store()

    with UploadNotes(bench.resume_dir, store.place.shown).held("k") as free:
        assert free
        with bench.sending(path.stat().st_size):
            stored = await store.put("k", path)

    assert stored.sha256 == (await store.head("k")).sha256
    assert bench.content() == path.read_bytes()
    assert len(bench.uploads()) == 1  # it was left to who has it
    with bench.going_on(path):
        await store.put("k", path)
    assert_done(bench, path)


async def test_senders_of_one_file_do_not_harm_each_other(bench: Bench) -> None:
    """Two processes and two tasks, after an interrupted upload."""
    path = bench.file()
    await interrupted(bench, path)

    children = [sender(bench, path) for _ in range(2)]
    stored = await asyncio.gather(*(bench.store().put("k", path) for _ in range(2)))
    said = [await asyncio.to_thread(child.communicate) for child in children]

    assert [child.returncode for child in children] == [0, 0], said
    assert {one.sha256 for one in stored} == {hashlib.sha256(path.read_bytes()).hexdigest()}
    assert_done(bench, path)


async def test_senders_of_other_contents_leave_one_of_them_whole(bench: Bench) -> None:
    paths = [bench.file(f"{number}", 20 * MIB) for number in range(3)]
    store = bench.store()

    await asyncio.gather(*(store.put("k", path) for path in paths))

    assert bench.content() in [path.read_bytes() for path in paths]
    assert bench.uploads() == []
    assert bench.notes() == []


def make_old(path: Path, by_s: float = OLD_S + 60) -> None:
    then = time.time() - by_s
    os.utime(path, (then, then))


async def test_old_uploads_are_given_up_by_the_next_one(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path, "old")
    (old,) = bench.notes()
    bench.proxy.break_after(INTERRUPTED_AFTER)
    with pytest.raises(StorageUnavailableError):
        await bench.store().put("young", path)
    bench.proxy.mend()
    (young,) = set(bench.notes()) - {old}
    theirs = UploadNotes(bench.resume_dir, "s3://elsewhere").begin("0.1.upload", "k", "1").name
    make_old(bench.resume_dir / old)
    make_old(bench.resume_dir / theirs)
    make_old(bench.resume_dir / young, OLD_S - 60)
    for name in ("1.lock", "2.upload", ".3.upload.abc.part", "4.lock", ".5.upload.abc.part"):
        (bench.resume_dir / name).write_bytes(b"")
        if name[0] in "123" or name[1] in "123":
            make_old(bench.resume_dir / name)

    await bench.store().put("next", bench.file("next", 9 * MIB))

    assert bench.notes() == sorted([young, theirs, "4.lock", ".5.upload.abc.part"])
    assert [key for key, _ in bench.uploads()] == ["young"]


async def test_old_upload_that_goes_on_meanwhile_is_left_alone(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    (note,) = bench.notes()
    make_old(bench.resume_dir / note)
    store = bench.store()

    with UploadNotes(bench.resume_dir, store.place.shown).held("k"):
        await store.put("next", bench.file("next", 9 * MIB))
    assert len(bench.uploads()) == 1
    with bench.going_on(path):
        await store.put("k", path)  # old as it is, it is good

    assert_done(bench, path)


async def test_server_that_is_away_keeps_the_note(bench: Bench) -> None:
    path = bench.file()
    await interrupted(bench, path)
    bench.proxy.break_after(0)
    with pytest.raises(StorageUnavailableError):
        await bench.store().put("k", path)
    bench.proxy.mend()

    with bench.going_on(path):
        await bench.store().put("k", path)

    assert_done(bench, path)


async def test_silent_server_is_unavailable_in_time(bench: Bench) -> None:
    path = bench.file()
    bench.proxy.freeze_after(INTERRUPTED_AFTER)
    began_s = time.monotonic()

    with pytest.raises(StorageUnavailableError):
        await bench.store("&timeout_s=2").put("k", path)

    assert time.monotonic() - began_s < 20
    bench.proxy.thaw()
    with bench.going_on(path):
        await bench.store().put("k", path)
    assert_done(bench, path)


async def test_store_goes_to_another_process_with_its_folder(bench: Bench) -> None:
    copy = pickle.loads(pickle.dumps(bench.store()))

    assert isinstance(copy, RemoteObjects)
    assert copy.place.resume_dir == bench.resume_dir
    path = bench.file(size_bytes=9 * MIB)
    await copy.put("k", path)
    assert_done(bench, path)
    assert bench.resume_dir.stat().st_mode & 0o777 == 0o700


async def test_note_is_private_and_holds_no_secret(bench: Bench) -> None:
    await interrupted(bench, bench.file())

    (name,) = bench.notes()
    note = bench.resume_dir / name
    assert note.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in note.read_bytes()
    assert b'"upload_id"' in note.read_bytes()


async def test_file_that_cannot_be_read_is_named(bench: Bench) -> None:
    store = bench.store()

    with pytest.raises(UnusableInputError, match=r"object 'k'.*cannot be read: No such file"):
        await store.put("k", bench.folder / "none")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
async def test_folder_of_another_user_is_refused(bench: Bench) -> None:
    bench.resume_dir.mkdir()
    os.chown(bench.resume_dir, 12345, 12345)

    with pytest.raises(StorageDeniedError, match=r"unfinished.*\(resume_dir\): it belongs to"):
        await bench.store().put("k", bench.file(size_bytes=9 * MIB))


async def test_folder_that_cannot_be_made_is_named(bench: Bench) -> None:
    store = bench.store()
    bench.resume_dir.write_bytes(b"a file by now")

    with pytest.raises(StorageDeniedError, match=r"notes .* cannot be kept in .*Not a directory"):
        await store.put("k", bench.file(size_bytes=9 * MIB))


LARGE = """
    import asyncio, re, sys
    from pathlib import Path
    from toril.services.objects.opening import open_objects

    url, resume_dir, path = sys.argv[1:]

    def peak():
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) * 1024

    async def main():
        store = open_objects(url, resume_dir=resume_dir)
        warm = Path(path + ".warm")
        warm.write_bytes(b"x" * (9 << 20))
        await store.put("warm", warm)
        before = peak()
        await store.put("k", Path(path))
        print(peak() - before)

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_160_mib_take_bounded_memory(bench: Bench) -> None:
    path = bench.file(size_bytes=160 * MIB)
    code = textwrap.dedent(LARGE)

    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, bench.url, str(bench.resume_dir), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    # Three parts of 8 MiB, of which two are there from the first file on.
    assert int(ran.stdout) < 32 * MIB, ran.stdout
    assert_done(bench, path)
