"""Keeps objects as files in a folder, under their keys: for one machine, or a shared disk."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from secrets import token_bytes
from typing import BinaryIO

from toril.services.disk.folders import PRIVATE, Access
from toril.services.objects.conditions import check_conditions, same
from toril.services.objects.content import (
    BLOCK_BYTES,
    blocks,
    check_content,
    digest_of,
    in_thread,
    is_asynchronous,
    plain_blocks,
)
from toril.services.objects.describing import Description, check_sha256, described, guessed_type
from toril.services.objects.errors import ObjectMissingError
from toril.services.objects.folder_files import FolderFiles, Found, Upload
from toril.services.objects.keys import check_key, check_prefix
from toril.services.objects.links import Links, check_expiry
from toril.services.objects.port import MAX_PAGE, Content, ObjectEntry, ObjectInfo, ObjectPage
from toril.services.objects.ranges import check_page, check_range, within
from toril.services.objects.streams import CheckedStream

_SECRET = "link-secret"  # noqa: S105 - the name of a file


class FolderObjects:
    """An `ObjectStore` in a folder. Processes may share it.

    Files that others put there are objects, too; their content type is guessed by their names and
    their SHA-256 is not known. Links are not followed and are no objects.

    Parameters:
        root: The folder; made when it is first needed.
        links: What makes and checks links. Default: `/files`, with a secret that is kept in the
            folder.
        access: Who may read and write what is made. Default: the user of this process only.
    """

    def __init__(
        self, root: Path | str, *, links: Links | None = None, access: Access = PRIVATE
    ) -> None:
        self.root = Path(os.path.abspath(root))
        self._links = links
        self._access = access
        self._files = FolderFiles(self.root, access)
        self._cleared = False

    def __repr__(self) -> str:
        return f"FolderObjects({str(self.root)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (self.root, self._links, self._access)

    @property
    def links(self) -> Links:
        """What makes and checks its links."""
        if self._links is None:
            self._links = Links([self._secret()])
        return self._links

    async def put(
        self,
        key: str,
        content: Content,
        *,
        content_type: str | None = None,
        filename: str | None = None,
        metadata: Mapping[str, str] | None = None,
        sha256: str | None = None,
        if_absent: bool = False,
        if_etag: str | None = None,
        unless_equal: bool = False,
    ) -> ObjectInfo:
        """Store an object: see `ObjectStore.put`."""
        check_key(key)
        check_content(content)
        check_conditions(if_absent, if_etag)
        expected = check_sha256(sha256)
        description = described(
            key, content_type=content_type, filename=filename, metadata=metadata
        )
        if unless_equal:
            there = await in_thread(self._equal, key, content, description, expected)
            if there is not None:
                return there
        if not is_asynchronous(content):
            return await in_thread(
                self._put, key, content, description, expected, if_absent, if_etag
            )
        upload = await in_thread(self._begin, key)
        try:
            async for block in blocks(content):
                await in_thread(upload.write, block)
            upload.digest.check(key, expected)
            found = await in_thread(
                upload.publish, description, if_absent=if_absent, if_etag=if_etag
            )
        finally:
            await in_thread(upload.close)
        return _info(found)

    def _put(
        self,
        key: str,
        content: Content,
        description: Description,
        expected: str | None,
        if_absent: bool,
        if_etag: str | None,
    ) -> ObjectInfo:
        upload = self._begin(key)
        try:
            for block in plain_blocks(content):
                upload.write(block)
            upload.digest.check(key, expected)
            found = upload.publish(description, if_absent=if_absent, if_etag=if_etag)
        finally:
            upload.close()
        return _info(found)

    def _begin(self, key: str) -> Upload:
        if not self._cleared:
            self._cleared = True
            self._files.clear()
        return self._files.upload(key)

    def _equal(
        self, key: str, content: Content, description: Description, expected: str | None
    ) -> ObjectInfo | None:
        known = digest_of(content)
        wanted = expected if known is None else known.sha256
        if wanted is None:
            return None
        try:
            there = _info(self._files.find(key))
        except ObjectMissingError:
            return None
        size = None if known is None else known.size_bytes
        return there if same(there, description, wanted, size) else None

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> CheckedStream:
        """Open an object for reading: see `ObjectStore.get`."""
        check_key(key)
        check_range(start, length)
        found, file = await in_thread(self._files.open, key)
        info = _info(found)
        first, end = within(start, length, info.size_bytes)
        whole = end - first == info.size_bytes
        source = _Reading(file, first, end)
        return CheckedStream(info, source, expected_bytes=end - first, whole=whole)

    async def head(self, key: str) -> ObjectInfo:
        """Return what is known about an object."""
        return _info(await in_thread(self._files.find, check_key(key)))

    async def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = MAX_PAGE
    ) -> ObjectPage:
        """Return objects below a prefix."""
        check_page(after, limit)
        return await in_thread(self._page, check_prefix(prefix), after, limit)

    def _page(self, prefix: str, after: str | None, limit: int) -> ObjectPage:
        found = list(islice(self._files.walk(prefix, after), limit + 1))
        entries = tuple(
            ObjectEntry(
                key=one.key,
                size_bytes=one.stat.st_size,
                etag=one.etag,
                modified_at=_moment(one.stat),
            )
            for one in found[:limit]
        )
        more = len(found) > limit
        return ObjectPage(entries=entries, next_after=entries[-1].key if more else None)

    async def delete(self, *keys: str) -> None:
        """Remove objects."""
        for key in keys:
            check_key(key)
        for key in keys:
            await in_thread(self._files.remove, key)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy an object."""
        check_key(target)
        stream = await self.get(source)
        info = stream.info
        async with stream:
            return await self.put(
                target,
                stream,
                content_type=info.content_type,
                filename=info.filename,
                metadata=info.metadata,
            )

    async def link(self, key: str, *, expires_s: float = 300.0) -> str:
        """Return a URL for a while."""
        check_expiry(expires_s)
        check_key(key)
        await in_thread(self._check_links)
        return self.links.make(key, expires_s=expires_s)

    async def check(self) -> None:
        """Look whether files can be made in the folder."""
        await in_thread(self._check)

    def _check_links(self) -> None:
        _ = self.links  # read the secret, in a thread

    def _check(self) -> None:
        self._files.upload("check").close()

    async def close(self) -> None:
        """Let go of nothing: no file stays open between calls."""

    def _secret(self) -> bytes:
        with self._files.telling(_SECRET), self._files.own("links") as folder:
            kept = folder.read(_SECRET, 1024)
            if kept:
                return kept
            name = f"{_SECRET}.{token_bytes(4).hex()}"
            folder.write(name, token_bytes(32))
            with suppress(FileExistsError):  # somebody else was first: theirs holds
                os.link(
                    name, _SECRET, src_dir_fd=folder.fd, dst_dir_fd=folder.fd, follow_symlinks=False
                )
            os.unlink(name, dir_fd=folder.fd)
            folder.sync()
            kept = folder.read(_SECRET, 1024)
            return kept or b""


class _Reading:
    """The blocks of a file, read in threads."""

    def __init__(self, file: BinaryIO, first: int, end: int) -> None:
        self._file = file
        self._at = first
        self._end = end

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        size = min(BLOCK_BYTES, self._end - self._at)
        block = b"" if size <= 0 else await in_thread(self._read, size)
        if not block:
            raise StopAsyncIteration
        self._at += len(block)
        return block

    def _read(self, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, self._at)

    async def aclose(self) -> None:
        """Close the file."""
        self._file.close()


def _info(found: Found) -> ObjectInfo:
    note = found.note
    return ObjectInfo(
        key=found.key,
        size_bytes=found.stat.st_size,
        etag=found.etag,
        modified_at=_moment(found.stat),
        content_type=guessed_type(found.key) if note is None else note.content_type,
        sha256=None if note is None else note.sha256,
        filename=None if note is None else note.filename,
        metadata={} if note is None else dict(note.metadata),
    )


def _moment(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _rebuilt(root: Path, links: Links | None, access: Access) -> FolderObjects:
    return FolderObjects(root, links=links, access=access)
