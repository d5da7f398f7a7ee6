from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from tests.library.media import (
    MEDIA_ID,
    check_whole,
    payload,
    process,
    public_files,
    record,
    upload,
    uploads,
)
from tests.services.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    chunks,
    decoded,
    encode,
    exif,
    near,
    photo,
    quadrants,
    stored_as,
)

from toril.core.codec import decode, encode_text
from toril.library.images.naming import media_id_for
from toril.library.images.presets import Presets
from toril.library.images.settings import MediaSettings
from toril.services.media.port import EngineKind
from toril.services.media.records import MediaStatus
from toril.services.media.sql_records import SqlMediaRecords
from toril.services.unusable import UnusableInputError


@pytest.mark.parametrize("engine", list(EngineKind))
def test_upload_becomes_variants_and_record(settings: MediaSettings, engine: EngineKind) -> None:
    settings = replace(settings, engine=engine)
    content = photo("rocket.jpg")
    upload(settings, content)

    result = process(settings, payload(user_id="u-7", metadata={"album": 3}))

    assert [(each.name, each.width, each.height) for each in result.variants] == [
        ("small", 64, 64),
        ("medium", 128, 128),
        ("large", 256, 256),
    ]
    assert public_files(settings) == {each.path for each in result.variants}
    for each in result.variants:
        assert re.fullmatch(rf"user_avatar/m-1/{each.name}\.[0-9a-f]{{12}}\.webp", each.path)
    check_whole(settings)
    assert uploads(settings) == set()
    known = record(settings)
    assert known is not None
    assert (known.media_id, known.entity_type, known.original_filename) == (
        MEDIA_ID,
        "user_avatar",
        "me.jpg",
    )
    assert (known.user_id, known.metadata, known.status) == ("u-7", {"album": 3}, "ready")
    assert known.original_bytes == result.original_bytes == len(content)


def test_result_on_the_wire_has_the_names_of_its_readers(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))

    result = decode(encode_text(process(settings)))

    assert set(result) == {"mediaId", "variants", "originalBytes"}
    assert set(result["variants"][0]) == {"name", "path", "width", "height", "bytes"}


