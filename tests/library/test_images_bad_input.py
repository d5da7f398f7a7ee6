"""One test per line of the failure table in docs/library/images.md."""

from __future__ import annotations

import json
import os
import resource
import shutil
from dataclasses import replace
from pathlib import Path

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
from tests.services.pictures import encode, photo, quadrants

from toril.library.images.samples import sample_folder
from toril.library.images.settings import MediaSettings
from toril.services.media.sql_records import SqlMediaRecords
from toril.services.unusable import UnusableInputError


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg", "a\0.jpg"])
def test_path_outside_temporary_folder_fails_at_once_and_is_not_touched(
    settings: MediaSettings, path: str
) -> None:
    settings.temp_dir.mkdir()
    secret = settings.temp_dir.parent / "secret.jpg"
    secret.write_bytes(photo("rocket.jpg"))
    unread = secret.stat().st_atime_ns

    with pytest.raises(UnusableInputError, match=r"tempPath .*: path not allowed"):
        process(settings, payload(path))

    assert secret.stat().st_atime_ns == unread
    assert secret.exists()
    assert uploads(settings) == public_files(settings) == set()


@pytest.mark.parametrize("place", ["file", "folder"])
def test_path_through_a_link_fails_at_once_and_is_not_touched(
    settings: MediaSettings, place: str
) -> None:
    outside = settings.temp_dir.parent / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(photo("rocket.jpg"))
    settings.temp_dir.mkdir()
    if place == "file":
        (settings.temp_dir / "up.jpg").symlink_to(outside / "secret.jpg")
    else:
        (settings.temp_dir / "sub").symlink_to(outside)

    with pytest.raises(UnusableInputError, match="path not allowed"):
        process(settings, payload("up.jpg" if place == "file" else "sub/secret.jpg"))

    assert (outside / "secret.jpg").read_bytes() == photo("rocket.jpg")
    assert record(settings) is None


def test_missing_file_fails_at_once_and_leaves_record_as_it_was(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    process(settings)
    before, files = record(settings), public_files(settings)

    with pytest.raises(UnusableInputError) as failed:
        process(settings, payload("gone/new.jpg", media_id=MEDIA_ID))

    assert str(failed.value) == (
        "tempPath 'gone/new.jpg': there is no such file and none will come; upload it again"
    )
    assert record(settings) == before
    assert public_files(settings) == files


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bad-text.jpg", "its bytes are not an image, whatever its name"),
        ("bad-truncated.jpg", "it is truncated or damaged"),
        ("bad-bomb.png", "30000 x 30000 pixels are 900,000,000"),
    ],
)
def test_bad_image_fails_at_once_and_is_kept_in_quarantine(
    settings: MediaSettings, tmp_path: Path, name: str, reason: str
) -> None:
    [path] = [path for path in sample_folder(tmp_path / "samples") if path.name == name]
    upload(settings, path.read_bytes(), name)

    with pytest.raises(UnusableInputError, match=f"image 'cat.jpg': {reason}"):
        process(settings, payload(name, original_filename="cat.jpg"))

    kept = f"m-1/{name}"
    assert uploads(settings) == set()
    assert in_quarantine(settings) == {kept, f"{kept}.note.json"}
    assert (settings.quarantine / kept).read_bytes() == path.read_bytes()
    note = json.loads((settings.quarantine / f"{kept}.note.json").read_bytes())
    assert (note["mediaId"], note["tempPath"], note["originalFilename"]) == (
        "m-1",
        name,
        "cat.jpg",
    )
    assert reason in note["reason"]
    assert public_files(settings) == set()
    assert record(settings) is None


def test_bad_image_tried_again_says_the_same_and_where_it_is(settings: MediaSettings) -> None:
    upload(settings, b"text")
    with pytest.raises(UnusableInputError) as first:
        process(settings)

    with pytest.raises(UnusableInputError) as second:
        process(settings)

    assert str(second.value) == f"{first.value}; it is in quarantine"


def test_quarantine_keeps_every_upload_of_the_same_name(settings: MediaSettings) -> None:
    for content in (b"first", b"second", b"third"):
        upload(settings, content)
        with pytest.raises(UnusableInputError):
            process(settings)

    folder = settings.quarantine / MEDIA_ID
    kept = {path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}
    assert kept == {b"first", b"second", b"third"}


@pytest.mark.parametrize("name", ["x" * 255, "note.json", "a.note.json", ".hidden"])
def test_quarantine_takes_any_name(settings: MediaSettings, name: str) -> None:
    upload(settings, b"text", name)

    for _ in range(2):
        with pytest.raises(UnusableInputError, match="are not an image"):
            process(settings, payload(name))

    assert uploads(settings) == set()
    assert len(in_quarantine(settings)) == 2


