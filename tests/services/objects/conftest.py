from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.s3_server import S3Server, running_s3

from toril.services.objects.folder import FolderObjects
from toril.services.objects.memory import MemoryObjects
from toril.services.objects.opening import open_objects
from toril.services.objects.port import ObjectStore


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    name = f"b{secrets.token_hex(6)}"
    s3_server.make_bucket(name)
    return name


@pytest.fixture
def s3_url(s3_server: S3Server, bucket: str) -> str:
    return f"s3://key:secret@{bucket}?endpoint={s3_server.url}&region=us-east-1&retries=1"


@pytest.fixture(params=["s3", "s3 below a prefix", "folder", "memory"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def store(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[ObjectStore]:
    made: ObjectStore
    if kind == "folder":
        made = FolderObjects(tmp_path / "objects")
    elif kind == "memory":
        made = MemoryObjects()
    else:
        url = str(request.getfixturevalue("s3_url"))
        made = open_objects(url.replace("?", "/in/here?") if "prefix" in kind else url)
    yield made
    await made.close()
