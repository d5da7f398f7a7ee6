"""What an environment says of the services that a product's users meet: pushes, mails, files.

```python
services = UserServices.from_environment(database_url="sqlite:///shop.db")
app = App(lifespan=services.mailing)
services.provide(app)
```

Nothing is connected before it is used.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from toril.core.loggers import logger
from toril.library.email.service import EmailService
from toril.library.email.settings import EmailSettings
from toril.library.images.stored_settings import StoredImageSettings
from toril.library.push.service import PushService
from toril.library.push.settings import PushSettings
from toril.library.video.settings import VideoSettings
from toril.services.media.opening import media_work_from_environment
from toril.services.media.sql_file_records import SqlFileRecords
from toril.services.media.uploads import Uploads
from toril.services.media.work import MediaWork, SaveAvatar
from toril.services.objects.folder import FolderObjects
from toril.services.push.folder import FolderPusher
from toril.services.records.records import Records


class Providing(Protocol):
    """What is needed of an app."""

    def provide(self, value: object, kind: type | None = None) -> None:
        """Give a value to tasks."""
        ...


PLACES = "toril.places"
"""The logger that is told where things go for want of a setting. `run_program` shows its lines."""


@dataclass(slots=True, kw_only=True)
class UserServices:
    """Services and settings, as an environment names them."""

    environ: Mapping[str, str]
    records: Records
    files: SqlFileRecords
    uploads: Uploads
    push: PushService
    media: MediaWork
    _told: bool = field(default=False, init=False)

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        database_url: str,
        save_avatar: str | None = None,
    ) -> UserServices:
        """Return what the environment names.

        Reads what `Records`, `media_work_from_environment`, `PushSettings` and, for `mailing`,
        `EmailSettings` read. One database holds all rows, unless `PUSH_DATABASE_URL` or
        `EMAIL_DATABASE_URL` names another.

        Parameters:
            environ: Where to read. Default: the process's own environment.
            database_url: The database, if `DATABASE_URL` is not set.
            save_avatar: A statement that gives the user `:user_id` the avatar `:url`, and returns
                the user (`RETURNING id`). If it returns no row, there is no such user. Default:
                nobody is told of avatars.

        Raises:
            InvalidSettingError: With the variable's name, its value and what would do.
        """
        given = os.environ if environ is None else environ
        environ = {name: text for name, text in given.items() if text.strip()}
        records = Records.from_environment(environ, default_url=database_url)
        url = environ.get("DATABASE_URL", database_url)
        places = {"PUSH_DATABASE_URL": url, "EMAIL_DATABASE_URL": url, **environ}
        files = SqlFileRecords(records)
        saved = None if save_avatar is None else _by_statement(records, save_avatar)
        media = media_work_from_environment(files, environ=environ, save_avatar=saved)
        return cls(
            environ=places,
            records=records,
            files=files,
            uploads=Uploads(media.objects, files),
            push=PushService(PushSettings.from_environment(places)),
            media=media,
        )

    def provide(self, app: Providing) -> None:
        """Provide to an app's tasks what they need for pushes, images and videos."""
        for value in (self.push, self.media, StoredImageSettings(), VideoSettings()):
            app.provide(value)

    @asynccontextmanager
    async def mailing(self, app: object) -> AsyncIterator[EmailService]:
        """Yield the service of mails: the `lifespan` of an app whose workers send them.

        Raises:
            InvalidSettingError: `EMAIL_FROM` is not set, or another setting makes no sense.
        """
        mail = EmailService(EmailSettings.from_environment(self.environ))
        self._tell()
        try:
            yield mail
        finally:
            await mail.close()
            await self.media.close()

    def open(self, *scripts: Path) -> Callable[[], AbstractAsyncContextManager[None]]:
        """Return the `lifespan` of a site: it runs scripts of SQL first, and closes all at its end.

        Parameters:
            scripts: Such as tables of your own; see `Records.run_script`.
        """

        @asynccontextmanager
        async def opened() -> AsyncIterator[None]:
            self._tell()
            try:
                for script in scripts:
                    await self.records.run_script(script)
                yield
            finally:
                await self.close()

        return opened

    def folders(self) -> list[str]:
        """Return a line for each service that is a folder of this machine, with where it is."""
        lines = []
        if isinstance(self.media.objects, FolderObjects):
            lines.append(f"Files are in the folder {self.media.objects.root} (STORAGE_URL)")
        if isinstance(self.push.pusher, FolderPusher):
            lines.append(f"Pushes go to the folder {self.push.pusher.folder} (VAPID_PUBLIC_KEY, …)")
        mail = EmailSettings.from_environment({"EMAIL_FROM": "nobody@localhost", **self.environ})
        if mail.chosen_provider == "folder":
            lines.append(f"Mails go to the folder {Path(mail.folder).absolute()} (SMTP_URL)")
        return lines

    def _tell(self) -> None:
        """Log them, once: API and worker may be one process."""
        if not self._told:
            self._told = True
            for line in self.folders():
                logger(PLACES).info("%s", line)

    async def close(self) -> None:
        """Let go of all connections. They open again when they are used again."""
        await self.push.close()
        await self.media.close()
        await self.media.objects.close()
        await self.records.close()


def _by_statement(records: Records, text: str) -> SaveAvatar:
    async def save(user_id: str, url: str) -> bool:
        return bool(await records.run(text, user_id=user_id, url=url))

    return save
