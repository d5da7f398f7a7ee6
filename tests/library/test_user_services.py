"""What an environment says of pushes, mails and files, and that all of it is closed again."""

from __future__ import annotations

from pathlib import Path

import pytest

from toril import App, InvalidSettingError, provided
from toril.library.email import EmailService
from toril.library.images import StoredImageSettings
from toril.library.push import PushPayload, PushService
from toril.library.user_services import PLACES, UserServices
from toril.library.video import VideoSettings
from toril.services.media.work import MediaWork
from toril.services.push.folder import FolderPusher
from toril.services.push.samples import SAMPLE_SUBSCRIPTION
from toril.services.push.vapid import VapidKeys

USERS = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, avatar TEXT);\n"


def services_at(folder: Path, **environ: str) -> UserServices:
    """Return services of an environment, whose places are in a folder."""
    places = {
        "STORAGE_URL": f"file://{folder}/public", "PUSH_FOLDER": f"{folder}/push",
        "EMAIL_FOLDER": f"{folder}/mail",
    }  # fmt: skip
    return UserServices.from_environment(
        {**places, **environ},
        database_url=f"sqlite:///{folder}/shop.db",
        save_avatar="UPDATE users SET avatar = :url WHERE id = :user_id RETURNING id",
    )


async def test_one_database_holds_all_and_scripts_run_first(tmp_path: Path) -> None:
    services = services_at(tmp_path)
    script = tmp_path / "users.sql"
    script.write_text(USERS, "utf-8")
    async with services.open(script)():
        await services.records.run("INSERT INTO users VALUES ('jo', NULL)")
        file = await services.uploads.add(b"a picture", content_type="image/png")
        await services.push.subscriptions.add("jo", SAMPLE_SUBSCRIPTION)
        tables = await services.records.run("SELECT name FROM sqlite_master WHERE type = 'table'")
        found = await services.files.find(file.file_id)
        (verdict,) = await services.push.send("jo", PushPayload(title="t", body="b"))

    assert {"users", "toril_files"} < {row["name"] for row in tables}
    assert any("push" in row["name"] for row in tables)
    assert found == file
    assert (tmp_path / "public" / "uploads" / file.file_id).read_bytes() == b"a picture"
    assert verdict.kind == "delivered"
    assert len(list((tmp_path / "push").glob("*.json"))) == 1


async def test_avatar_is_saved_by_the_statement(tmp_path: Path) -> None:
    services = services_at(tmp_path)
    save = services.media.save_avatar
    assert save is not None
    script = tmp_path / "users.sql"
    script.write_text(USERS, "utf-8")
    async with services.open(script)():
        await services.records.run("INSERT INTO users VALUES ('jo', NULL)")
        saved = [await save("jo", "/a.webp"), await save("nobody", "/b.webp")]
        rows = await services.records.run("SELECT * FROM users")

    assert saved == [True, False]
    assert rows == [{"id": "jo", "avatar": "/a.webp"}]


async def test_nobody_is_told_of_avatars_by_default(tmp_path: Path) -> None:
    services = UserServices.from_environment({}, database_url=f"sqlite:///{tmp_path}/shop.db")

    assert services.media.save_avatar is None


async def test_tasks_get_what_they_need_and_mails_their_sender(tmp_path: Path) -> None:
    services = services_at(tmp_path, EMAIL_FROM="Shop <shop@example.com>")
    app = App(f"sqlite:///{tmp_path}/toril.db", lifespan=services.mailing)
    services.provide(app)

    @app.task(queue="looking")
    async def look(
        push: PushService = provided(PushService),
        media: MediaWork = provided(MediaWork),
        images: StoredImageSettings = provided(StoredImageSettings),
        videos: VideoSettings = provided(VideoSettings),
        mail: EmailService = provided(EmailService),
    ) -> list[str]:
        return [type(one).__name__ for one in (push, media, images, videos, mail)]

    async with app, app.worker():
        seen = await (await look.enqueue()).result(timeout_s=60)
    await services.close()

    assert seen == ["PushService", "MediaWork", "StoredImageSettings", "VideoSettings",
                    "EmailService"]  # fmt: skip


async def test_worker_does_not_start_without_a_sender(tmp_path: Path) -> None:
    services = services_at(tmp_path)

    with pytest.raises(InvalidSettingError, match="EMAIL_FROM"):
        async with services.mailing(None):
            pass


def test_other_databases_are_as_their_variables_say(tmp_path: Path) -> None:
    services = services_at(
        tmp_path,
        DATABASE_URL=f"sqlite:///{tmp_path}/all.db",
        PUSH_DATABASE_URL=f"sqlite:///{tmp_path}/browsers.db",
    )

    assert "all.db" in repr(services.records)
    assert services.push.settings.database_url.endswith("/browsers.db")
    assert services.environ["EMAIL_DATABASE_URL"].endswith("/all.db")
    assert isinstance(services.push.pusher, FolderPusher)


def test_setting_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="DATABASE_URL"):
        services_at(tmp_path, DATABASE_URL="mysql://localhost/shop")


async def test_start_says_what_goes_to_folders_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", PLACES)
    services = services_at(tmp_path, EMAIL_FROM="Shop <shop@example.com>")

    async with services.open()(), services.mailing(None):
        pass

    said = [record.getMessage() for record in caplog.records if record.name == PLACES]
    assert said == [
        f"Files are in the folder {tmp_path}/public (STORAGE_URL)",
        f"Pushes go to the folder {tmp_path}/push (VAPID_PUBLIC_KEY, …)",
        f"Mails go to the folder {tmp_path}/mail (SMTP_URL)",
    ]


def test_nothing_is_said_of_what_is_no_folder(tmp_path: Path) -> None:
    keys = VapidKeys.generate("mailto:ops@example.com")
    services = services_at(
        tmp_path, STORAGE_URL="s3://key:secret@files?endpoint=http://127.0.0.1:1&region=us-east-1",
        VAPID_PUBLIC_KEY=keys.public_key, VAPID_PRIVATE_KEY=keys.private_key,
        VAPID_SUBJECT=keys.subject, SMTP_URL="smtp://127.0.0.1:1",
    )  # fmt: skip

    assert services.folders() == []
