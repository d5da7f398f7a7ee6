"""Ready-made tasks on stored images, as jobs; read back by ImageMagick."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.services.pictures import photo
from tests.support.ffmpeg import identified, pixel

from toril import App, JobFailedError
from toril.library.images.samples import png_bomb
from toril.library.images.stored_settings import ImageSize, StoredImageSettings
from toril.library.images.tasks import stored_images
from toril.services.disk.scratch import scratch
from toril.services.media.file_records import FileRecord, MemoryFileRecords
from toril.services.media.port import EngineKind, ImageLimits
from toril.services.media.work import MediaWork
from toril.services.objects.folder import FolderObjects
from toril.services.unusable import UnusableInputError


class Place:
    """An app with these tasks, a folder as its storage, and records in memory."""

    def __init__(self, base: Path, **settings: Any) -> None:
        self.root = base / "public"
        self.objects = FolderObjects(self.root)
        self.records = MemoryFileRecords({"f1": FileRecord(file_id="f1", path="uploads/a.jpg")})
        self.checked: list[bytes] = []
        self.given: list[tuple[str, str]] = []
        self.scratch = base / "scratch"
        self.work = MediaWork(
            self.objects,
            records=self.records,
            check=self.check,
            save_avatar=self.save_avatar,
            scratch_dir=self.scratch,
        )
        self.app = App("sqlite://:memory:")
        self.app.include(stored_images)
        self.app.provide(self.work)
        self.app.provide(StoredImageSettings(**settings))

    async def check(self, path: Path) -> None:
        content = path.read_bytes()
        self.checked.append(content[:8])
        if b"EVIL" in content:
            raise UnusableInputError("file", "it is infected (Evil)")

    async def save_avatar(self, user_id: str, url: str) -> bool:
        self.given.append((user_id, url))
        return user_id != "gone"

    async def put(self, key: str, content: bytes) -> None:
        await self.objects.put(key, content)

    async def run(self, name: str, payload: dict[str, Any]) -> Any:
        """Add a job as a producer does, work until all is done, and return its result."""
        job = await self.app.queue("image-processing").add(name, payload)
        await self.app.worker().run(until_idle=True)
        self.info = await job.info()
        return await job.result()

    async def refused(self, name: str, payload: dict[str, Any]) -> str:
        with pytest.raises(JobFailedError) as failed:
            await self.run(name, payload)
        assert self.info.attempts_made == 1
        return str(failed.value)

    def names(self) -> set[str]:
        found = [path for path in self.root.rglob("*") if path.is_file()]
        keys = {str(path.relative_to(self.root)) for path in found}
        return {key for key in keys if not key.startswith(".toril")}

    async def close(self) -> None:
        await self.work.close()
        await self.app.close()
        assert list(self.scratch.glob("*")) == []


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    yield made
    await made.close()


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def large(**options: Any) -> bytes:
    """A camera's picture, held sideways: 3024 x 4032 when upright, its left half red."""
    picture = Image.new("RGB", (4032, 3024), "blue")
    picture.paste("red", (0, 1512, 4032, 3024))  # the left half, once it is turned clockwise
    exif = Image.Exif()
    exif[274] = 6
    exif[271] = "SecretCamera"
    return encoded(picture, "JPEG", exif=exif, quality=95, **options)


