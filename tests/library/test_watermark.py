"""Watermarks: from the clean files, so that a repeat gives the same bytes."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops
from tests.library.media import in_child, payload, process, public_files, record, upload
from tests.services.pictures import encode, photo

from toril import App, InvalidPayloadError, JobFailedError
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.library.images import MediaSettings, WatermarkJobData, WatermarkSettings
from toril.library.images.tasks import watermarks
from toril.library.images.watermark_service import WatermarkService
from toril.library.images.watermark_tasks import PublishedWatermarks, watermark
from toril.library.images.watermarking import apply_watermark
from toril.library.sync.syncing import MediaSync
from toril.library.sync.tasks import sync
from toril.services.media.records import MediaPlace
from toril.services.media.sql_records import SqlMediaRecords
from toril.services.objects.folder import FolderObjects
from toril.services.unusable import UnusableInputError

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def marks(tmp_path: Path) -> WatermarkSettings:
    mark = tmp_path / "marks" / "wm-logo.png"
    mark.parent.mkdir()
    mark.write_bytes(encode(Image.new("RGBA", (40, 20), (255, 0, 255, 255)), "PNG"))
    return WatermarkSettings.from_environment({"WATERMARK_DIR": str(mark.parent)})


@pytest.fixture
def media(settings: MediaSettings) -> MediaSettings:
    """Settings, and the media `m-1` of three plain grey variants."""
    upload(settings, encode(Image.new("RGB", (400, 300), (100, 100, 100)), "PNG"), "up.png")
    process(settings, payload("up.png", entity_type="company_photo", media_id="m-1"))
    return settings


def data(**fields: Any) -> WatermarkJobData:
    given = {"media_id": "m-1", "watermark_id": "wm-logo", "position": "bottom-right"}
    return WatermarkJobData(**{**given, "opacity": 0.5, "scale": 0.15, **fields})


def apply(settings: MediaSettings, marks: WatermarkSettings, **fields: Any) -> dict[str, bytes]:
    """Put a mark on the media, and return the files by variant."""
    apply_watermark(data(**fields), settings, marks, report=lambda _percent: None)
    return files_of(settings)


def files_of(settings: MediaSettings) -> dict[str, bytes]:
    found = record(settings)
    assert found is not None
    root = settings.media_root
    assert public_files(settings) == {each.path for each in found.variants}
    return {each.name: (root / each.path).read_bytes() for each in found.variants}


def changed_box(before: bytes, after: bytes) -> tuple[int, int, int, int] | None:
    """Return which part of a picture is another one by now; encoding alone changes a little."""
    one, two = (Image.open(io.BytesIO(each)).convert("RGB") for each in (before, after))
    assert one.size == two.size
    difference = ImageChops.difference(one, two).convert("L").point(lambda v: 255 * (v > 24))
    return difference.getbbox()


# Of the variant of 400 x 300: a mark of 60 x 30 pixels, 6 pixels from the edges. Encoding blurs it.
PLACES = {
    "top-left": (6, 6, 66, 36),
    "top-center": (170, 6, 230, 36),
    "top-right": (334, 6, 394, 36),
    "center-left": (6, 135, 66, 165),
    "center": (170, 135, 230, 165),
    "center-right": (334, 135, 394, 165),
    "bottom-left": (6, 264, 66, 294),
    "bottom-center": (170, 264, 230, 294),
    "bottom-right": (334, 264, 394, 294),
}


@pytest.mark.parametrize("position", PLACES)
def test_mark_is_at_its_place_only(
    media: MediaSettings, marks: WatermarkSettings, position: str
) -> None:
    found = record(media)
    assert found is not None
    name = next(each.name for each in found.variants if each.width_px == 400)
    before = files_of(media)

    after = apply(media, marks, position=position)

    box = changed_box(before[name], after[name])
    assert box is not None
    assert all(abs(a - b) <= 4 for a, b in zip(box, PLACES[position], strict=True)), box


def test_tile_is_all_over(media: MediaSettings, marks: WatermarkSettings) -> None:
    before = files_of(media)
    after = apply(media, marks, position="tile", scale=0.1)
    for name, content in before.items():
        box = changed_box(content, after[name])
        width, height = Image.open(io.BytesIO(content)).size
        assert box is not None
        assert box[2] - box[0] > 0.8 * width
        assert box[3] - box[1] > 0.8 * height


def test_opacity_and_scale(media: MediaSettings, marks: WatermarkSettings) -> None:
    found = record(media)
    assert found is not None
    name = next(each.name for each in found.variants if each.width_px == 400)

    def at_center(content: bytes) -> tuple[int, ...]:
        pixel = Image.open(io.BytesIO(content)).convert("RGB").getpixel((200, 150))
        assert isinstance(pixel, tuple)
        return pixel

    half = at_center(apply(media, marks, position="center", opacity=0.5)[name])
    whole = at_center(apply(media, marks, position="center", opacity=1.0)[name])
    assert half == pytest.approx((178, 50, 178), abs=12)
    assert whole == pytest.approx((255, 0, 255), abs=12)

    before = files_of(media)
    clean = apply(media, marks, position="top-left", scale=1.0, opacity=1.0)
    box = changed_box(before[name], clean[name])
    assert box is not None
    assert box[2] >= 396  # as wide as the image


def test_tall_mark_fits_into_a_flat_image(media: MediaSettings, marks: WatermarkSettings) -> None:
    path = marks.marks["wm-logo"]
    path.write_bytes(encode(Image.new("RGBA", (20, 400), (255, 0, 255, 255)), "PNG"))
    after = apply(media, marks, position="center", scale=1.0)
    assert len(after) == 3


def test_repeat_gives_the_same_bytes(media: MediaSettings, marks: WatermarkSettings) -> None:
    clean = files_of(media)
    once = apply(media, marks)
    assert once != clean
    assert apply(media, marks) == once
    other = apply(media, marks, position="top-left")
    assert other != once
    assert apply(media, marks) == once  # another mark takes the place of the one before
    kept = media.clean / "m-1"
    assert sorted(path.read_bytes() for path in kept.iterdir()) == sorted(clean.values())
    assert kept.stat().st_mode & 0o777 == 0o700


def test_one_variant_only(media: MediaSettings, marks: WatermarkSettings) -> None:
    before = files_of(media)
    name = sorted(before)[0]
    after = apply(media, marks, variants=[name])
    assert {each for each in before if before[each] != after[each]} == {name}
    assert len(list((media.clean / "m-1").iterdir())) == 1


def test_media_that_is_made_again_has_no_mark(
    media: MediaSettings, marks: WatermarkSettings
) -> None:
    before = files_of(media)
    apply(media, marks)
    upload(media, encode(Image.new("RGB", (400, 300), (100, 100, 100)), "PNG"), "up.png")
    process(media, payload("up.png", entity_type="company_photo", media_id="m-1"))
    assert files_of(media) == before
    assert not (media.clean / "m-1").exists()


def test_removal_takes_the_clean_files_along(
    media: MediaSettings, marks: WatermarkSettings, tmp_path: Path
) -> None:
    apply(media, marks)
    step = MediaSync(media, FolderObjects(tmp_path / "objects"))
    step.sync("m-1", "delete", target="record")
    step.close()
    assert public_files(media) == set()
    assert not (media.clean / "m-1").exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"watermark_id": "wm-log"}, "did you mean 'wm-logo'? known are wm-logo"),
        ({"media_id": "m-2"}, "there is no such media"),
        ({"media_id": "../m"}, "expected 1 to 128 letters"),
        ({"variants": ["huge"]}, "the media has none of this name"),
    ],
)
def test_unusable_input_changes_nothing(
    media: MediaSettings, marks: WatermarkSettings, fields: dict[str, Any], words: str
) -> None:
    before = files_of(media)
    with pytest.raises(UnusableInputError) as error:
        apply(media, marks, **fields)
    assert words in str(error.value)
    assert files_of(media) == before


def test_files_that_are_elsewhere_or_gone(
    media: MediaSettings, marks: WatermarkSettings, tmp_path: Path
) -> None:
    step = MediaSync(media, FolderObjects(tmp_path / "objects"))
    step.sync("m-1", "upload", delete_source=True)
    with pytest.raises(UnusableInputError, match="fetch them with"):
        apply(media, marks)
    step.sync("m-1", "download")
    apply(media, marks)
    assert step.records.find("m-1").place is MediaPlace.LOCAL  # type: ignore[union-attr]
    for path in (media.clean / "m-1").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(UnusableInputError, match="its unmarked file is not there, or is damaged"):
        apply(media, marks)
    step.records.soft_delete("m-1")
    with pytest.raises(UnusableInputError, match="it was deleted"):
        apply(media, marks)
    step.close()


def test_bad_marks_are_named(media: MediaSettings, marks: WatermarkSettings) -> None:
    path = marks.marks["wm-logo"]
    path.write_bytes(b"no image")
    with pytest.raises(UnusableInputError, match="watermark"):
        apply(media, marks)
    path.write_bytes(b"x" * (5 * 1024 * 1024 + 1))
    with pytest.raises(UnusableInputError, match="over 5,242,880 bytes"):
        apply(media, marks)
    path.unlink()
    with pytest.raises(UnusableInputError, match="is not there; put it back"):
        apply(media, marks)
    with pytest.raises(UnusableInputError, match="known are none"):
        apply(media, WatermarkSettings())


def test_settings(tmp_path: Path, marks: WatermarkSettings) -> None:
    assert marks.usual_id == "wm-logo"
    two = replace(marks, marks={**marks.marks, "wm-b": tmp_path / "b.png"})
    with pytest.raises(UnusableInputError, match="no default is set"):
        _ = two.usual_id
    assert replace(two, default_id="wm-b").usual_id == "wm-b"
    with pytest.raises(InvalidOptionError, match="default_id"):
        replace(two, default_id="wm-c")
    with pytest.raises(InvalidOptionError, match="opacity"):
        WatermarkSettings(opacity=0.05)
    with pytest.raises(InvalidOptionError, match="marks: id"):
        WatermarkSettings(marks={"../a": tmp_path})
    with pytest.raises(InvalidSettingError, match=r"WATERMARK_DIR='/no/where'"):
        WatermarkSettings.from_environment({"WATERMARK_DIR": "/no/where"})
    with pytest.raises(InvalidSettingError, match="WATERMARK_DEFAULT='wm-x'"):
        WatermarkSettings.from_environment({"WATERMARK_DEFAULT": "wm-x"})


def test_kill_at_any_report_is_repaired(media: MediaSettings, marks: WatermarkSettings) -> None:
    clean = files_of(media)
    whole = apply(media, marks)
    upload(media, encode(Image.new("RGB", (400, 300), (100, 100, 100)), "PNG"), "up.png")
    for at in (0, 30, 60, 90):
        upload(media, encode(Image.new("RGB", (400, 300), (100, 100, 100)), "PNG"), "up.png")
        process(media, payload("up.png", entity_type="company_photo", media_id="m-1"))
        assert files_of(media) == clean

        def dies(percent: int, at: int = at) -> None:
            if percent >= at:
                os.kill(os.getpid(), signal.SIGKILL)

        def run(report: Callable[[int], None] = dies) -> None:
            apply_watermark(data(), media, marks, report=report)

        assert in_child(run) == -signal.SIGKILL
        found = record(media)
        assert found is not None
        assert all((media.media_root / each.path).exists() for each in found.variants)
        assert apply(media, marks) == whole


async def test_jobs_in_bulk_on_both_stores(
    url: str, media: MediaSettings, marks: WatermarkSettings, tmp_path: Path
) -> None:
    """Two workers' turns at one media and its repeat; each is followed by its sync."""
    upload(media, photo("rocket.jpg"))
    process(media, payload(media_id="m-2"), media_id="m-2")
    app = App(url)
    app.include(watermarks)
    app.include(sync)
    app.provide(replace(media, sync_objects=True))
    app.provide(marks)
    step = MediaSync(media, FolderObjects(tmp_path / "objects"))
    app.provide(step)
    mark: Any = {"watermark_id": "wm-logo", "position": "tile", "opacity": 1, "scale": 0.1}
    jobs = await WatermarkService(app).apply_batch(["m-1", "m-2", "m-1"], **mark, variants=None)

    await asyncio.wait_for(app.worker().run(until_idle=True), 120)

    assert [(await job.result()).media_id for job in jobs] == ["m-1", "m-2"]
    raw = await app.queue("watermark").add("any", {
        "mediaId": "m-1", "watermarkId": "wm-logo", "position": "tile", "opacity": 1, "scale": 0.1,
    })  # fmt: skip
    await asyncio.wait_for(app.worker().run(until_idle=True), 120)
    result = await raw.result()
    assert list(result)[:2] == ["success", "mediaId"]
    keys = {entry.key for entry in step.objects.list().entries}
    assert keys == public_files(media)
    step.close()
    await app.close()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("position", "middle", "middle"),
        ("opacity", 0.05, "0.1"),
        ("opacity", 1.5, "1.0"),
        ("scale", 0, "0.1"),
        ("scale", 2, "1.0"),
        ("watermarkId", None, "watermark"),
    ],
)
async def test_door_names_the_field(
    media: MediaSettings, marks: WatermarkSettings, field: str, value: object, words: str
) -> None:
    app = App("sqlite://:memory:")
    app.include(watermarks)
    app.provide(media)
    app.provide(marks)
    given: dict[str, Any] = {
        "mediaId": "m-1", "watermarkId": "wm-logo", "position": "center", "opacity": 0.5,
        "scale": 0.5, field: value,
    }  # fmt: skip
    python = {"mediaId": "media_id", "watermarkId": "watermark_id"}
    with pytest.raises(InvalidPayloadError) as error:
        await app.bound(watermark).enqueue(
            **{python.get(name, name): each for name, each in given.items()}
        )
    assert field.lower().replace("id", "") in str(error.value).lower().replace("_", "")
    assert words in str(error.value)

    job = await app.queue("watermark").add("x", given)
    await app.worker().run(until_idle=True)
    with pytest.raises(JobFailedError) as failed:
        await job.result()
    assert words in str(failed.value)
    assert (await job.info()).attempts_made == 1
    await app.close()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"entityType": "listing_image"}, ("wm-logo", "bottom-right", 0.3, 0.15, ["large"])),
        (
            {"sizeKey": "medium", "options": {"position": "top-center", "opacity": 1}},
            ("wm-logo", "top-center", 1, 0.15, ["medium"]),
        ),
        (
            {"watermarkId": "wm-logo", "position": "tile", "scale": 0.5, "variants": ["thumb"]},
            ("wm-logo", "tile", 0.3, 0.5, ["thumb"]),
        ),
    ],
)
def test_published_payloads(
    marks: WatermarkSettings, given: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    reader = PublishedWatermarks(replace(marks, variants=("large",)))
    names = {"entityType": "entity_type", "sizeKey": "size_key", "watermarkId": "watermark_id"}
    read = reader.read("m-1", **{names.get(name, name): each for name, each in given.items()})
    shown = (read[each] for each in ("watermark_id", "position", "opacity", "scale", "variants"))
    assert tuple(shown) == expected


async def test_published_job_is_done(media: MediaSettings, marks: WatermarkSettings) -> None:
    before = files_of(media)
    app = App("sqlite://:memory:")
    forms: Any = [watermark, PublishedWatermarks(marks).read]
    app.bind("watermark", watermark, adapter=forms, rename="camel")
    app.provide(media)
    app.provide(marks)
    job = await app.queue("watermark").add(
        "__default__", {"mediaId": "m-1", "entityType": "listing_image"}
    )
    await asyncio.wait_for(app.worker().run(until_idle=True), 120)
    assert (await job.result())["success"] is True
    assert all(content != before[name] for name, content in files_of(media).items())
    await app.close()


def test_record_without_a_mark_reads_as_before(media: MediaSettings) -> None:
    records = SqlMediaRecords(media.database_url)
    found = records.find("m-1")
    records.close()
    assert found is not None
    assert all(each.clean is None for each in found.variants)
