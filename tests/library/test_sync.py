"""Media in step with a storage, by workers: S3 and a folder, on both stores."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.services.pictures import photo
from tests.support.proxy import Proxy
from tests.support.s3_server import S3Server, running_s3
from tests.support.waiting import wait_until

from toril import App, InvalidPayloadError, JobFailedError
from toril.core.errors import InvalidOptionError
from toril.library.images import MediaProcessingJobData, MediaSettings
from toril.library.images.service import MediaService
from toril.library.images.tasks import images
from toril.library.sync.published import published_sync
from toril.library.sync.service import MediaSyncService
from toril.library.sync.syncing import MediaChangedError, MediaSync
from toril.library.sync.tasks import sync, sync_object
from toril.services.media.records import MediaPlace, MediaRecord, StoredVariant
from toril.services.objects.errors import WrongChecksumError
from toril.services.objects.folder import FolderObjects
from toril.services.objects.opening import open_objects
from toril.services.objects.remote import PART_BYTES
from toril.services.unusable import UnusableInputError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3")) as running:
        yield running


def s3_url(server: S3Server, bucket: str | None = None) -> str:
    if bucket is None:
        bucket = f"b{secrets.token_hex(6)}"
        server.make_bucket(bucket)
    return f"s3://key:secret@{bucket}/in?endpoint={server.url}&region=us-east-1&retries=0"


class Place:
    """Media on disk with their records, and a storage."""

    def __init__(self, settings: MediaSettings, objects: Any) -> None:
        self.settings = settings
        self.media = MediaSync(settings, objects, key_prefix="media")
        self.objects = self.media.objects
        self.records = self.media.records

    def make(self, media_id: str = "m-1", entity_type: str = "user_avatar") -> MediaRecord:
        self.settings.temp_dir.mkdir(exist_ok=True)
        (self.settings.temp_dir / "a.jpg").write_bytes(photo("rocket.jpg"))
        with MediaService(self.settings, records=self.records) as service:
            return service.process_upload(
                MediaProcessingJobData(
                    entity_type=entity_type,
                    temp_path="a.jpg",
                    original_filename="a.jpg",
                    media_id=media_id,
                )
            )

    def local(self, record: MediaRecord) -> dict[str, bytes]:
        paths = {each.path: self.settings.media_root / each.path for each in record.variants}
        return {name: path.read_bytes() for name, path in paths.items() if path.exists()}

    def remote(self) -> dict[str, bytes]:
        keys = [entry.key for entry in self.objects.list().entries]
        return {key.removeprefix("media/"): self.objects.read(key, 1 << 20) for key in keys}

    def place(self, media_id: str = "m-1") -> MediaPlace:
        found = self.records.find(media_id)
        assert found is not None
        return found.place

    def close(self) -> None:
        self.media.close()


@pytest.fixture(params=["s3", "folder"])
def place(
    request: pytest.FixtureRequest, settings: MediaSettings, tmp_path: Path
) -> Iterator[Place]:
    objects: Any = FolderObjects(tmp_path / "objects")
    if request.param == "s3":
        objects = open_objects(s3_url(request.getfixturevalue("server")))
    made = Place(settings, objects)
    yield made
    made.close()


@pytest.fixture
def near(settings: MediaSettings, tmp_path: Path) -> Iterator[Place]:
    made = Place(settings, FolderObjects(tmp_path / "objects"))
    yield made
    made.close()


def test_upload_sends_each_file_once(place: Place) -> None:
    record = place.make()
    files = place.local(record)
    reports: list[int] = []

    first = place.media.sync("m-1", "upload", report=reports.append)
    again = place.media.sync("m-1", "upload")

    assert place.remote() == files == place.local(record)
    assert len(files) == 3
    assert (first.copied, first.unchanged, first.bytes) == (3, 0, sum(map(len, files.values())))
    assert (again.copied, again.unchanged, again.bytes) == (0, 3, 0)
    assert reports == [30, 60, 90, 100]
    assert place.place() is MediaPlace.BOTH
    key = f"media/{record.variants[0].path}"
    assert place.objects.head(key).content_type == "image/webp"


def test_upload_with_delete_source_and_back(place: Place) -> None:
    record = place.make()
    files = place.local(record)

    gone = place.media.sync("m-1", "upload", delete_source=True)
    repeated = place.media.sync("m-1", "upload", delete_source=True)
    assert (place.local(record), place.remote()) == ({}, files)
    assert (gone.removed, repeated.removed, repeated.unchanged) == (3, 0, 3)
    assert place.place() is MediaPlace.REMOTE

    back = place.media.sync("m-1", "download")
    assert place.local(record) == place.remote() == files
    assert (back.copied, back.bytes) == (3, sum(map(len, files.values())))
    assert place.place() is MediaPlace.BOTH

    moved = place.media.sync("m-1", "download", delete_source=True)
    again = place.media.sync("m-1", "download", delete_source=True)
    assert (place.local(record), place.remote()) == (files, {})
    assert (moved.copied, moved.unchanged, moved.removed) == (0, 3, 3)
    assert (again.unchanged, again.removed) == (3, 0)
    assert place.place() is MediaPlace.LOCAL


@pytest.mark.parametrize(
    ("options", "here", "there", "where"),
    [
        ({}, True, False, MediaPlace.LOCAL),
        ({"delete_source": True}, False, False, MediaPlace.NONE),
        ({"target": "local"}, False, True, MediaPlace.REMOTE),
        ({"target": "record"}, False, False, None),
    ],
)
def test_delete(
    place: Place, options: dict[str, Any], here: bool, there: bool, where: MediaPlace | None
) -> None:
    record = place.make()
    place.media.sync("m-1", "upload")

    first = place.media.sync("m-1", "delete", **options)
    again = place.media.sync("m-1", "delete", **options)

    assert (bool(place.local(record)), bool(place.remote())) == (here, there)
    assert first.removed == 3 * (not here) + 3 * (not there)
    assert again.removed == 0
    found = place.records.find("m-1")
    assert (None if found is None else found.place) == where
    if not here:
        assert not (place.settings.media_root / record.variants[0].path).parent.exists()


def test_media_that_was_made_again_leaves_no_old_objects(near: Place) -> None:
    near.make()
    near.media.sync("m-1", "upload")
    old = set(near.remote())
    near.settings.temp_dir.joinpath("b.png").write_bytes(photo("astronaut.png"))
    with MediaService(near.settings, records=near.records) as service:
        data = MediaProcessingJobData(
            entity_type="user_avatar", temp_path="b.png", original_filename="b", media_id="m-1"
        )
        record = service.process_upload(data)
    assert near.place() is MediaPlace.LOCAL

    result = near.media.sync("m-1", "upload")

    assert near.remote() == near.local(record)
    assert not old & set(near.remote())
    assert (result.copied, result.removed) == (3, 3)


def test_object_of_others_is_compared_by_its_content(near: Place, tmp_path: Path) -> None:
    record = near.make()
    first, second, _ = record.variants
    content = near.local(record)[first.path]
    for variant, bytes_ in ((first, content), (second, b"x" * second.size_bytes)):
        path = tmp_path / "objects/media" / variant.path  # not by us: nobody knows its checksum
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes_)

    result = near.media.sync("m-1", "upload")

    assert (result.copied, result.unchanged) == (2, 1)
    assert near.remote() == near.local(record)


def test_source_stays_if_its_copy_is_damaged(near: Place, tmp_path: Path) -> None:
    record = near.make()
    files = near.local(record)
    near.media.sync("m-1", "upload")
    damaged = tmp_path / "objects/media" / record.variants[0].path
    content, before = bytearray(damaged.read_bytes()), damaged.stat()
    content[-1] ^= 1
    damaged.write_bytes(content)
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a disk that forgets

    with pytest.raises(WrongChecksumError):
        near.media.sync("m-1", "upload", delete_source=True)

    assert near.local(record) == files


def test_damaged_object_is_not_taken(near: Place, tmp_path: Path) -> None:
    record = near.make()
    near.media.sync("m-1", "upload", delete_source=True)
    path = record.variants[0].path
    near.objects.put(f"media/{path}", b"x" * record.variants[0].size_bytes)

    with pytest.raises(WrongChecksumError, match="not the file that the record of media 'm-1'"):
        near.media.sync("m-1", "download", delete_source=True)

    assert path not in near.local(record)
    assert len(near.remote()) == 3
    assert not list(near.settings.media_root.rglob("*.part"))


@pytest.mark.parametrize(
    ("media_id", "operation", "options", "reason"),
    [
        ("m-9", "upload", {}, "mediaId 'm-9': there is no such media"),
        ("m-9", "download", {}, "mediaId 'm-9': there is no such media"),
        ("../m", "delete", {}, "mediaId '../m': expected 1 to 128"),
        ("m-1", "upload", {"target": "local"}, "target 'local': only 'delete' has one"),
        ("m-1", "download", {}, "it is neither in the storage nor here"),
        ("m-1", "upload", {}, "not in the storage; upload it again"),
    ],
)
def test_what_cannot_work_is_refused(
    near: Place, media_id: str, operation: Any, options: dict[str, Any], reason: str
) -> None:
    record = near.make()
    (near.settings.media_root / record.variants[0].path).unlink()

    with pytest.raises(UnusableInputError, match=reason):
        near.media.sync(media_id, operation, **options)


def test_deleted_media_can_be_removed_only(near: Place) -> None:
    record = near.make()
    near.records.soft_delete("m-1")

    with pytest.raises(UnusableInputError, match="only 'delete' is left to do"):
        near.media.sync("m-1", "upload")
    assert near.media.sync("m-1", "delete", target="record").removed == 3

    assert near.local(record) == {}
    assert near.media.sync("m-1", "delete").success


def test_media_that_changes_meanwhile_is_copied_as_it_is_now(near: Place) -> None:
    near.make()
    changes = iter([True, False])

    def change(_percent: int) -> None:
        if next(changes, False):
            found = near.records.find("m-1")
            assert found is not None
            near.make(entity_type="company_photo")

    near.media.sync("m-1", "upload", report=change)

    record = near.records.find("m-1")
    assert record is not None
    assert record.entity_type == "company_photo"
    assert near.local(record).items() <= near.remote().items()
    assert record.place is MediaPlace.BOTH


def test_media_that_never_rests_is_left_for_later(near: Place) -> None:
    record = near.make()
    places = [MediaPlace.LOCAL, MediaPlace.BOTH]

    def change(_percent: int) -> None:
        found = near.records.find("m-1")
        assert found is not None
        near.records.move(found, places[found.place is MediaPlace.LOCAL])

    with pytest.raises(MediaChangedError, match="changed 3 times"):
        near.media.sync("m-1", "upload", delete_source=True, report=change)

    assert len(near.local(record)) == 3, "no source goes before the record says so"


@pytest.fixture
async def app(url: str, near: Place) -> AsyncIterator[App]:
    made = App(url)
    made.include(sync)
    made.provide(near.media)
    yield made
    await made.close()


async def test_job_does_the_work(app: App, near: Place) -> None:
    record = near.make()
    payload: Any = {"mediaId": "m-1", "operation": "upload", "deleteSource": False, "priority": 7}
    job = await app.queue("media-sync").add("__default__", payload)

    await app.worker().run(until_idle=True)

    assert await job.result(timeout_s=60) == {
        "success": True,
        "mediaId": "m-1",
        "operation": "upload",
        "copied": 3,
        "unchanged": 0,
        "removed": 0,
        "bytes": sum(each.size_bytes for each in record.variants),
    }
    assert near.remote() == near.local(record)


async def test_job_that_is_tried_again_goes_on_within_a_file(
    url: str, settings: MediaSettings, server: S3Server, tmp_path: Path
) -> None:
    path = "films/m-1/film.webp"
    content = os.urandom(60 * 1024 * 1024)
    (settings.media_root / path).parent.mkdir(parents=True)
    (settings.media_root / path).write_bytes(content)
    bucket = f"b{secrets.token_hex(6)}"
    server.make_bucket(bucket)
    with Proxy(server.port) as proxy:
        through = s3_url(server, bucket).replace(str(server.port), str(proxy.url_port))
        place = Place(settings, open_objects(through, resume_dir=tmp_path / "unfinished"))
        film = StoredVariant(
            name="film", path=path, width_px=1, height_px=1, size_bytes=len(content)
        )
        place.records.save(
            MediaRecord(
                media_id="m-1",
                entity_type="films",
                original_filename="film.mp4",
                original_bytes=len(content),
                source_path="film.mp4",
                variants=(film,),
            )
        )
        app = App(url)
        app.include(sync)
        app.provide(place.media)
        job = await app.bound(sync_object).enqueue(media_id="m-1", operation="upload")
        proxy.break_after(30 * 1024 * 1024)

        async with app.worker():
            await wait_until(lambda: proxy.is_broken and not proxy.connections)
            proxy.mend()
            assert (await job.result(timeout_s=120)).copied == 1

        assert place.objects.read(f"media/{path}", len(content)) == content
        # What was cut off in the middle of its way, three parts at most, is sent twice.
        most = len(content) + 3 * PART_BYTES + 1024 * 1024
        assert len(content) <= proxy.requested_bytes <= most, f"{proxy.requested_bytes:,}"
        place.close()
        await app.close()
    assert server.unfinished_uploads(bucket) == 0
    assert list((tmp_path / "unfinished").iterdir()) == []


async def test_wrong_payload_is_refused_at_the_door(app: App) -> None:
    for wrong in ({"operation": "move"}, {"operation": "upload", "priority": 11}):
        with pytest.raises(InvalidPayloadError, match=r"operation|priority"):
            await app.bound(sync_object).enqueue(media_id="m-1", **wrong)


async def test_batches_add_a_job_for_each_media(app: App, near: Place) -> None:
    for media_id, kind in (("m-1", "default"), ("m-2", "user_avatar"), ("m-3", "default")):
        near.make(media_id, kind)
    near.make("m-4", "default")
    near.records.soft_delete("m-4")
    service = MediaSyncService(app, near.records)

    low = await service.sync_ids(["m-1", "m-2", "m-1"], "upload", priority=1)
    usual = await service.sync_by_entity("default", "upload")
    high = await service.sync_all("upload", priority=10)

    assert [len(jobs) for jobs in (low, usual, high)] == [2, 2, 3]
    infos = [await jobs[0].info() for jobs in (low, usual, high)]
    assert [info.options["priority"] for info in infos] == [10, 6, 1]
    await app.worker(concurrency=1).run(until_idle=True)
    results = [[await job.result(timeout_s=60) for job in jobs] for jobs in (low, usual, high)]
    assert [each.copied for each in results[2]] == [2, 3, 2], "higher sooner"
    assert [each.unchanged for each in results[0]] == [2, 3]
    for priority in (0, 11):
        with pytest.raises(InvalidOptionError, match="1 to 10, higher sooner"):
            await service.sync_all("upload", priority=priority)


async def test_batch_of_thousands(near: Place) -> None:
    app = App("sqlite://:memory:")
    app.include(sync)
    record = near.make()
    for number in range(501):
        near.records.save(replace(record, media_id=f"n-{number:04}"))

    jobs = await MediaSyncService(app, near.records).sync_all("upload")

    assert len({job.id for job in jobs}) == 502
    await app.close()


async def test_storage_that_does_not_answer_is_tried_again(near: Place) -> None:
    near.make()
    port = 9  # nothing listens there
    objects = open_objects(f"s3://key:secret@shop?endpoint=http://127.0.0.1:{port}&retries=0")
    said = await _failure(near, objects, attempts=2)
    assert "shop" in said


async def test_storage_that_refuses_fails_at_once(near: Place, server: S3Server) -> None:
    near.make()
    said = await _failure(near, open_objects(s3_url(server, "nobodys-bucket")), attempts=1)
    assert "nobodys-bucket" in said


async def _failure(near: Place, objects: Any, *, attempts: int) -> str:
    app = App("sqlite://:memory:")
    app.include(sync)
    media = MediaSync(near.settings, objects, records=near.records)
    app.provide(media)
    task = app.bound(sync_object).with_options(max_attempts=2, backoff_s=0.01)
    job = await task.enqueue(media_id="m-1", operation="upload")
    async with app.worker():
        with pytest.raises(JobFailedError) as failed:
            await job.result(timeout_s=120)
    assert (await job.info()).attempts_made == attempts
    media.close()
    await app.close()
    return str(failed.value)


async def test_upload_is_followed_by_its_sync_in_one_step(
    settings: MediaSettings, near: Place
) -> None:
    app = App("sqlite://:memory:")
    app.include(images)
    app.include(sync)
    app.provide(replace(settings, sync_objects=True))
    app.provide(near.media)
    settings.temp_dir.mkdir()
    (settings.temp_dir / "a.jpg").write_bytes(photo("rocket.jpg"))
    payload = {"entityType": "user_avatar", "tempPath": "a.jpg", "originalFilename": "a.jpg"}
    job = await app.queue("media-processing").add("__default__", payload)

    await asyncio.wait_for(app.worker().run(until_idle=True), 120)

    made = await job.result()
    record = near.records.find(made["mediaId"])
    assert record is not None
    assert record.place is MediaPlace.BOTH
    assert near.remote() == near.local(record)
    await app.close()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            {"operation": "upload_to_s3", "localPath": "uploads/a.webp", "deleteSource": False},
            ("upload", False, None),
        ),
        (
            {
                "operation": "download_from_s3_delete_s3", "jobId": "s2", "parentJobId": "s1",
                "batchIndex": 0, "options": {"deleteSource": True, "overwrite": False},
            },
            ("download", True, None),
        ),
        ({"operation": "upload_to_s3_with_delete"}, ("upload", True, None)),
        ({"operation": "upload_to_s3_keep_local", "deleteSource": True}, ("upload", False, None)),
        ({"operation": "upload_to_s3", "options": {"deleteSource": True}}, ("upload", True, None)),
        ({"operation": "upload_to_s3", "deleteSource": True}, ("upload", True, None)),
        ({"operation": "download_from_s3"}, ("download", False, None)),
        ({"operation": "delete_s3"}, ("delete", False, None)),
        ({"operation": "delete_s3_only"}, ("delete", False, None)),
        ({"operation": "delete_local"}, ("delete", False, "local")),
        ({"operation": "delete_local_only"}, ("delete", False, "local")),
        ({"operation": "hard_delete"}, ("delete", False, "record")),
        ({"operation": "upload", "deleteSource": True}, ("upload", True, None)),
    ],
)  # fmt: skip
async def test_published_payloads_are_taken(
    near: Place, payload: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """As published producers send them."""
    app = App("sqlite://:memory:")
    app.bind("media-sync", sync_object, adapter=[sync_object, published_sync], rename="camel")
    seen: list[tuple[Any, ...]] = []
    run = near.media.sync

    def watched(media_id: str, operation: Any, **options: Any) -> Any:
        seen.append((operation, options["delete_source"], options["target"]))
        return run(media_id, operation, **options)

    near.make()
    near.media.sync("m-1", "upload")
    near.media.sync = watched  # type: ignore[method-assign]
    app.provide(near.media)
    job = await app.queue("media-sync").add("__default__", {"mediaId": "m-1", **payload})
    await app.worker().run(until_idle=True)

    result = await job.result()
    assert seen == [expected]
    assert list(result)[:3] == ["success", "mediaId", "operation"]
    await app.close()
