"""A storage for plain code: tasks in threads and child processes, and scripts."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from toril.services.objects.port import MAX_PAGE, Content, ObjectInfo, ObjectPage, ObjectStore

T = TypeVar("T")


class SyncObjects:
    """The methods of an `ObjectStore` as plain calls.

    They run on an event loop in a thread of this object's own, which starts with the first call.
    Safe to share between threads; goes to a child process as its storage does, by pickle.

    Parameters:
        store: The storage.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def __repr__(self) -> str:
        return f"SyncObjects({self._store!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return SyncObjects, (self._store,)

    def put(
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
        return self._run(
            lambda: self._store.put(
                key,
                content,
                content_type=content_type,
                filename=filename,
                metadata=metadata,
                sha256=sha256,
                if_absent=if_absent,
                if_etag=if_etag,
                unless_equal=unless_equal,
            )
        )

    def read(self, key: str, max_bytes: int, *, start: int = 0, length: int | None = None) -> bytes:
        """Return an object's content: see `ObjectStore.get` and `ObjectStream.read`."""

        async def work() -> bytes:
            async with await self._store.get(key, start=start, length=length) as stream:
                return await stream.read(max_bytes)

        return self._run(work)

    def save(self, key: str, path: Path) -> ObjectInfo:
        """Write an object's content to a file: see `ObjectStream.save`."""

        async def work() -> ObjectInfo:
            async with await self._store.get(key) as stream:
                await stream.save(path)
                return stream.info

        return self._run(work)

    def blocks(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield an object's content, block by block: see `ObjectStore.get`."""
        stream = self._run(lambda: self._store.get(key, start=start, length=length))
        source = stream.__aiter__()

        async def following() -> bytes | None:
            return await anext(source, None)

        try:
            while (block := self._run(following)) is not None:
                yield block
        finally:
            self._run(stream.close)

    def head(self, key: str) -> ObjectInfo:
        """Return what is known about an object: see `ObjectStore.head`."""
        return self._run(lambda: self._store.head(key))

    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = MAX_PAGE
    ) -> ObjectPage:
        """Return objects below a prefix: see `ObjectStore.list`."""
        return self._run(lambda: self._store.list(prefix, after=after, limit=limit))

    def delete(self, *keys: str) -> None:
        """Remove objects: see `ObjectStore.delete`."""
        self._run(lambda: self._store.delete(*keys))

    def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy an object: see `ObjectStore.copy`."""
        return self._run(lambda: self._store.copy(source, target))

    def link(self, key: str, *, expires_s: float = 300.0) -> str:
        """Return a URL for a while: see `ObjectStore.link`."""
        return self._run(lambda: self._store.link(key, expires_s=expires_s))

    def check(self) -> None:
        """Look whether the storage can be used: see `ObjectStore.check`."""
        self._run(self._store.check)

    def close(self) -> None:
        """Let go of the storage's connections, and end the thread. Twice is fine."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(self._store.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def __enter__(self) -> SyncObjects:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        running = asyncio.run_coroutine_threadsafe(call(), self._started())
        try:
            return running.result()
        except BaseException:  # the caller was interrupted: its task's time is up
            running.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():  # a forked copy has no such thread
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="toril-objects", daemon=True
                )
                self._thread.start()
            return self._loop
