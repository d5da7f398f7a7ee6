"""Keeps objects on S3 and compatible servers, Google Cloud Storage and Azure, by obstore."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from toril.core.extras import missing_extra
from toril.services.objects.conditions import changed, check_conditions, exists, same
from toril.services.objects.content import (
    Digest,
    blocks,
    check_content,
    digest_of,
    in_thread,
)
from toril.services.objects.describing import (
    SHA256,
    Description,
    check_sha256,
    described,
    disposition,
    filename_of,
)
from toril.services.objects.errors import ObjectError, ObjectMissingError, StorageUnavailableError
from toril.services.objects.keys import check_key, check_prefix
from toril.services.objects.links import check_expiry
from toril.services.objects.port import (
    DEFAULT_CONTENT_TYPE,
    MAX_PAGE,
    Content,
    ObjectEntry,
    ObjectInfo,
    ObjectPage,
)
from toril.services.objects.ranges import check_page, check_range, within
from toril.services.objects.remote_errors import told
from toril.services.objects.remote_feed import Feed
from toril.services.objects.remote_place import RemotePlace, opened
from toril.services.objects.resuming import PARTS_AT_ONCE, Resuming, Upload
from toril.services.objects.streams import CheckedStream
from toril.services.unusable import UnusableInputError, named

PART_BYTES = 8 * 1024 * 1024
"""Content over this is sent in parts of this size, or larger for more than 9,000 of them."""
_MAX_PARTS = 9_000
MAX_CONDITIONAL_BYTES = 64 * 1024 * 1024
"""Most bytes of an object stored under a condition: it goes in one request."""


class RemoteObjects:
    """An `ObjectStore` on a server.

    Its SHA-256 is kept as metadata, for all that is stored from bytes, files, streams of up to
    8 MiB, and streams whose `sha256` was given.
    """

    def __init__(self, place: RemotePlace) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._store: Any = None
        self._pid = 0
        folder = place.resume_dir
        self._resuming = None if folder is None else Resuming(place, folder)

    def __repr__(self) -> str:
        return f"RemoteObjects({self.place.shown!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return RemoteObjects, (self.place,)

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
        known = await self._known(key, content)
        if known is not None:
            known.check(key, expected)
            expected = known.sha256
        if unless_equal and expected is not None:
            there = await self._equal(key, description, expected, known)
            if there is not None:
                return there
        plain = not if_absent and if_etag is None
        if self._resuming is not None and isinstance(content, Path) and known is not None and plain:
            sent = await self._resumed(self._resuming, key, content, known, description)
            if sent is not None:
                return sent
        source = blocks(content)
        try:
            mode: Any = "overwrite"
            if if_absent or if_etag is not None:
                mode = "create" if if_absent else {"e_tag": if_etag}
                head, more = await _begun(source, MAX_CONDITIONAL_BYTES)
                if more is not None:
                    reason = (
                        f"it has over {MAX_CONDITIONAL_BYTES:,} bytes, the most that can be stored"
                        " with if_absent or if_etag on a server"
                    )
                    raise UnusableInputError(named("object", key), reason)
            else:
                head, more = await _begun(source, PART_BYTES)
            return await self._send(key, head, more, source, description, expected, known, mode)
        finally:
            await source.aclose()

    async def _known(self, key: str, content: Content) -> Digest | None:
        try:
            return await in_thread(digest_of, content)
        except OSError as error:
            raise UnusableInputError(
                named("object", key), f"its content cannot be read: {error.strerror or error}"
            ) from error

    async def _equal(
        self, key: str, description: Description, sha256: str, known: Digest | None
    ) -> ObjectInfo | None:
        try:
            there = await self.head(key)
        except ObjectMissingError:
            return None
        size = None if known is None else known.size_bytes
        return there if same(there, description, sha256, size) else None

    async def _resumed(
        self,
        resuming: Resuming,
        key: str,
        path: Path,
        known: Digest,
        description: Description,
    ) -> ObjectInfo | None:
        """Send a large file, or what is missing of it; None: send it by the usual way."""
        if known.size_bytes <= PART_BYTES:
            return None
        etag = await resuming.send(
            Upload(
                key=key,
                path=path,
                known=known,
                description=description,
                part_bytes=_part_bytes(known.size_bytes),
            )
        )
        return None if etag is None else _stored(key, etag, known, description)

    async def _send(
        self,
        key: str,
        head: bytes,
        more: bytes | memoryview | None,
        source: AsyncGenerator[bytes | memoryview, None],
        description: Description,
        expected: str | None,
        known: Digest | None,
        mode: Any,
    ) -> ObjectInfo:
        digest = Digest()
        if more is None:
            await digest.add_aside(head)
            digest.check(key, expected)
            expected = digest.sha256
        attributes = {"Content-Type": description.content_type, **description.metadata}
        if description.filename is not None:
            attributes["Content-Disposition"] = disposition(description.filename)
        if expected is not None:
            attributes[SHA256] = expected

        size_bytes = 0 if known is None else known.size_bytes
        with self._telling(key, exists_as=mode == "create"):
            if more is None:
                sent = await self._obstore.put_async(
                    self._opened(), key, head, attributes=attributes, mode=mode, use_multipart=False
                )
            else:
                feed = Feed([head, more], source, digest, lambda: digest.check(key, expected))
                sent = await feed.through(
                    lambda blocks: self._obstore.put_async(
                        self._opened(),
                        key,
                        blocks,
                        attributes=attributes,
                        use_multipart=True,
                        chunk_size=_part_bytes(size_bytes),
                        max_concurrency=PARTS_AT_ONCE,
                    )
                )
        return _stored(key, sent["e_tag"] or "", digest, description)

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> CheckedStream:
        """Open an object for reading: see `ObjectStore.get`."""
        check_key(key)
        check_range(start, length)
        options: dict[str, Any] = {}
        if start or length is not None:
            # A server refuses a range that begins behind the end; it is asked for what there is.
            info = await self.head(key)
            first, end = within(start, length, info.size_bytes)
            if first == end:
                whole = info.size_bytes == 0
                return CheckedStream(info, _nothing(), expected_bytes=0, whole=whole)
            options = {"range": (first, end), "if_match": info.etag}
        with self._telling(key):
            found = await self._obstore.get_async(self._opened(), key, options=options or None)
        info = _info(key, found)
        first, end = within(start, length, info.size_bytes)
        whole = end - first == info.size_bytes
        source = self._blocks(key, found)
        return CheckedStream(info, source, expected_bytes=end - first, whole=whole)

    async def _blocks(self, key: str, found: Any) -> AsyncIterator[bytes]:
        with self._telling(key):
            async for block in found.stream(min_chunk_size=256 * 1024):
                yield bytes(block)

    async def head(self, key: str) -> ObjectInfo:
        """Return what is known about an object."""
        check_key(key)
        try:
            with self._telling(key):
                options = {"head": True}
                found = await self._obstore.get_async(self._opened(), key, options=options)
        except ObjectMissingError:
            await self.check()  # the answer is the same where the whole bucket is not there
            raise
        return _info(key, found)

    async def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = MAX_PAGE
    ) -> ObjectPage:
        """Return objects below a prefix."""
        check_page(after, limit)
        prefix = check_prefix(prefix)
        with self._telling(""):
            listing = self._obstore.list(
                self._opened(), prefix=prefix or None, offset=after, chunk_size=limit + 1
            )
            found = await _first(listing)
        entries = tuple(
            ObjectEntry(
                key=one["path"],
                size_bytes=one["size"],
                etag=one["e_tag"] or "",
                modified_at=one["last_modified"],
            )
            for one in found[:limit]
        )
        more = len(found) > limit
        return ObjectPage(entries=entries, next_after=entries[-1].key if more else None)

    async def delete(self, *keys: str) -> None:
        """Remove objects."""
        for key in keys:
            check_key(key)
        for at in range(0, len(keys), MAX_PAGE):
            some = [*keys[at : at + MAX_PAGE]]
            try:
                with self._telling(some[0] if len(some) == 1 else ""):
                    await self._obstore.delete_async(self._opened(), some)
            except ObjectMissingError:  # as some servers say; they stop there
                await self._delete_each(some)

    async def _delete_each(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                with self._telling(key):
                    await self._obstore.delete_async(self._opened(), key)
            except ObjectMissingError:
                continue

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy an object."""
        check_key(source)
        check_key(target)
        with self._telling(source):
            await self._obstore.copy_async(self._opened(), source, target)
        return await self.head(target)

    async def link(self, key: str, *, expires_s: float = 300.0) -> str:
        """Return a URL for a while, signed for the server."""
        check_key(key)
        check_expiry(expires_s)
        with self._telling(key):
            url: str = await self._obstore.sign_async(
                self._opened(), "GET", key, timedelta(seconds=int(expires_s))
            )
        return url

    async def check(self) -> None:
        """Look whether the bucket answers and may be listed."""
        with self._telling(""):
            await _first(self._obstore.list(self._opened(), chunk_size=1))

    async def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            self._store = None
        if self._resuming is not None:
            self._resuming.close()

    @property
    def _obstore(self) -> Any:
        try:
            return importlib.import_module("obstore")
        except ImportError:
            raise missing_extra(f"{self.place.kind}:// needs obstore", "objects") from None

    def _opened(self) -> Any:
        """Return obstore's store of this place."""
        with self._lock:
            if self._store is None:
                self._store = opened(self.place)
                self._pid = os.getpid()
            elif self._pid != os.getpid():
                raise StorageUnavailableError(
                    f"{self.place.shown}: connections do not survive a fork; start the process by"
                    " 'spawn', or make the storage in it"
                )
            return self._store

    @contextmanager
    def _telling(self, key: str, *, exists_as: bool = False) -> Iterator[None]:
        try:
            yield
        except (ObjectError, UnusableInputError):
            raise
        except Exception as error:
            kind = type(error).__name__
            if kind == "AlreadyExistsError" or (kind == "PreconditionError" and exists_as):
                raise exists(key) from None
            if kind == "PreconditionError":
                raise changed(key) from None
            if not (type(error).__module__.startswith("obstore") or isinstance(error, OSError)):
                raise
            raise told(error, key=key, place=self.place.shown, secrets=self.place.secrets) from None


