from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from tests.library.media import payload, public_files, record, upload, uploads
from tests.services.pictures import photo

from toril.core.extras import how_to_install
from toril.library.images.samples import sample_folder
from toril.library.images.service import MediaService
from toril.library.images.settings import MediaSettings
from toril.services.media.sql_records import SqlMediaRecords
from toril.services.unusable import UnusableInputError


def test_service_does_the_work_and_returns_the_record(settings: MediaSettings) -> None:
    upload(settings, photo("rocket.jpg"))
    told: list[int] = []

    with MediaService(settings) as service:
        made = service.process_upload(payload(user_id="u-1"), report=told.append)
        found = service.find(made.media_id)

    assert re.fullmatch(r"m-[0-9a-f]{24}", made.media_id)
    assert found == made == record(settings, made.media_id)
    assert public_files(settings) == {each.path for each in made.variants}
    assert uploads(settings) == set()
    assert (told[0], told[-1]) == (0, 100)


def test_two_uploads_are_two_media(settings: MediaSettings) -> None:
    with MediaService(settings) as service:
        upload(settings, photo("rocket.jpg"))
        first = service.process_upload(payload())
        upload(settings, photo("rocket.jpg"))
        second = service.process_upload(payload())

    assert first.media_id != second.media_id
    assert len(public_files(settings)) == 6


def test_media_id_makes_the_same_media_again(settings: MediaSettings) -> None:
    with MediaService(settings) as service:
        upload(settings, photo("rocket.jpg"))
        first = service.process_upload(payload())
        upload(settings, photo("coffee.png"))
        service.process_upload(payload(media_id=first.media_id))

    assert len(public_files(settings)) == 3


def test_service_leaves_records_open_that_it_was_given(settings: MediaSettings) -> None:
    records = SqlMediaRecords("sqlite://")
    upload(settings, photo("rocket.jpg"))

    with MediaService(settings, records=records) as service:
        made = service.process_upload(payload())

    assert records.find(made.media_id) == made
    assert record(settings, made.media_id) is None
    records.close()


def test_service_is_shared_by_threads(settings: MediaSettings) -> None:
    names = ["rocket.jpg", "chelsea.png", "coffee.png", "astronaut.png"]
    made: dict[str, str] = {}
    with MediaService(settings) as service:

        def work(name: str) -> None:
            made[name] = service.process_upload(payload(name)).media_id

        for name in names:
            upload(settings, photo(name), name)
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(made) == sorted(names)
    assert len(public_files(settings)) == 12


def test_default_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDIA_ROOT", "here")

    with MediaService() as service:
        assert service.settings.media_root == tmp_path / "here"


def test_sample_folder_has_six_photographs_and_three_that_are_refused(
    settings: MediaSettings,
) -> None:
    paths = sample_folder(settings.temp_dir)

    good, bad = [], []
    with MediaService(settings) as service:
        for path in paths:
            try:
                service.process_upload(payload(path.name, entity_type="default"))
                good.append(path.name)
            except UnusableInputError:
                bad.append(path.name)

    assert len(good) == 6
    assert bad == ["bad-truncated.jpg", "bad-text.jpg", "bad-bomb.png"]


def test_sample_photographs_are_real_images(tmp_path: Path) -> None:
    for path in sample_folder(tmp_path)[:6]:
        with Image.open(path) as picture:
            assert min(picture.size) >= 300


def test_sample_bomb_is_small_and_says_nothing_wrong(tmp_path: Path) -> None:
    bomb = sample_folder(tmp_path)[-1]

    assert bomb.stat().st_size < 120_000
    assert bomb.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_family_can_be_imported_without_an_image_library_or_a_database() -> None:
    """Producers only make payloads; loading Pillow and SQLAlchemy for that would cost them."""
    source = (
        "import sys; import toril.library.images;"
        "print([name for name in ('PIL', 'sqlalchemy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)

    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("absent", "module"),
    [("PIL", "toril.services.media.pillow"), ("sqlalchemy", "toril.services.media.sql_records")],
)
def test_absent_library_is_answered_with_what_to_install(absent: str, module: str) -> None:
    source = f"import sys; sys.modules[{absent!r}] = None; import {module}"

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)

    assert done.returncode == 1
    assert "MissingExtraError" in done.stderr
    assert how_to_install("media") in done.stderr


def test_code_of_the_documentation_works_as_written(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/library/images.md").read_text("utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert programs

    for number, program in enumerate(programs):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
