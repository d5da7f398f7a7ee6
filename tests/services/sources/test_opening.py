"""Files of payloads are opened by path, key or URL; each refusal says whether to try again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from tests.support.http_server import Answer, Request, serving

from toril import InvalidOptionError
from toril.services.disk.inside import open_inside
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.sources.opening import IN_MEMORY_BYTES, OpenSources
from toril.services.sources.port import (
    Source,
    Sources,
    SourceTooLargeError,
    SourceUnavailableError,
)
from toril.services.unusable import UnusableInputError

BIG = os.urandom(3 * IN_MEMORY_BYTES + 17)


class Stream:
    """An object on its way."""

    def __init__(self, content: bytes, *, torn: bool = False) -> None:
        self._content = content
        self._torn = torn
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._content), 300_000):
            yield self._content[at : at + 300_000]
        if self._torn:
            raise ConnectionResetError("torn")

    async def close(self) -> None:
        self.closed = True


class Objects:
    """Objects in memory, as a storage has them."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = objects
        self.torn = False
        self.streams: list[Stream] = []

    async def get(self, key: str) -> Stream:
        self.streams.append(Stream(self._objects[key], torn=self.torn))
        return self.streams[-1]


async def read(sources: Sources, source: Source, max_bytes: int = 10**9) -> bytes:
    """Return the content of a source."""
    async with sources.open(source, max_bytes=max_bytes) as opened:
        content = opened.file.read()
        assert opened.size_bytes == len(content)
        opened.file.seek(0)
        assert opened.file.read(5) == content[:5]
    assert opened.file.closed
    return content


async def test_files_below_the_root_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "in" / "a.bin").write_bytes(BIG)
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    sources = OpenSources(root=root)
    assert await read(sources, Source(file_path="in/a.bin")) == BIG
    assert await read(sources, Source(file_path=str(root / "in" / "a.bin"))) == BIG
    for path in ("../secret", str(tmp_path / "secret"), "link", "in", "", "a\0", "none"):
        with pytest.raises(UnusableInputError):
            await read(sources, Source(file_path=path))
    with pytest.raises(SourceTooLargeError, match=f"it has {len(BIG):,} bytes; at most"):
        await read(sources, Source(file_path="in/a.bin"), max_bytes=len(BIG) - 1)
    assert len(await read(sources, Source(file_path="in/a.bin"), max_bytes=len(BIG))) == len(BIG)
    with pytest.raises(NotADirectoryError):  # not mounted: it may come back
        await read(OpenSources(root=tmp_path / "none"), Source(file_path="a"))


async def test_no_file_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))
    for limit in (1, 0):
        for _ in range(5):
            try:
                await read(OpenSources(root=tmp_path), Source(file_path="a"), max_bytes=limit)
            except SourceTooLargeError:
                assert limit == 0
    assert len(os.listdir("/proc/self/fd")) <= before
    with open_inside(tmp_path, "a", field="f") as inside:
        inside.read(10)
        again = inside.reopened()
    assert again.read() == b"x"
    again.close()


async def test_objects_are_read_and_let_go() -> None:
    objects = Objects({"small": b"abc", "big": BIG})
    sources = OpenSources(objects=objects)
    assert await read(sources, Source(object_key="small")) == b"abc"
    assert await read(sources, Source(object_key="big")) == BIG
    with pytest.raises(UnusableInputError, match="objectKey 'none': there is no such object"):
        await read(sources, Source(object_key="none"))
    with pytest.raises(SourceTooLargeError, match=r"it has over 2,000,000 bytes"):
        await read(sources, Source(object_key="big"), max_bytes=2_000_000)
    objects.torn = True
    with pytest.raises(ConnectionResetError, match="torn"):
        await read(sources, Source(object_key="small"))
    assert all(stream.closed for stream in objects.streams)
    assert len(objects.streams) == 4


async def test_urls_are_fetched_where_requests_may_go() -> None:
    statuses = {"/gone": 404, "/denied": 403, "/broken": 500, "/busy": 429, "/slow": 408}

    def answer(request: Request) -> Answer:
        path = request.path.partition("?")[0]
        if path in statuses:
            return Answer(status=statuses[path])
        return Answer(status=200, body=b"content")

    async with serving(answer) as server:
        url = server.url("")
        closed = AioHttpClient()
        http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
        sources = OpenSources(http=http)
        try:
            assert await read(sources, Source(file_url=f"{url}/a?sig=secret")) == b"content"
            with pytest.raises(SourceTooLargeError, match="it has over 6 bytes"):
                await read(sources, Source(file_url=f"{url}/a"), max_bytes=6)
            for path in ("/gone", "/denied"):
                with pytest.raises(UnusableInputError, match=f"answered {statuses[path]}"):
                    await read(sources, Source(file_url=f"{url}{path}?sig=secret"))
            for path in ("/broken", "/busy", "/slow"):
                with pytest.raises(SourceUnavailableError, match=f"answered {statuses[path]}"):
                    await read(sources, Source(file_url=f"{url}{path}"))
            with pytest.raises(UnusableInputError, match="TORIL_EGRESS_ALLOW"):
                await read(OpenSources(http=closed), Source(file_url=f"{url}/a"))
            with pytest.raises(UnusableInputError, match="not a URL of HTTP"):
                await read(sources, Source(file_url="file:///etc/passwd"))
        finally:
            await asyncio.gather(http.close(), closed.close())
    gone = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    with pytest.raises(SourceUnavailableError, match="fileUrl"):
        await read(OpenSources(http=gone), Source(file_url=f"{url}/a"))
    await gone.close()


def test_messages_hold_no_signature_of_a_url() -> None:
    assert str(Source(file_url="https://x.test/a?sig=secret")) == "fileUrl 'https://x.test/a'"
    assert str(Source(object_key="k")) == "objectKey 'k'"


async def test_what_is_not_set_up_is_refused() -> None:
    for source in (Source(file_path="a"), Source(object_key="a"), Source(file_url="http://a")):
        with pytest.raises(UnusableInputError, match="give OpenSources"):
            await read(OpenSources(), source)
    with pytest.raises(UnusableInputError, match="expected a path, a key or a URL"):
        await read(OpenSources(), Source())
    with pytest.raises(InvalidOptionError, match="fetch_s=0"):
        OpenSources(fetch_s=0)
