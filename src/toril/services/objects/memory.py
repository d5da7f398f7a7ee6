"""Keeps objects in the memory of this process: for tests. They are gone with it."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from secrets import token_bytes, token_hex
from typing import NoReturn

from toril.core.clock import Clock, SystemClock, moment
from toril.services.objects.conditions import check_conditions, check_there, same
from toril.services.objects.content import BLOCK_BYTES, Digest, blocks, check_content, digest_of
from toril.services.objects.describing import check_sha256, described
from toril.services.objects.errors import ObjectMissingError, StorageFullError
from toril.services.objects.keys import check_key, check_prefix
from toril.services.objects.links import Links, check_expiry
from toril.services.objects.port import MAX_PAGE, Content, ObjectEntry, ObjectInfo, ObjectPage
from toril.services.objects.ranges import check_page, check_range, within
from toril.services.objects.streams import CheckedStream

DEFAULT_MAX_BYTES = 256 * 1024 * 1024


class MemoryObjects:
    """An `ObjectStore` in memory.

    Parameters:
        max_bytes: How much it holds, in bytes. Default: 256 MiB.
        links: What makes and checks links. Default: `/files`, with a secret of its own.
        clock: What time it is.
    """

    def __init__(
        self,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        links: Links | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._max_bytes = max_bytes
        self.links = links or Links([token_bytes(32)], clock=self._clock)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[ObjectInfo, bytes]] = {}
        self._used_bytes = 0

    def __repr__(self) -> str:
        return "MemoryObjects()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("objects in memory cannot be given to another process: use a folder")

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
        known = digest_of(content) if unless_equal else None
        if unless_equal and (known is not None or expected is not None):
            there = self._kept.get(key)
            wanted = expected or (known.sha256 if known is not None else "")
            size = None if known is None else known.size_bytes
            if there is not None and same(there[0], description, wanted, size):
                return there[0]
        digest = Digest()
        parts: list[bytes] = []
        async for block in blocks(content):
            if digest.size_bytes + len(block) > self._max_bytes:
                raise self._full(key)
            digest.add(block)
            parts.append(bytes(block))
        digest.check(key, expected)
        with self._lock:
            before = self._kept.get(key)
            there_etag = None if before is None else before[0].etag
            check_there(key, there_etag, if_absent=if_absent, if_etag=if_etag)
            used = self._used_bytes - (0 if before is None else before[0].size_bytes)
            if used + digest.size_bytes > self._max_bytes:
                raise self._full(key)
            info = ObjectInfo(
                key=key,
                size_bytes=digest.size_bytes,
                etag=token_hex(8),
                modified_at=moment(self._clock.now_ms()),
                content_type=description.content_type,
                sha256=digest.sha256,
                filename=description.filename,
                metadata=description.metadata,
            )
            self._kept[key] = info, b"".join(parts)
            self._used_bytes = used + digest.size_bytes
        return info

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> CheckedStream:
        """Open an object for reading: see `ObjectStore.get`."""
        check_range(start, length)
        info, content = self._found(key)
        first, end = within(start, length, info.size_bytes)
        whole = end - first == info.size_bytes
        source = _cut(content, first, end)
        return CheckedStream(info, source, expected_bytes=end - first, whole=whole)

    async def head(self, key: str) -> ObjectInfo:
        """Return what is known about an object."""
        return self._found(key)[0]

    async def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = MAX_PAGE
    ) -> ObjectPage:
        """Return objects below a prefix."""
        check_page(after, limit)
        prefix = check_prefix(prefix)
        with self._lock:
            infos = [info for info, _ in self._kept.values()]
        if prefix:
            infos = [info for info in infos if info.key.startswith(f"{prefix}/")]
        infos.sort(key=_order)
        begin = 0 if after is None else bisect_right(infos, after.encode(), key=_order)
        page = infos[begin : begin + limit]
        entries = tuple(
            ObjectEntry(
                key=one.key, size_bytes=one.size_bytes, etag=one.etag, modified_at=one.modified_at
            )
            for one in page
        )
        more = begin + limit < len(infos)
        return ObjectPage(entries=entries, next_after=entries[-1].key if more else None)

    async def delete(self, *keys: str) -> None:
        """Remove objects."""
        for key in keys:
            check_key(key)
        with self._lock:
            for key in keys:
                gone = self._kept.pop(key, None)
                self._used_bytes -= 0 if gone is None else gone[0].size_bytes

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy an object."""
        check_key(target)
        info, content = self._found(source)
        with self._lock:
            before = self._kept.get(target)
            used = self._used_bytes - (0 if before is None else before[0].size_bytes)
            if used + info.size_bytes > self._max_bytes:
                raise self._full(target)
            now = moment(self._clock.now_ms())
            made = replace(info, key=target, etag=token_hex(8), modified_at=now)
            self._kept[target] = made, content
            self._used_bytes = used + info.size_bytes
        return made

    async def link(self, key: str, *, expires_s: float = 300.0) -> str:
        """Return a URL for a while."""
        check_expiry(expires_s)
        return self.links.make(key, expires_s=expires_s)

    async def check(self) -> None:
        """Look whether it can be used: always."""

    async def close(self) -> None:
        """Keep the objects: they are in nobody else's hands."""

    def _found(self, key: str) -> tuple[ObjectInfo, bytes]:
        found = self._kept.get(check_key(key))
        if found is None:
            raise ObjectMissingError(f"object {key!r} is not in memory")
        return found

    def _full(self, key: str) -> StorageFullError:
        return StorageFullError(
            f"object {key!r}: no room in memory, which holds {self._max_bytes:,} bytes (max_bytes)"
        )


def _order(info: ObjectEntry) -> bytes:
    return info.key.encode()


async def _cut(content: bytes, first: int, end: int) -> AsyncIterator[bytes]:
    for at in range(first, end, BLOCK_BYTES):
        yield content[at : min(at + BLOCK_BYTES, end)]