async def test_compress_makes_two_pictures_and_changes_the_record(place: Place) -> None:
    await place.put("uploads/a.jpg", large())

    payload = {"fileId": "f1", "filePath": "/uploads/a.jpg", "userId": "u1"}
    result = await place.run("images.compress", payload)

    assert json.loads(json.dumps(result)) == {
        "compressedUrl": "/f1-compressed.jpg",
        "thumbnailUrl": "/f1-thumbnail.jpg",
    }
    assert place.names() == {"uploads/a.jpg", "f1-compressed.jpg", "f1-thumbnail.jpg"}
    compressed = identified(place.root / "f1-compressed.jpg")
    assert (compressed["format"], compressed["width"], compressed["height"]) == (
        "JPEG", "810", "1080",
    )  # fmt: skip
    assert (compressed["quality"], compressed["space"]) == ("85", "sRGB")
    assert (compressed["orientation"], compressed["exif"]) == ("Undefined", "")
    assert b"SecretCamera" not in (place.root / "f1-compressed.jpg").read_bytes()
    thumbnail = identified(place.root / "f1-thumbnail.jpg")
    assert (thumbnail["width"], thumbnail["height"], thumbnail["quality"]) == ("320", "240", "75")
    left, right = (pixel(place.root / "f1-compressed.jpg", x, 500) for x in (50, 750))
    assert left[0] > 200 > 60 > left[2]
    assert right[2] > 200 > 60 > right[0]
    assert place.records.records["f1"].processed
    assert place.records.records["f1"].urls == {
        "compressedUrl": "/f1-compressed.jpg",
        "thumbnailUrl": "/f1-thumbnail.jpg",
    }
    assert (await place.objects.head("f1-compressed.jpg")).content_type == "image/jpeg"
    assert len(place.checked) == 1


async def test_libvips_makes_them_where_it_is_asked_for(tmp_path: Path) -> None:
    place = Place(tmp_path, engine=EngineKind.VIPS)
    await place.put("uploads/a.jpg", large())

    await place.run("images.compress", {"fileId": "f1", "filePath": "/uploads/a.jpg"})
    await place.put("uploads/a.jpg", large()[:50_000])
    reason = await place.refused("images.compress", {"fileId": "f1", "filePath": "/uploads/a.jpg"})

    compressed = identified(place.root / "f1-compressed.jpg")
    assert (compressed["width"], compressed["height"]) == ("810", "1080")
    assert "VipsJpeg" in reason
    await place.close()


async def test_compress_twice_leaves_the_same_files(place: Place) -> None:
    await place.put("uploads/a.jpg", photo("rocket.jpg"))
    await place.run("images.compress", {"fileId": "f1", "filePath": "uploads/a.jpg"})
    first = {name: (place.root / name).read_bytes() for name in place.names()}

    await place.run("images.compress", {"fileId": "f1"})  # its path is in its record

    assert {name: (place.root / name).read_bytes() for name in place.names()} == first


async def test_small_picture_is_not_enlarged_and_transparency_is_white(place: Place) -> None:
    await place.put("uploads/a.jpg", encoded(Image.new("RGBA", (1, 1), (9, 9, 9, 0)), "PNG"))

    await place.run("images.compress", {"fileId": "f1", "filePath": "/uploads/a.jpg"})

    found = identified(place.root / "f1-compressed.jpg")
    assert (found["width"], found["height"]) == ("1", "1")
    assert min(pixel(place.root / "f1-compressed.jpg", 0, 0)) >= 250


async def test_cmyk_is_converted(place: Place) -> None:
    picture = Image.new("CMYK", (64, 64), (255, 0, 0, 0))
    await place.put("uploads/a.jpg", encoded(picture, "JPEG"))

    await place.run("images.compress", {"fileId": "f1", "filePath": "/uploads/a.jpg"})

    assert identified(place.root / "f1-compressed.jpg")["space"] == "sRGB"
    red, green, blue = pixel(place.root / "f1-compressed.jpg", 32, 32)
    assert red < 40
    assert min(green, blue) > 200


async def test_animation_gives_its_first_frame(place: Place) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("lime", "black", "black")]
    whole = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    await place.put("uploads/a.jpg", whole)

    await place.run("images.compress", {"fileId": "f1", "filePath": "/uploads/a.jpg"})

    assert pixel(place.root / "f1-compressed.jpg", 20, 15)[1] > 230


