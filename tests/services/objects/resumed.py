"""A bucket behind a proxy that counts and cuts, and a reader of its own beside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from tests.support.proxy import Proxy
from tests.support.s3_server import S3Server

from toril.services.objects.opening import open_objects
from toril.services.objects.remote import PART_BYTES, RemoteObjects
from toril.services.objects.resuming import PARTS_AT_ONCE

MIB = 1024 * 1024
INTERRUPTED_AFTER = 30 * MIB
"""Three parts are on their way at most, so one has arrived by then."""
OVERHEAD = MIB // 4
"""More than the headers and small requests of an upload take."""


class Bench:
    """A storage that resumes, all of whose traffic is counted."""

    def __init__(self, server: S3Server, bucket: str, folder: Path, proxy: Proxy) -> None:
        self.bucket = bucket
        self.proxy = proxy
        self.folder = folder
        self.resume_dir = folder / "unfinished"
        self.boto: Any = boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )
        self.url = (
            f"s3://key:secret@{bucket}?endpoint=http://127.0.0.1:{proxy.url_port}&region=us-east-1"
        )

    def store(self, more: str = "", retries: int = 0) -> RemoteObjects:
        url = f"{self.url}&retries={retries}{more}"
        made = open_objects(url, resume_dir=self.resume_dir)
        assert isinstance(made, RemoteObjects)
        return made

    def file(self, name: str = "film.mp4", size_bytes: int = 60 * MIB + 17) -> Path:
        """Make a file of seven parts and a half, other bytes each time."""
        path = self.folder / name
        path.write_bytes(os.urandom(size_bytes))
        return path

    def content(self, key: str = "k") -> bytes:
        """Read an object by boto3."""
        content: bytes = self.boto.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def uploads(self) -> list[tuple[str, str]]:
        """Return key and id of the uploads that the server has, unfinished."""
        found = self.boto.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [(one["Key"], one["UploadId"]) for one in found]

    def parts(self) -> dict[int, int]:
        """Return the parts of the only unfinished upload, with their sizes."""
        ((key, upload_id),) = self.uploads()
        found = self.boto.list_parts(Bucket=self.bucket, Key=key, UploadId=upload_id)
        return {one["PartNumber"]: one["Size"] for one in found.get("Parts", [])}

    def notes(self) -> list[str]:
        """Return what is in the folder for notes."""
        return sorted(path.name for path in self.resume_dir.iterdir())

    @contextlib.contextmanager
    def sending(self, expected_bytes: int) -> Iterator[None]:
        """Check that the block sends so many bytes, and little more."""
        before = self.proxy.requested_bytes
        yield
        sent = self.proxy.requested_bytes - before
        assert expected_bytes <= sent <= expected_bytes + OVERHEAD, f"{sent:,} bytes"

    def missing(self, path: Path) -> int:
        """Return how many bytes of a file the server lacks. It has one part at least."""
        parts = self.parts()
        assert set(parts.values()) == {PART_BYTES}
        return path.stat().st_size - sum(parts.values())

    @contextlib.contextmanager
    def going_on(self, path: Path, more_bytes: int = 0) -> Iterator[None]:
        """Check that the block sends what the server lacks, and little more.

        It may lack less by then: the server may still be busy with parts that had arrived whole
        when they were cut off.
        """
        missing = self.missing(path) + more_bytes
        before = self.proxy.requested_bytes
        yield
        sent = self.proxy.requested_bytes - before
        assert missing - PARTS_AT_ONCE * PART_BYTES <= sent <= missing + OVERHEAD, f"{sent:,} bytes"