async def _begun(
    source: AsyncIterator[bytes | memoryview], most_bytes: int
) -> tuple[bytes, bytes | memoryview | None]:
    """Read up to so many bytes; return them, and the block after them if there is one."""
    head = bytearray()
    async for block in source:
        if len(head) + len(block) > most_bytes:
            return bytes(head), block
        head += block
    return bytes(head), None


async def _first(listing: Any) -> Sequence[Any]:
    """Return the first block of a listing. Not by `anext`: an empty one breaks its default."""
    async for found in listing:
        block: Sequence[Any] = found
        return block
    return ()


async def _nothing() -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for block in none:
        yield block


def _part_bytes(size_bytes: int) -> int:
    return max(PART_BYTES, -(-size_bytes // _MAX_PARTS))


def _stored(key: str, etag: str, digest: Digest, description: Description) -> ObjectInfo:
    """Return what is known about an object that was stored just now."""
    return ObjectInfo(
        key=key,
        size_bytes=digest.size_bytes,
        etag=etag,
        modified_at=datetime.now(UTC),
        content_type=description.content_type,
        sha256=digest.sha256,
        filename=description.filename,
        metadata=description.metadata,
    )


def _info(key: str, found: Any) -> ObjectInfo:
    meta = found.meta
    attributes = {str(name): str(value) for name, value in found.attributes.items()}
    own = {name: value for name, value in attributes.items() if name.islower()}
    sha256 = own.pop(SHA256, None)
    return ObjectInfo(
        key=key,
        size_bytes=meta["size"],
        etag=meta["e_tag"] or "",
        modified_at=meta["last_modified"],
        content_type=attributes.get("Content-Type", DEFAULT_CONTENT_TYPE),
        sha256=sha256,
        filename=filename_of(attributes.get("Content-Disposition")),
        metadata=own,
    )