BAD = {
    "truncated PNG": (photo("astronaut.png")[:40_000], "truncated or damaged"),
    "text": (b"This is a text.", "its bytes are not an image"),
    "bomb": (png_bomb(30_000), "over the 50,000,000 that are allowed (max_pixels)"),
    "infected": (b"EVIL", "it is infected (Evil)"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_bad_image_fails_at_once(place: Place, kind: str) -> None:
    content, reason = BAD[kind]
    await place.put("uploads/a.jpg", content)

    said = await place.refused("images.compress", {"fileId": "f1", "filePath": "/uploads/a.jpg"})

    assert reason in said
    assert place.names() == {"uploads/a.jpg"}
    assert not place.records.records["f1"].processed


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"fileId": "f1", "filePath": "/../etc/passwd"}, "it has to lie inside the storage"),
        ({"fileId": "f1", "filePath": "uploads/../../x"}, "it has to lie inside the storage"),
        ({"fileId": "f1", "filePath": "uploads/none.jpg"}, "there is no such file in the storage"),
        ({"fileId": "../f1", "filePath": "uploads/a.jpg"}, "fileId '../f1': expected 1 to 128"),
        ({"fileId": "f2", "filePath": "uploads/a.jpg"}, "fileId 'f2': there is no record"),
        ({"filePath": "uploads/a.jpg"}, "fileId: give it, or an outputPath"),
        ({"outputPath": "uploads/b.jpg"}, "filePath: give it along with outputPath"),
        (
            {"filePath": "uploads/a.jpg", "outputPath": "/uploads/a.jpg"},
            "it is the original's own path",
        ),
        (
            {"filePath": "uploads/a.jpg", "outputPath": "../b.jpg"},
            "outputPath '../b.jpg': path not allowed",
        ),
        (
            {"filePath": "uploads/a.jpg", "outputPath": "b.jpg", "options": {"maxWidth": 0}},
            "width 0: expected 1 to 16383 pixels",
        ),
        (
            {"filePath": "uploads/a.jpg", "outputPath": "b.jpg", "options": {"quality": 101}},
            "quality=101: expected 1 to 100",
        ),
    ],
)
async def test_payload_that_cannot_work_fails_at_once(
    place: Place, payload: dict[str, Any], reason: str
) -> None:
    await place.put("uploads/a.jpg", photo("rocket.jpg"))

    said = await place.refused("images.compress", payload)

    assert reason in said
    assert place.names() == {"uploads/a.jpg"}


async def test_record_that_vanishes_takes_the_outputs_with_it(place: Place) -> None:
    await place.put("uploads/a.jpg", photo("rocket.jpg"))
    await place.put("f1-compressed.jpg", b"of a run before")

    async def vanish(path: Path) -> None:
        await place.records.remove("f1")

    place.work._check = vanish  # between the look at the record and its change

    said = await place.refused("images.compress", {"fileId": "f1", "filePath": "uploads/a.jpg"})

    assert "there is no record of this file" in said
    assert place.names() == {"uploads/a.jpg"}


async def test_database_that_fails_leaves_no_new_files_and_is_tried_again(place: Place) -> None:
    await place.put("uploads/a.jpg", photo("rocket.jpg"))
    await place.put("f1-thumbnail.jpg", b"of a run before")
    tries = 0
    save = place.records.save_processed

    async def failing(file_id: str, urls: Any) -> bool:
        nonlocal tries
        tries += 1
        if tries == 1:
            assert "f1-compressed.jpg" in place.names()
            raise OSError("no database")
        assert tries == 2
        return await save(file_id, urls)

    place.records.save_processed = failing  # type: ignore[method-assign]
    job = await place.app.queue("image-processing").add("images.compress", {"fileId": "f1"})
    async with place.app.worker():
        result = await job.result(timeout_s=60)

    assert tries == 2
    assert result["thumbnailUrl"] == "/f1-thumbnail.jpg"


