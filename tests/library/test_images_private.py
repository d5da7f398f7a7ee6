"""What lies outside the public folder: who can reach it, and by which ways nobody can."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.library.media import (
    MEDIA_ID,
    in_quarantine,
    payload,
    process,
    public_files,
    record,
    upload,
    uploads,
)
from tests.services.pictures import photo

from toril.library.images.settings import MediaSettings
from toril.services.unusable import UnusableInputError


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def modes(folder: Path) -> tuple[set[int], set[int]]:
    """Return the modes of a folder and those below it, and of the files there."""
    below = list(folder.rglob("*"))
    folders = {mode(folder), *(mode(path) for path in below if path.is_dir())}
    return folders, {mode(path) for path in below if path.is_file()}


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_quarantine_locks_and_records_are_nobody_elses_business(settings: MediaSettings) -> None:
    """They were made readable for all, and the locks in the public folder."""
    upload(settings, photo("rocket.jpg"))
    process(settings)
    bad = upload(settings, b"text", "bad.jpg")
    bad.chmod(0o644)
    with pytest.raises(UnusableInputError):
        process(settings, payload("bad.jpg"))

    assert modes(settings.quarantine) == ({0o700}, {0o600})
    assert modes(settings.locks) == ({0o700}, {0o600})
    assert mode(settings.temp_dir.parent / "media.db") == 0o600
    assert not list(settings.media_root.rglob(".*"))


@pytest.mark.usefixtures("umask")
def test_group_may_be_let_in(settings: MediaSettings) -> None:
    shared = replace(settings, shared_with_group=True)
    upload(shared, b"text")
    with pytest.raises(UnusableInputError):
        process(shared)

    assert modes(shared.quarantine) == ({0o2770}, {0o660})
    assert modes(shared.locks) == ({0o2770}, {0o660})
    assert mode(settings.temp_dir.parent / "media.db") == 0o660


@pytest.mark.parametrize("target", ["folder", "nowhere"])
def test_quarantine_does_not_follow_a_link_to_another_folder(
    settings: MediaSettings, tmp_path: Path, target: str
) -> None:
    """An upload and its note were written wherever a link in the quarantine led."""
    outside = tmp_path / "outside"
    if target == "folder":
        outside.mkdir()
    settings.quarantine.mkdir()
    (settings.quarantine / MEDIA_ID).symlink_to(outside)
    upload(settings, b"text")

    with pytest.raises(NotADirectoryError, match="or a link, which is not followed"):
        process(settings)

    assert not outside.exists() or list(outside.iterdir()) == []
    assert uploads(settings) == {"up.jpg"}


def test_quarantine_does_not_write_through_links_in_place_of_its_files(
    settings: MediaSettings, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"kept")
    folder = settings.quarantine / MEDIA_ID
    folder.mkdir(parents=True)
    (folder / "up.jpg").symlink_to(secret)
    (folder / "up.jpg.2.note.json").symlink_to(secret)
    upload(settings, b"text")

    with pytest.raises(UnusableInputError, match="are not an image"):
        process(settings)

    assert secret.read_bytes() == b"kept"
    assert (folder / "up.jpg.2").read_bytes() == b"text"
    assert not (folder / "up.jpg.2.note.json").is_symlink()


def test_notes_are_not_read_through_links(settings: MediaSettings, tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_text(
        '{"mediaId":"m-1","tempPath":"up.jpg","originalFilename":"a","subject":"secret",'
        '"reason":"secret","at":"2026"}'
    )
    folder = settings.quarantine / MEDIA_ID
    folder.mkdir(parents=True)
    (folder / "up.jpg").touch()
    (folder / "up.jpg.note.json").symlink_to(note)
    settings.temp_dir.mkdir()

    with pytest.raises(UnusableInputError, match="there is no such file"):
        process(settings)


def test_lock_is_not_opened_through_a_link(settings: MediaSettings, tmp_path: Path) -> None:
    upload(settings, photo("rocket.jpg"))
    process(settings)
    [lock] = settings.locks.iterdir()
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere")
    upload(settings, photo("rocket.jpg"))

    with pytest.raises(OSError, match=lock.name):
        process(settings)

    assert not (tmp_path / "elsewhere").exists()


def test_file_that_took_the_uploads_name_meanwhile_stays(settings: MediaSettings) -> None:
    """Somebody's next upload was removed, or put into quarantine, for the one before it."""
    upload(settings, photo("rocket.jpg"))

    def replace_it(percent: int) -> None:
        if percent == 10:
            (settings.temp_dir / "new").write_bytes(b"another")
            (settings.temp_dir / "new").rename(settings.temp_dir / "up.jpg")

    process(settings, report=replace_it)

    assert (settings.temp_dir / "up.jpg").read_bytes() == b"another"


def test_file_that_took_a_bad_uploads_name_meanwhile_stays(settings: MediaSettings) -> None:
    upload(settings, b"text")

    def replace_it(percent: int) -> None:
        if percent == 10:
            (settings.temp_dir / "new").write_bytes(b"another")
            (settings.temp_dir / "new").rename(settings.temp_dir / "up.jpg")

    with pytest.raises(UnusableInputError):
        process(settings, report=replace_it)

    assert (settings.temp_dir / "up.jpg").read_bytes() == b"another"
    assert in_quarantine(settings) == {"m-1/up.jpg", "m-1/up.jpg.note.json"}
    assert (settings.quarantine / "m-1/up.jpg").read_bytes() == b"text"


@pytest.fixture
def owned(settings: MediaSettings) -> MediaSettings:
    for user in ("ada", "bob"):
        (settings.temp_dir / user).mkdir(parents=True)
        upload(settings, photo("rocket.jpg"), f"{user}/up.jpg")
    upload(settings, photo("rocket.jpg"))
    return replace(settings, owned_uploads=True)


@pytest.mark.parametrize(
    ("path", "user", "refusal"),
    [
        ("bob/up.jpg", "ada", "path not allowed: uploads of 'ada' lie in the folder of this name"),
        ("up.jpg", "ada", "path not allowed: uploads of 'ada'"),
        ("ada/../bob/up.jpg", "ada", "path not allowed"),
        ("bob/up.jpg", "", "path not allowed"),
        ("bob/up.jpg", ".", "path not allowed"),
        ("bob/up.jpg", "bob/", "path not allowed"),
        ("ada", "ada", "path not allowed"),
        ("ada/up.jpg", None, "userId: it is missing; uploads belong to who made them"),
    ],
)
def test_upload_of_another_user_is_refused_and_stays(
    owned: MediaSettings, path: str, user: str | None, refusal: str
) -> None:
    """A payload could name any upload, and so publish or remove another user's."""
    before = uploads(owned)

    with pytest.raises(UnusableInputError, match=refusal):
        process(owned, payload(path, user_id=user))

    assert uploads(owned) == before
    assert public_files(owned) == set()
    assert record(owned) is None


@pytest.mark.parametrize("absolute", [False, True])
def test_own_upload_is_taken(owned: MediaSettings, absolute: bool) -> None:
    path = str(owned.temp_dir / "ada/up.jpg") if absolute else "ada/up.jpg"

    process(owned, payload(path, user_id="ada"))

    assert uploads(owned) == {"bob/up.jpg", "up.jpg"}
