"""Opens files below a root, objects, and what lies at a URL. Whatever is not set up is refused."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, cast

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.services.disk.inside import open_inside
from toril.services.http.port import (
    EgressRefusedError,
    HttpClient,
    HttpError,
    HttpLimits,
    HttpTooLargeError,
)
from toril.services.sources.port import (
    MissingFileError,
    ObjectReader,
    OpenSource,
    Source,
    SourceTooLargeError,
    SourceUnavailableError,
)
from toril.services.unusable import UnusableInputError

IN_MEMORY_BYTES = 1024 * 1024
"""Larger objects go to a temporary file that has no name."""
_LATER = frozenset({408, 425, 429})
"""Refusals of a server that hold for a while only. Others below 500 are final."""


class OpenSources:
    """Fulfils `Sources`."""

    def __init__(
        self,
        *,
        root: str | Path | Sequence[str | Path] | None = None,
        objects: ObjectReader | None = None,
        http: HttpClient | None = None,
        fetch_s: float = 60.0,
    ) -> None:
        """Say what may be opened.

        Parameters:
            root: The folder of which payloads can name files, or several: a relative path is taken
                from the first, an absolute one from where it lies. None: of none.
            objects: Where objects are. None: there are none.
            http: What fetches URLs, with its own rule of where requests may go. None: nothing does.
            fetch_s: Longest fetch of a URL, redirects included, in seconds.
        """
        require(fetch_s > 0, "fetch_s", fetch_s, "seconds, above 0")
        roots = [root] if isinstance(root, str | Path) else list(root or ())
        self._roots = [Path(os.path.abspath(each)) for each in roots]
        self._objects = objects
        self._http = http
        self._fetch_s = fetch_s

    def beginning(self, source: Source, size_bytes: int) -> bytes | None:
        """Return the beginning of a file below a root; None if it is not there, or is elsewhere.

        For the door of an application, which may not have what the worker has. Blocks for as long
        as the disk does.

        Raises:
            UnusableInputError: The path leads out, or is no file.
        """
        if source.file_path is None:
            return None
        try:
            with self._open_path(source, source.file_path) as file:
                return file.read(size_bytes)
        except (MissingFileError, NotADirectoryError):
            return None

    @asynccontextmanager
    async def open(self, source: Source, *, max_bytes: int) -> AsyncIterator[OpenSource]:
        """Open a file: see `Sources.open`."""
        if source.file_path is not None:
            file = await asyncio.to_thread(self._open_path, source, source.file_path)
        elif source.object_key is not None:
            file = await self._open_object(source, source.object_key, max_bytes)
        elif source.file_url is not None:
            file = await self._fetch(source, source.file_url, max_bytes)
        else:
            raise UnusableInputError("source", "expected a path, a key or a URL; it has none")
        try:
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size_bytes > max_bytes:
                raise _too_large(source, max_bytes, size_bytes)
            yield OpenSource(size_bytes=size_bytes, file=file)
        finally:
            file.close()

    def _open_path(self, source: Source, path: str) -> BinaryIO:
        if not self._roots:
            raise _not_set_up(source, "a root of files (root)")
        try:
            with open_inside(self._root_of(path), path, field="filePath") as inside:
                return cast("BinaryIO", inside.reopened())
        except FileNotFoundError:
            raise MissingFileError(str(source), "there is no such file") from None

    def _root_of(self, path: str) -> Path:
        """Return the root in which a path lies by its text; the first, if it is in none."""
        for root in self._roots:
            if os.path.isabs(path) and any(
                Path(path).is_relative_to(base) for base in (root, root.resolve())
            ):
                return root
        return self._roots[0]

    async def _open_object(self, source: Source, key: str, max_bytes: int) -> BinaryIO:
        if self._objects is None:
            raise _not_set_up(source, "a storage of objects (objects)")
        try:
            content = await self._objects.get(key)
        except LookupError:
            raise UnusableInputError(str(source), "there is no such object") from None
        spool = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)
        size_bytes = 0
        try:
            async for part in content:
                size_bytes += len(part)
                if size_bytes > max_bytes:
                    raise _too_large(source, max_bytes)
                if size_bytes > IN_MEMORY_BYTES:
                    await asyncio.to_thread(spool.write, part)
                else:
                    spool.write(part)
        except BaseException:
            spool.close()
            raise
        finally:
            await content.close()
        return cast("BinaryIO", spool)

    async def _fetch(self, source: Source, url: str, max_bytes: int) -> BinaryIO:
        if self._http is None:
            raise _not_set_up(source, "an HTTP client (http)")
        limits = HttpLimits(total_s=self._fetch_s, max_bytes=max_bytes)
        try:
            reply = await self._http.request("GET", url, limits=limits)
        except HttpTooLargeError:
            raise _too_large(source, max_bytes) from None
        except EgressRefusedError as error:
            raise UnusableInputError(str(source), str(error)) from None
        except InvalidOptionError as error:
            raise UnusableInputError(str(source), f"not a URL of HTTP: {error}") from None
        except HttpError as error:
            raise SourceUnavailableError(f"{source}: {error}") from None
        if reply.ok:
            return io.BytesIO(reply.body)
        if reply.status >= 500 or reply.status in _LATER:
            raise SourceUnavailableError(f"{source}: its server answered {reply.status}")
        raise UnusableInputError(str(source), f"its server answered {reply.status}")


def _not_set_up(source: Source, what: str) -> UnusableInputError:
    return UnusableInputError(
        str(source), f"this worker opens no such source: give OpenSources {what}"
    )


def _too_large(
    source: Source, max_bytes: int, size_bytes: int | None = None
) -> SourceTooLargeError:
    has = f"over {max_bytes:,}" if size_bytes is None else f"{size_bytes:,}"
    return SourceTooLargeError(str(source), f"it has {has} bytes; at most {max_bytes:,} are taken")