def test_company_photo_lying_down_with_position_becomes_three_clean_upright_files(
    settings: MediaSettings,
) -> None:
    upright = quadrants(400, 300).resize((3000, 4000), Image.Resampling.NEAREST)
    stored = upright.transpose(Image.Transpose.ROTATE_90)  # what a camera turned right stores
    small = stored_as(quadrants(), 6)
    assert near(stored.resize(small.size).getpixel((5, 5)), small.getpixel((5, 5)))  # type: ignore[arg-type]
    upload(settings, encode(stored, "JPEG", exif=exif(6, gps=True)))

    result = process(settings, payload(entity_type="company_photo"))

    assert [(each.width, each.height) for each in result.variants] == [
        (320, 240),
        (600, 800),
        (1200, 1600),
    ]
    for each in result.variants:
        content = (settings.media_root / each.path).read_bytes()
        assert set(chunks(content)) <= {b"VP8 ", b"VP8X", b"VP8L"}
        picture = decoded(content)
        wide, high = picture.size
        for place, colour in zip(
            [(wide // 4, 9), (wide * 3 // 4, 9), (wide // 4, high - 9), (wide * 3 // 4, high - 9)],
            [RED, GREEN, BLUE, WHITE],
            strict=True,
        ):
            assert near(picture.getpixel(place), colour)


def test_absolute_path_of_existing_producers_is_accepted(settings: MediaSettings) -> None:
    path = upload(settings, photo("rocket.jpg"))

    assert process(settings, payload(str(path))).variants
    assert uploads(settings) == set()


def test_type_is_found_in_the_bytes_and_not_in_the_name(settings: MediaSettings) -> None:
    upload(settings, photo("coffee.png"), "photo.gif")

    result = process(settings, payload("photo.gif", original_filename="photo.gif"))

    assert len(result.variants) == 3


def test_progress_goes_from_nothing_to_all(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    told: list[int] = []

    process(settings, report=told.append)

    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, 100)
    assert len(set(told)) >= 7


def test_stopping_at_any_report_is_harmless(settings: MediaSettings) -> None:
    """A cancelled attempt raises out of `report`; the next one has to find all in order."""
    told: list[int] = []
    upload(settings, photo("rocket.jpg"))
    expected = process(settings, report=told.append)

    for stop in told:

        def cancel(percent: int, stop: int = stop) -> None:
            if percent >= stop:
                raise KeyboardInterrupt

        upload(settings, photo("rocket.jpg"))
        with pytest.raises(KeyboardInterrupt):
            process(settings, report=cancel)
        check_whole(settings)
        assert not any(".part" in name for name in public_files(settings))

        assert process(settings) == expected
        assert uploads(settings) == set()


def test_second_run_changes_nothing(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    first = process(settings)
    before = record(settings)

    upload(settings, photo("rocket.jpg"))
    second = process(settings)

    assert second == first
    assert public_files(settings) == {each.path for each in first.variants}
    after = record(settings)
    assert before is not None
    assert after is not None
    assert replace(after, updated_at=None) == replace(before, updated_at=None)


def test_run_after_the_upload_is_gone_returns_what_was_recorded(settings: MediaSettings) -> None:
    """The process ended between removing the upload and saying that it was done."""
    upload(settings, photo("rocket.jpg"))
    first = process(settings)
    told: list[int] = []

    again = process(settings, report=told.append)

    assert again == first
    assert told[-1] == 100


@pytest.mark.parametrize("harm", ["removed", "cut"])
def test_run_after_the_upload_is_gone_fails_if_files_are_not_whole(
    settings: MediaSettings, harm: str
) -> None:
    upload(settings, photo("rocket.jpg"))
    path = settings.media_root / process(settings).variants[1].path
    if harm == "removed":
        path.unlink()
    else:
        os.truncate(path, 10)

    with pytest.raises(UnusableInputError, match="there is no such file"):
        process(settings)


@pytest.mark.parametrize(
    "other", [payload("other.jpg"), payload(entity_type="default")], ids=["path", "entity"]
)
def test_another_upload_that_is_gone_is_not_taken_for_done(
    settings: MediaSettings, other: object
) -> None:
    upload(settings, photo("rocket.jpg"))
    process(settings)

    with pytest.raises(UnusableInputError, match="there is no such file"):
        process(settings, other)  # type: ignore[arg-type]


def test_reprocess_replaces_record_and_files(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    first = process(settings, payload(user_id="u-7", metadata={"album": 3}))
    created = record(settings)

    upload(settings, photo("coffee.png"), "new.png")
    second = process(
        settings, payload("new.png", media_id=MEDIA_ID, original_filename="coffee.png")
    )

    assert {each.path for each in first.variants}.isdisjoint(
        {each.path for each in second.variants}
    )
    assert public_files(settings) == {each.path for each in second.variants}
    check_whole(settings)
    known = record(settings)
    assert known is not None
    assert created is not None
    assert known.created_at == created.created_at
    assert known.original_filename == "coffee.png"
    assert (known.user_id, known.metadata) == ("u-7", {"album": 3})  # not said again: kept


def test_reprocess_removes_variants_that_the_preset_no_longer_has(
    settings: MediaSettings,
) -> None:
    upload(settings, photo("rocket.jpg"))
    process(settings)
    one = [{"name": "tiny", "width": 16, "height": 16, "fit": "cover"}]
    fewer = replace(settings, presets=Presets.from_mapping({"user_avatar": one}))

    upload(settings, photo("rocket.jpg"))
    result = process(fewer, payload(media_id=MEDIA_ID))

    assert [each.name for each in result.variants] == ["tiny"]
    assert public_files(settings) == {result.variants[0].path}


def test_reprocess_as_another_entity_moves_to_its_folder(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    process(settings)

    upload(settings, photo("rocket.jpg"))
    result = process(settings, payload(entity_type="default", media_id=MEDIA_ID))

    assert public_files(settings) == {each.path for each in result.variants}
    assert not (settings.media_root / "user_avatar" / MEDIA_ID).exists()


def test_reprocess_leaves_files_of_others_alone(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    process(settings)
    folder = settings.media_root / "user_avatar" / MEDIA_ID
    (folder / "clean.webp").write_bytes(b"somebody's own")
    upload(settings, photo("rocket.jpg"))
    process(settings, media_id="m-2")

    upload(settings, photo("coffee.png"))
    process(settings, payload(entity_type="default", media_id=MEDIA_ID))

    assert (folder / "clean.webp").read_bytes() == b"somebody's own"
    assert len([name for name in public_files(settings) if "/m-2/" in name]) == 3


def test_unknown_media_id_makes_a_new_media_of_this_id(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))

    assert process(settings, payload(media_id="chosen"), media_id="chosen").media_id == "chosen"


def test_deleted_media_is_not_brought_back(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    process(settings)
    known = record(settings)
    assert known is not None
    records = SqlMediaRecords(settings.database_url)
    records.save(
        replace(known, status=MediaStatus.SOFT_DELETED, deleted_at=datetime(2026, 1, 2, tzinfo=UTC))
    )
    records.close()

    upload(settings, photo("coffee.png"))
    with pytest.raises(UnusableInputError, match="mediaId 'm-1': it was deleted at 2026-01-02"):
        process(settings, payload(media_id=MEDIA_ID))

    assert uploads(settings) == {"up.jpg"}


def test_media_id_of_a_job_is_stable_and_its_own() -> None:
    assert media_id_for("media-processing/17") == media_id_for("media-processing/17")
    assert media_id_for("media-processing/17") != media_id_for("media-processing/18")
    assert re.fullmatch(r"m-[0-9a-f]{24}", media_id_for("media-processing/17"))


def test_files_can_be_read_by_a_web_server(settings: MediaSettings) -> None:
    before = os.umask(0o022)
    upload(settings, photo("rocket.jpg"))
    result = process(settings)
    os.umask(before)

    assert (settings.media_root / result.variants[0].path).stat().st_mode & 0o777 == 0o644


def test_work_does_not_depend_on_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    settings = MediaSettings()
    upload(settings, photo("rocket.jpg"))

    monkeypatch.chdir(tmp_path / "b")
    result = process(settings)

    assert (tmp_path / "a/public/uploads" / result.variants[0].path).is_file()
    assert (tmp_path / "a/media.db").is_file()
    assert not list((tmp_path / "b").iterdir())
