from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import pytest

from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.library.images.presets import Presets
from toril.library.images.settings import MediaSettings
from toril.services.media.port import ImageFormat

HERE = Path(os.path.abspath("."))


def test_empty_environment_gives_the_documented_defaults() -> None:
    settings = MediaSettings.from_environment({})

    assert settings == MediaSettings()
    assert settings.media_root == HERE / "public/uploads"
    assert settings.temp_dir == HERE / "tmp/uploads"
    assert settings.quarantine == HERE / "tmp/uploads-quarantine"
    assert settings.locks == HERE / "tmp/uploads-locks"
    assert not settings.owned_uploads
    assert not settings.shared_with_group
    assert settings.max_memory_bytes == 512 * 1024 * 1024
    assert (settings.max_scans, settings.max_frames, settings.max_parts) == (64, 2_000, 20_000)
    assert settings.max_bytes == 20 * 1024 * 1024
    assert settings.max_pixels == 50_000_000
    assert settings.quality == 85
    assert settings.formats == {"jpeg", "png", "webp", "gif"}
    assert settings.database_url == f"sqlite:///{HERE}/media.db"
    assert settings.presets == Presets.shipped()


def test_each_variable_is_read(tmp_path: Path) -> None:
    presets = tmp_path / "presets.toml"
    presets.write_text(
        'product.variants = [{ name = "s", width = 1, height = 1, fit = "cover" }]\n'
    )

    settings = MediaSettings.from_environment(
        {
            "MEDIA_ROOT": "/srv/media",
            "MEDIA_TEMP_DIR": "/srv/tmp",
            "MEDIA_QUARANTINE_DIR": "/srv/bad",
            "MEDIA_LOCK_DIR": "/srv/locks",
            "MEDIA_OWNED_UPLOADS": "yes",
            "MEDIA_SHARED_WITH_GROUP": "True",
            "MEDIA_MAX_MEMORY_BYTES": "3000",
            "MEDIA_MAX_SCANS": "4",
            "MEDIA_MAX_FRAMES": "5",
            "MEDIA_MAX_PARTS": "6",
            "MEDIA_MAX_BYTES": "1000",
            "MEDIA_MAX_PIXELS": "2000",
            "MEDIA_FORMATS": "JPEG, avif",
            "MEDIA_QUALITY": "70",
            "MEDIA_ENGINE": "VIPS",
            "MEDIA_DATABASE_URL": "postgresql://app@db/app",
            "MEDIA_PRESETS": str(presets),
            "MEDIA_CLEANUP_CRON": "not ours",
        }
    )

    assert (settings.media_root, settings.temp_dir) == (Path("/srv/media"), Path("/srv/tmp"))
    assert settings.quarantine == Path("/srv/bad")
    assert (settings.max_bytes, settings.max_pixels, settings.quality) == (1000, 2000, 70)
    assert settings.engine == "vips"
    assert settings.locks == Path("/srv/locks")
    assert (settings.owned_uploads, settings.shared_with_group) == (True, True)
    limits = settings.limits
    assert (limits.max_memory_bytes, limits.max_scans) == (3000, 4)
    assert (limits.max_frames, limits.max_parts) == (5, 6)
    assert settings.formats == {ImageFormat.JPEG, ImageFormat.AVIF}
    assert settings.limits.formats == settings.formats
    assert settings.database_url == "postgresql://app@db/app"
    assert set(settings.presets.by_entity) == {
        "user_avatar",
        "company_photo",
        "default",
        "product",
    }


def test_own_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_QUALITY", "61")

    assert MediaSettings.from_environment().quality == 61


@pytest.mark.parametrize("variable", ["MEDIA_ROOT", "MEDIA_MAX_BYTES", "MEDIA_DATABASE_URL"])
def test_empty_variable_counts_as_unset(variable: str) -> None:
    assert MediaSettings.from_environment({variable: " "}) == MediaSettings()


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("MEDIA_MAX_BYTES", "20MB", "expected a whole number, such as 20971520"),
        ("MEDIA_MAX_BYTES", "0", "expected bytes, 1 or more"),
        ("MEDIA_MAX_PIXELS", "-5", "expected pixels, 1 or more"),
        ("MEDIA_QUALITY", "101", "expected 1 to 100"),
        ("MEDIA_ENGINE", "sharp", "expected pillow or vips"),
        ("MEDIA_FORMATS", "jpeg,bmp", "expected some of jpeg, png, webp, gif, avif, tiff"),
        ("MEDIA_OWNED_UPLOADS", "perhaps", "expected yes or no"),
        ("MEDIA_MAX_SCANS", "0", "expected scans, 1 or more"),
        ("MEDIA_FORMATS", ",", "expected at least one format"),
        ("MEDIA_PRESETS", "/no/such.toml", "name a TOML file that can be read"),
    ],
)
def test_unusable_variable_is_refused_by_name_value_and_way_out(
    variable: str, value: str, wanted: str
) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        MediaSettings.from_environment({variable: value})

    assert str(refused.value).startswith(f"{variable}={value!r}: ")
    assert wanted in str(refused.value)