async def test_cancelled_job_leaves_nothing(place: Place) -> None:
    await place.put("uploads/a.jpg", photo("rocket.jpg"))
    stored, never = asyncio.Event(), asyncio.Event()

    async def hanging(file_id: str, urls: Any) -> bool:
        stored.set()
        await never.wait()
        return True

    place.records.save_processed = hanging  # type: ignore[method-assign]
    job = await place.app.queue("image-processing").add("images.compress", {"fileId": "f1"})
    async with place.app.worker():
        await asyncio.wait_for(stored.wait(), 60)
        await job.cancel()
        with pytest.raises(JobFailedError):
            await job.result(timeout_s=60)

    assert place.names() == {"uploads/a.jpg"}


async def test_thumbnails_in_each_size(place: Place) -> None:
    await place.put("uploads/a.jpg", photo("rocket.jpg"))

    sizes = [{"width": 150, "height": 150}, {"width": 100, "height": 50, "fit": "cover"}]
    result = await place.run("images.thumbnail", {"fileId": "f1", "sizes": sizes})

    first, second = result["thumbnails"]
    assert first["url"] == "/f1-thumbnail-150x150.jpg"
    assert second["url"] == "/f1-thumbnail-100x50-cover.jpg"
    for each in (first, second):
        found = identified(place.root / each["url"].lstrip("/"))
        assert (found["width"], found["height"]) == (str(each["width"]), str(each["height"]))
        assert found["quality"] == "75"
        assert each["bytes"] == (place.root / each["url"].lstrip("/")).stat().st_size
    assert (second["width"], second["height"]) == (100, 50)
    assert max(first["width"], first["height"]) == 150
    assert place.records.records["f1"].processed


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([], "sizes: 0: expected 1 to 20 sizes"),
        ([{"width": 1, "height": 1}] * 21, "sizes: 21: expected 1 to 20 sizes"),
        ([{"width": 20_000, "height": 1}], "width 20000: expected 1 to 16383 pixels"),
    ],
)
async def test_sizes_that_make_no_sense_are_refused(
    place: Place, sizes: list[dict[str, int]], reason: str
) -> None:
    await place.put("uploads/a.jpg", photo("rocket.jpg"))

    said = await place.refused("images.thumbnail", {"fileId": "f1", "sizes": sizes})

    assert reason in said


async def test_avatar_in_ten_files(place: Place) -> None:
    await place.put("uploads/a.jpg", large())

    payload = {"fileId": "f1", "filePath": "/uploads/a.jpg", "userId": "u1"}
    result = await place.run("images.avatar", payload)

    assert result["avatars"]["64"] == {"webp": "/f1-avatar-64.webp", "jpeg": "/f1-avatar-64.jpg"}
    assert list(result["avatars"]) == ["32", "64", "128", "256", "512"]
    for side, urls in result["avatars"].items():
        for kind, url in urls.items():
            found = identified(place.root / url.lstrip("/"))
            assert (found["format"].lower(), found["width"], found["height"]) == (kind, side, side)
            assert found["orientation"] == "Undefined"
    assert len(place.names()) == 11
    assert place.given == [("u1", "/f1-avatar-512.webp")]
    assert place.records.records["f1"].urls == {"avatarUrl": "/f1-avatar-512.webp"}


async def test_avatar_of_a_user_that_is_gone_fails_at_once(place: Place) -> None:
    await place.put("uploads/a.jpg", photo("rocket.jpg"))

    said = await place.refused("images.avatar", {"fileId": "f1", "userId": "gone"})

    assert "userId 'gone': there is no such user" in said
    assert place.names() == {"uploads/a.jpg"}
    assert not place.records.records["f1"].processed