def test_quarantine_may_be_on_another_file_system(settings: MediaSettings) -> None:
    away = Path("/dev/shm") / f"toril-quarantine-{os.getpid()}"
    upload(settings, b"text")

    try:
        with pytest.raises(UnusableInputError):
            process(replace(settings, quarantine_dir=away))
        assert (away / MEDIA_ID / "up.jpg").read_bytes() == b"text"
        assert uploads(settings) == set()
    finally:
        shutil.rmtree(away)


@pytest.mark.parametrize("bad", [b"text", photo("rocket.jpg")[:60_000]])
def test_failed_reprocess_leaves_old_record_and_files(settings: MediaSettings, bad: bytes) -> None:
    upload(settings, photo("rocket.jpg"))
    first = process(settings)
    before = record(settings)

    upload(settings, bad, "new.jpg")
    with pytest.raises(UnusableInputError):
        process(settings, payload("new.jpg", media_id=MEDIA_ID))

    assert record(settings) == before
    assert public_files(settings) == {each.path for each in first.variants}
    check_whole(settings)


def test_upload_over_byte_limit_fails_at_once(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))

    with pytest.raises(UnusableInputError, match="it has 112,525 bytes, over the 100,000"):
        process(replace(settings, max_bytes=100_000))

    assert "m-1/up.jpg" in in_quarantine(settings)


def test_unknown_entity_type_fails_at_once_naming_the_known(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))

    with pytest.raises(UnusableInputError) as failed:
        process(settings, payload(entity_type="user_avatr"))

    assert str(failed.value) == (
        "entityType 'user_avatr': not known; did you mean 'user_avatar'?"
        " known are company_photo, default, user_avatar"
    )
    assert uploads(settings) == {"up.jpg"}


@pytest.mark.parametrize("media_id", ["", "../m", "a/b", ".", "a.b", "x" * 129, "a\0", "-a"])
def test_media_id_that_cannot_name_a_folder_fails_at_once(
    settings: MediaSettings, media_id: str
) -> None:
    upload(settings, photo("rocket.jpg"))

    with pytest.raises(UnusableInputError, match=r"mediaId .*: expected 1 to 128 letters"):
        process(settings, payload(media_id=media_id), media_id=media_id)

    assert uploads(settings) == {"up.jpg"}


def test_two_different_media_ids_are_refused(settings: MediaSettings) -> None:
    with pytest.raises(UnusableInputError, match="the payload says 'm-2'; expected the same"):
        process(settings, payload(media_id="m-2"), media_id="m-1")


@pytest.mark.parametrize("field", ["original_filename", "user_id"])
def test_text_that_no_database_takes_is_refused(settings: MediaSettings, field: str) -> None:
    with pytest.raises(UnusableInputError, match="expected a text without NUL"):
        process(settings, payload(**{field: "a\0b"}))


def test_full_disk_is_temporary_and_shows_nothing_half_written(settings: MediaSettings) -> None:
    """The system refuses to write over 6 kB into a file: the small variant fits, others do not."""
    upload(settings, photo("astronaut.png"))
    SqlMediaRecords(settings.database_url).close()  # the table is there already
    seen = settings.temp_dir.parent / "seen"

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))
        try:
            process(settings)
        except BaseException as error:
            seen.write_text(type(error).__name__)

    assert in_child(fill) == 0
    assert seen.read_text() == "OSError"
    assert public_files(settings) == set()
    assert uploads(settings) == {"up.jpg"}
    assert record(settings) is None

    assert len(process(settings).variants) == 3
    check_whole(settings)


def test_full_disk_during_reprocess_leaves_old_files(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    first = process(settings)
    before = record(settings)
    upload(settings, photo("astronaut.png"))

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))
        process(settings, payload(media_id=MEDIA_ID))

    assert in_child(fill) == 1
    assert record(settings) == before
    assert public_files(settings) == {each.path for each in first.variants}
    check_whole(settings)


def test_missing_temporary_folder_is_temporary(settings: MediaSettings) -> None:
    """A volume that is not mounted comes back; the upload on it is not lost."""
    with pytest.raises(NotADirectoryError, match=r"no such folder: .*uploads"):
        process(settings)


def test_format_that_is_switched_off_goes_to_quarantine(settings: MediaSettings) -> None:
    upload(settings, encode(quadrants(), "TIFF"))

    with pytest.raises(UnusableInputError, match="TIFF is switched off"):
        process(settings)

    assert "m-1/up.jpg" in in_quarantine(settings)
