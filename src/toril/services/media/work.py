"""What media work on stored files needs: their storage, their records, a scan, child processes.

Made once, and provided to the tasks: `app.provide(MediaWork(objects))`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from toril.services.disk.scratch import default_scratch_dir, scratch
from toril.services.media.children import MediaChildren
from toril.services.media.file_records import FileRecords
from toril.services.objects.errors import ObjectMissingError
from toril.services.objects.keys import key_of
from toril.services.objects.port import ObjectStore
from toril.services.unusable import UnusableInputError, named

Check = Callable[[Path], Awaitable[None]]
"""Looks at a file before it is worked on; raises `UnusableInputError` to refuse it."""
SaveAvatar = Callable[[str, str], Awaitable[bool]]
"""Gives a user, by id, an avatar, by URL. False: there is no such user."""

_FILE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of the storage that was brought here."""

    key: str
    """Where it is in the storage."""
    path: Path
    """Where it is on this disk."""
    folder: Path
    """An empty folder for what is made of it. Both are gone when the work ends."""
    size_bytes: int
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file that was made, and where it has to go."""

    key: str
    path: Path
    content_type: str


class MediaWork:
    """Everything that tasks on stored images and videos share. Close it when the app stops.

    Parameters:
        objects: The storage that files come from and go to.
        records: Files' records. Default: none are read or changed.
        check: Looks at each file before anything reads it: a virus scan. Default: nobody does.
        save_avatar: Told of each user's new avatar. Default: nobody is.
        public_url: What stands before a file's key in its URL. Default: `/`.
        scratch_dir: Where files are while they are worked on. Default: a folder of this user in
            the system's folder for temporary files.
        max_idle: How many child processes wait for more images.
    """

    def __init__(
        self,
        objects: ObjectStore,
        *,
        records: FileRecords | None = None,
        check: Check | None = None,
        save_avatar: SaveAvatar | None = None,
        public_url: str = "/",
        scratch_dir: Path | None = None,
        max_idle: int = 4,
    ) -> None:
        self.objects = objects
        self.records = records
        self.save_avatar = save_avatar
        self.children = MediaChildren(max_idle=max_idle)
        self._check = check
        self._public_url = public_url if public_url.endswith("/") else f"{public_url}/"
        self._scratch_dir = scratch_dir if scratch_dir is not None else default_scratch_dir()

    def url_of(self, key: str) -> str:
        """Return the URL of a file."""
        return f"{self._public_url}{quote(key)}"

    async def path_of(self, file_id: str, file_path: str | None, field: str) -> str:
        """Return where a file lies: what the payload says, else what its record says.

        Raises:
            UnusableInputError: There is no record of it, or nobody says where it lies.
        """
        record = None
        if self.records is not None:
            record = await self.records.find(file_id)
            if record is None:
                raise _no_record(file_id, field)
        path = file_path
        if path is None and record is not None:
            path = record.path
        if path is None:
            reason = f"nobody says where the file of {file_id!r} lies: give it, or add it to its"
            raise UnusableInputError("filePath", f"{reason} record")
        return path

    @asynccontextmanager
    async def fetched(self, path: str, *, max_bytes: int) -> AsyncIterator[Source]:
        """Bring a file here, and have it checked; remove it, and what was made of it, afterwards.

        Parameters:
            path: From the storage's root, with or without a slash in front.
            max_bytes: The largest that is taken.

        Raises:
            UnusableInputError: The path leads out, there is no such file, it is too large, or the
                check refuses it.
        """
        key = inside(path, "filePath")
        with scratch(self._scratch_dir) as folder:
            try:
                stream = await self.objects.get(key)
            except ObjectMissingError:
                reason = "there is no such file in the storage; upload it again"
                raise UnusableInputError(named("filePath", path), reason) from None
            async with stream:
                info = stream.info
                if info.size_bytes > max_bytes:
                    reason = f"it has {info.size_bytes:,} bytes, over the {max_bytes:,} that are"
                    raise UnusableInputError(
                        named("filePath", path), f"{reason} allowed (max_bytes)"
                    )
                target = folder / "source"
                await stream.save(target)
            if self._check is not None:
                await self._check(target)
            made = folder / "made"
            made.mkdir()
            yield Source(
                key=key,
                path=target,
                folder=made,
                size_bytes=info.size_bytes,
                content_type=info.content_type,
            )

    @asynccontextmanager
    async def stored(self, outputs: Sequence[Output]) -> AsyncIterator[None]:
        """Store files, all at once; what the block does follows. If it fails, they are removed.

        Files that an earlier run has stored under the same names stay, then: their record may name
        them by now.
        """
        new = [each.key for each in outputs if not await self._has(each.key)]
        try:
            async with asyncio.TaskGroup() as group:
                for each in outputs:
                    put = self.objects.put(each.key, each.path, content_type=each.content_type)
                    group.create_task(put)
            yield
        except BaseException as error:
            # Shielded: a cancelled attempt removes what it has stored, too.
            await asyncio.shield(self.objects.delete(*new))
            if isinstance(error, ExceptionGroup) and len(error.exceptions) >= 1:
                raise error.exceptions[0] from None
            raise

    async def save_processed(
        self, file_id: str, urls: Mapping[str, str], outputs: Sequence[Output], field: str
    ) -> None:
        """Change a file's record. If it has vanished, remove what was made.

        Raises:
            UnusableInputError: There is no such record any more.
        """
        if self.records is None or await self.records.save_processed(file_id, urls):
            return
        await self.objects.delete(*[each.key for each in outputs])
        raise _no_record(file_id, field)

    async def remove(self, path: str) -> None:
        """Remove a file of the storage, if it is there."""
        await self.objects.delete(inside(path, "filePath"))

    async def close(self) -> None:
        """End the child processes that wait for work. The storage and the records stay open."""
        await self.children.close()

    async def _has(self, key: str) -> bool:
        try:
            await self.objects.head(key)
        except ObjectMissingError:
            return False
        return True


def inside(path: str, field: str) -> str:
    """Return the key that a payload's path means.

    Raises:
        UnusableInputError: It leads out of the storage, or is no path.
    """
    try:
        return key_of(path)
    except UnusableInputError as error:
        reason = f"path not allowed: it has to lie inside the storage ({error.reason})"
        raise UnusableInputError(named(field, path), reason) from None


def check_file_id(file_id: str, field: str) -> str:
    """Return a file's id, if it can be a part of a file's name.

    Raises:
        UnusableInputError: It is empty, over 128 characters, or has others than letters, digits,
            `_` and `-`.
    """
    if not _FILE_ID.fullmatch(file_id):
        reason = "expected 1 to 128 letters, digits, '_' and '-', beginning with a letter or digit"
        raise UnusableInputError(named(field, file_id), reason)
    return file_id


def savings_percent(original_bytes: int, made_bytes: int) -> float:
    """Return how much smaller a file became, in percent; negative if it grew."""
    return round((1 - made_bytes / max(1, original_bytes)) * 100, 2)


def _no_record(file_id: str, field: str) -> UnusableInputError:
    reason = "there is no record of this file: it was removed, or never added"
    return UnusableInputError(named(field, file_id), reason)