async def test_image_with_an_output_path_becomes_that_file(place: Place) -> None:
    """As a published chat sends them."""
    original = encoded(Image.new("RGB", (2500, 1000), "teal"), "PNG")
    await place.put("uploads/17_a.png", original)

    payload = {
        "filePath": "/uploads/17_a.png",
        "outputPath": "uploads/17_a_optimized.webp",
        "options": {"maxWidth": 1920, "maxHeight": 1920, "quality": 85, "format": "webp"},
    }
    result = await place.run("images.compress", payload)

    made = place.root / "uploads/17_a_optimized.webp"
    found = identified(made)
    assert (found["format"], found["width"], found["height"]) == ("WEBP", "1920", "768")
    size = made.stat().st_size
    assert result == {
        "originalSize": len(original),
        "compressedSize": size,
        "savings": round((1 - size / len(original)) * 100, 2),
        "outputPath": "uploads/17_a_optimized.webp",
    }
    assert place.names() == {"uploads/17_a_optimized.webp"}, "the original goes with the outcome"


async def test_original_stays_if_the_outcome_is_a_failure(place: Place) -> None:
    await place.put("uploads/17_a.png", b"no image")

    await place.refused(
        "images.compress", {"filePath": "uploads/17_a.png", "outputPath": "uploads/b.png"}
    )

    assert place.names() == {"uploads/17_a.png"}


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("b.jpeg", None, "JPEG"),
        ("b.png", {}, "PNG"),
        ("b.webp", {"format": "jpeg"}, "JPEG"),
        ("b", None, "WEBP"),
    ],
)
async def test_format_follows_options_then_the_name(
    place: Place, name: str, options: dict[str, Any] | None, kind: str
) -> None:
    await place.put("a.png", encoded(Image.new("RGB", (8, 8), "teal"), "PNG"))
    payload: dict[str, Any] = {"filePath": "a.png", "outputPath": name}

    await place.run("images.compress", payload | ({"options": options} if options else {}))

    assert identified(place.root / name)["format"] == kind


async def test_avatar_without_an_id_lies_beside_its_original(place: Place) -> None:
    """As a published chat sends them."""
    await place.put("avatars/u1_17_x.png", encoded(Image.new("RGB", (900, 700), "teal"), "PNG"))

    result = await place.run("images.avatar", {"filePath": "/avatars/u1_17_x.png", "userId": "u1"})

    assert result["outputPath"] == "avatars/u1_17_x_optimized.webp"
    found = identified(place.root / "avatars/u1_17_x_optimized.webp")
    assert (found["format"], found["width"], found["height"]) == ("WEBP", "400", "400")
    assert place.given == [("u1", "/avatars/u1_17_x_optimized.webp")]
    assert place.names() == {"avatars/u1_17_x_optimized.webp"}


async def test_figures_are_settings(tmp_path: Path) -> None:
    place = Place(
        tmp_path,
        compressed=ImageSize(width_px=100, height_px=100, quality=60),
        folder="made/",
        limits=ImageLimits(max_bytes=len(photo("rocket.jpg"))),
    )
    await place.put("uploads/a.jpg", photo("rocket.jpg"))

    result = await place.run("images.compress", {"fileId": "f1"})

    assert result["compressedUrl"] == "/made/f1-compressed.jpg"
    found = identified(place.root / "made/f1-compressed.jpg")
    assert max(int(found["width"]), int(found["height"])) == 100
    assert found["quality"] == "60"
    await place.put("uploads/a.jpg", photo("rocket.jpg") + b"!")
    said = await place.refused("images.compress", {"fileId": "f1"})
    assert "(max_bytes)" in said
    await place.close()


def test_scratch_folders_of_the_dead_are_removed(tmp_path: Path) -> None:
    left = tmp_path / "work-0123"
    left.mkdir()
    (left / "file").write_text("half")
    theirs = tmp_path / "somebody's"
    theirs.mkdir()

    with scratch(tmp_path) as first, scratch(tmp_path) as second:
        assert first != second
        assert first.is_dir()
        assert not left.exists()
        assert first.stat().st_mode & 0o777 == 0o700

    assert list(tmp_path.iterdir()) == [theirs]
