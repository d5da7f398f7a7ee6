"""What an environment says of the services that the library's tasks ask for, in one place.

```python
services = Services.from_environment(os.environ, folder=Path("data"))
services.provide(app)
app.on_stop(services.close)
```

Nothing is connected, and hardly anything loaded, before it is used. Whoever needs one service only
makes it by itself: each has a `from_environment` of its own.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from toril.core.errors import InvalidSettingError
from toril.core.redis_variables import redis_url_from_environment
from toril.core.redis_variables import store_url as store_url
from toril.library.cleanup.settings import CleanupSettings
from toril.library.documents.settings import DocumentSettings
from toril.library.email.service import EmailService
from toril.library.email.settings import EmailSettings
from toril.library.exports.settings import ExportSettings
from toril.library.files.settings import FileProcessSettings, FileSettings
from toril.library.job_totals import JobTotals
from toril.library.video.settings import VideoSettings
from toril.library.warming.settings import WarmingSettings
from toril.services.cache.opening import cache_from_environment
from toril.services.cache.port import Cache
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.http.port import HttpClient
from toril.services.media.opening import media_work_from_environment
from toril.services.media.work import MediaWork
from toril.services.notices.port import Notices
from toril.services.notices.sql import SqlNotices
from toril.services.notices.tables import NOTICES
from toril.services.objects.opening import objects_from_environment
from toril.services.objects.port import ObjectStore
from toril.services.objects.sync import SyncObjects
from toril.services.records.records import Records
from toril.services.records.sessions import SessionTable
from toril.services.sources.opening import OpenSources
from toril.services.sources.port import Sources
from toril.services.totals.sql import SqlTotals
from toril.services.totals.tables import TOTALS


class Providing(Protocol):
    """What is needed of an app."""

    def provide(self, value: object, kind: type | None = None) -> None:
        """Give a value to tasks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Services and settings, as an environment names them."""

    policy: EgressPolicy
    http: HttpClient
    records: Records
    objects: ObjectStore
    media: MediaWork
    notices: Notices
    totals: JobTotals
    """Counted where `watch` is called."""
    cache: Cache
    mail: EmailService
    sources: OpenSources
    file_work: FileProcessSettings
    exports: ExportSettings
    warming: WarmingSettings
    cleanup: CleanupSettings

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        folder: Path,
        sender: str,
        redis_host: str = "localhost",
    ) -> Services:
        """Return what the environment names.

        Reads `FILE_ROOTS` (folders, with commas between), `TEMP_ROOT`, `LOG_ROOT`,
        `CACHE_PREFIX`, `TORIL_EGRESS_ALLOW`, and what `Records`, `objects_from_environment`,
        `media_work_from_environment`, `cache_from_environment` and `EmailSettings` read. Folders
        that it names are made. Without `CACHE_URL` the cache is in the server that `REDIS_URL` or
        the parts of Redis name.

        Parameters:
            environ: Where to read. Default: the process's own environment.
            folder: Where files are that no variable places: a database, objects, mails and roots.
            sender: Of mails, if `EMAIL_FROM` is not set.
            redis_host: Where Redis is, if another part of its address is set, but not `REDIS_HOST`.

        Raises:
            InvalidSettingError: With the variable's name, its value and what would do.
        """
        given = os.environ if environ is None else environ
        environ = {name: text for name, text in given.items() if text.strip()}
        folder = folder.absolute()
        named = environ.get("FILE_ROOTS", f"{folder}/files").split(",")
        roots = [Path(root.strip()).absolute() for root in named if root.strip()]
        places = {"TEMP_ROOT": str(folder / "tmp"), "LOG_ROOT": str(folder / "logs"), **environ}
        for place in (*roots, *(Path(places[name]) for name in ("TEMP_ROOT", "LOG_ROOT"))):
            place.mkdir(parents=True, exist_ok=True)
        allowed = environ.get("TORIL_EGRESS_ALLOW", "").replace(",", " ").split()
        policy = EgressPolicy(allowed)
        http = AioHttpClient(policy)
        records = Records.from_environment(environ, default_url=f"sqlite:///{folder}/records.db")
        mail = {
            "EMAIL_FROM": sender,
            "EMAIL_FOLDER": f"{folder}/mail",
            "EMAIL_ATTACHMENT_ROOT": str(roots[0]),
            "EMAIL_DATABASE_URL": environ.get("DATABASE_URL", f"sqlite:///{folder}/records.db"),
            **environ,
        }
        shared = redis_url_from_environment(environ, host=redis_host)
        cache = {} if shared is None else {"CACHE_URL": shared}
        cleanup = CleanupSettings.from_environment(places, sessions=SessionTable(records))
        objects = objects_from_environment(environ, folder=folder / "objects")
        return cls(
            policy=policy,
            http=http,
            records=records,
            objects=objects,
            media=media_work_from_environment(
                environ=environ, objects=objects, scratch_dir=folder / "scratch"
            ),
            notices=SqlNotices(records),
            totals=JobTotals(SqlTotals(records)),
            cache=cache_from_environment({**cache, **environ}),
            mail=EmailService(EmailSettings.from_environment(mail)),
            sources=OpenSources(root=roots, http=http),
            file_work=FileProcessSettings(outputs=roots[0] / "processed"),
            exports=ExportSettings(),
            warming=WarmingSettings(prefix=environ.get("CACHE_PREFIX", "cache:")),
            cleanup=cleanup,
        )

    def provide(self, app: Providing) -> None:
        """Provide all of it to an app's tasks."""
        for own in (self.mail, self.exports, self.file_work, self.warming, self.cleanup):
            app.provide(own)
        for settings in (FileSettings(), self.media, VideoSettings(), DocumentSettings()):
            app.provide(settings)
        app.provide(SyncObjects(self.objects))
        kinds: tuple[tuple[object, type], ...] = (
            (self.notices, Notices),
            (self.cache, Cache),
            (self.sources, Sources),
            (self.objects, ObjectStore),
            (self.records, Records),
            (self.http, HttpClient),
        )
        for value, kind in kinds:
            app.provide(value, kind)

    async def prepare(self) -> None:
        """Make the tables of the database, or bring them up to date."""
        await self.records.prepare(NOTICES, TOTALS)

    async def close(self) -> None:
        """Let go of all connections."""
        closing: tuple[Callable[[], object], ...] = (
            self.mail.close,
            self.cache.close,
            self.media.close,
            self.objects.close,
            self.http.close,
            self.records.close,
        )
        for close in closing:
            await close()  # type: ignore[misc]


def kept_key(path: Path) -> str:
    """Return a new key of 32 random bytes in Base64; from the second call on, the one of the file.

    For trials on one machine: a file of its own user. In production, keep keys where you keep other
    secrets.

    Parameters:
        path: The file.
    """
    if not path.exists():
        own = path.with_name(f"{path.name}.{os.getpid()}")
        opened = os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(base64.b64encode(os.urandom(32)))
        with suppress(FileExistsError):  # of several processes, the first one's counts
            os.link(own, path)
        own.unlink()
    return path.read_text("ascii").strip()


def whole_number(environ: Mapping[str, str], name: str, *, least: int = 0) -> int:
    """Return the number that a variable says.

    Raises:
        InvalidSettingError: It is missing, no whole number, or below `least`.
    """
    text = environ.get(name, "").strip()
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise InvalidSettingError(f"{name}={text!r}: expected a whole number from {least}")
    return int(text)