def test_password_of_the_database_is_never_shown() -> None:
    with pytest.raises(InvalidSettingError) as refused:
        MediaSettings.from_environment({"MEDIA_DATABASE_URL": "sqlite://:hunter2@/:memory:"})

    assert "hunter2" not in str(refused.value)
    assert "MEDIA_DATABASE_URL" in str(refused.value)
    assert "hunter2" not in repr(MediaSettings(database_url="postgresql://app:hunter2@db/app"))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///", ""])
def test_database_that_dies_with_its_process_is_refused(url: str) -> None:
    with pytest.raises(InvalidOptionError, match="database_url has to outlive the process"):
        MediaSettings(database_url=url)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sqlite:///data/m.db", f"sqlite:///{HERE}/data/m.db"),
        ("sqlite:////srv/m.db", "sqlite:////srv/m.db"),
        ("sqlite+pysqlite:///m.db?timeout=3", f"sqlite+pysqlite:///{HERE}/m.db?timeout=3"),
        ("sqlite:///file:m.db?uri=true", "sqlite:///file:m.db?uri=true"),
        ("postgresql://db/app", "postgresql://db/app"),
    ],
)
def test_database_file_does_not_depend_on_the_current_folder(given: str, kept: str) -> None:
    assert MediaSettings(database_url=given).database_url == kept


@pytest.mark.parametrize("option", ["temp_dir", "quarantine_dir"])
def test_private_folder_inside_public_one_is_refused(option: str) -> None:
    with pytest.raises(
        InvalidOptionError, match=f"{option}=.*: expected a place outside the media"
    ):
        MediaSettings(media_root=Path("/srv/media"), **{option: Path("/srv/media/x")})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("media_root", Path("/srv/tmp/x")),
        ("quarantine_dir", Path("/srv/tmp/x")),
        ("quarantine_dir", Path("/srv/tmp")),
        ("lock_dir", Path("/srv/tmp/x")),
        ("database_url", "sqlite:////srv/tmp/media.db"),
    ],
)
def test_nothing_of_ours_may_lie_where_payloads_name_files(option: str, place: object) -> None:
    """A payload could name what lay in quarantine, a lock, a published file or the database."""
    with pytest.raises(InvalidOptionError, match=f"{option}=.*: expected a place outside the temp"):
        MediaSettings(temp_dir=Path("/srv/tmp"), **{option: place})  # type: ignore[arg-type]


def test_temporary_folder_inside_quarantine_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"temp_dir=.*: expected a folder outside"):
        MediaSettings(temp_dir=Path("/srv/bad/tmp"), quarantine_dir=Path("/srv/bad"))


def test_folders_are_compared_where_links_lead(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "elsewhere").symlink_to(tmp_path / "uploads")

    with pytest.raises(InvalidOptionError, match=r"quarantine_dir=.*: expected a place outside"):
        MediaSettings(temp_dir=tmp_path / "uploads", quarantine_dir=tmp_path / "elsewhere/bad")


def test_database_is_not_judged_against_folders_that_are_not_used() -> None:
    settings = MediaSettings.from_environment(
        {"MEDIA_TEMP_DIR": "/srv/tmp", "MEDIA_DATABASE_URL": "sqlite:///tmp/uploads/media.db"}
    )

    assert settings.database_url == f"sqlite:///{HERE}/tmp/uploads/media.db"


def test_variables_that_do_not_go_together_are_both_named() -> None:
    with pytest.raises(InvalidSettingError, match="MEDIA_ROOT, MEDIA_TEMP_DIR do not go together"):
        MediaSettings.from_environment({"MEDIA_ROOT": "/srv", "MEDIA_TEMP_DIR": "/srv/tmp"})


def test_folders_are_judged_together_and_not_against_defaults() -> None:
    settings = MediaSettings.from_environment(
        {"MEDIA_ROOT": "/srv/media", "MEDIA_TEMP_DIR": "public/uploads/tmp"}
    )

    assert settings.temp_dir == HERE / "public/uploads/tmp"


def test_settings_survive_the_way_between_processes() -> None:
    settings = MediaSettings(quality=60, database_url="postgresql://app:hunter2@db/app")

    assert pickle.loads(pickle.dumps(settings)) == settings


def test_every_setting_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/library/images.md").read_text("utf-8")
    source = (Path(__file__).parents[2] / "src/toril/library/images/settings.py").read_text("utf-8")

    for name in (*MediaSettings.__dataclass_fields__, *set(re.findall(r'"(MEDIA_\w+)"', source))):
        assert f"`{name}`" in page, name
