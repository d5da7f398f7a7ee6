from __future__ import annotations

from pathlib import Path

import pytest

from toril.core.errors import InvalidOptionError, InvalidSettingError, MissingExtraError
from toril.services.objects.folder import FolderObjects
from toril.services.objects.keys import key_of
from toril.services.objects.memory import MemoryObjects
from toril.services.objects.opening import objects_from_environment, open_objects, s3_objects
from toril.services.objects.remote import RemoteObjects
from toril.services.unusable import UnusableInputError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("file:///srv/up%20loads", "FolderObjects('/srv/up loads')"),
        ("memory://", "MemoryObjects()"),
        ("s3://bucket", "RemoteObjects('s3://bucket')"),
        ("s3://k:s@bucket/a/b/", "RemoteObjects('s3://bucket/a/b')"),
        (
            "s3://bucket?endpoint=http://localhost:9000",
            "RemoteObjects('s3://bucket at http://localhost:9000')",
        ),
        ("gs://bucket/in", "RemoteObjects('gs://bucket/in')"),
        ("az://container?account=me", "RemoteObjects('az://container')"),
    ],
)
def test_url_names_the_storage(url: str, shown: str) -> None:
    assert repr(open_objects(url)) == shown


def test_parts_of_a_url_reach_the_client() -> None:
    store = open_objects(
        "s3://k%2F1:s/%40+t@bucket/in?endpoint=http://h:1&region=eu&path_style=no"
        "&timeout_s=7&retries=5"
    )
    assert isinstance(store, RemoteObjects)

    assert store.place.config == {
        "virtual_hosted_style_request": True,
        "endpoint": "http://h:1",
        "region": "eu",
        "access_key_id": "k/1",
        "secret_access_key": "s/@+t",
    }
    assert (store.place.bucket, store.place.prefix) == ("bucket", "in")
    assert (store.place.timeout_s, store.place.retries, store.place.plain_http) == (7, 5, True)


async def test_stores_of_google_and_azure_can_be_made() -> None:
    """Their servers cannot be had here: the client takes what we give it, and signs a link."""
    azure = open_objects("az://container/in?account=devstoreaccount1&endpoint=http://127.0.0.1:1")
    google = open_objects("gs://bucket/in")
    for store in (azure, google):
        assert isinstance(store, RemoteObjects)
        assert store._opened() is not None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("uploads-hunter2", "url: expected file://./uploads"),
        ("files://b", "unknown scheme 'files': did you mean 'file'"),
        ("s3://key:hunter2/hunter2", "KEY:SECRET@ in front of the bucket"),
        ("file://", "file:// and a folder"),
        ("s3://", "a bucket"),
        ("s3://key@bucket", "KEY:SECRET@ in front of the bucket"),
        ("gs://hunter2:hunter2@bucket", "s3:// only"),
        ("s3://b?regoin=x", "unknown option 'regoin': did you mean 'region'"),
        ("s3://b?endpoint=h:1", "endpoint='h:1': expected an address"),
        ("s3://b?path_style=maybe", "path_style=yes"),
        ("s3://b?timeout_s=0", "url option timeout_s='0'"),
        ("s3://b?retries=x", "url option retries='x'"),
        ("s3://b/a/../b", "'.' or '..'"),
        ("az://c", r"\?account="),
        ("", "url: expected"),
    ],
)
def test_url_that_makes_no_sense_is_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message) as refused:
        open_objects(url)

    assert "hunter2" not in str(refused.value)


def test_environment_names_the_storage(tmp_path: Path) -> None:
    folder = objects_from_environment({}, folder=tmp_path / "here")
    assert isinstance(folder, FolderObjects)
    assert folder.root == tmp_path / "here"
    assert isinstance(objects_from_environment({"STORAGE_URL": "memory://"}), MemoryObjects)

    s3 = objects_from_environment(
        {
            "S3_BUCKET": "b",
            "S3_ENDPOINT": "https://h",
            "S3_REGION": "r",
            "S3_ACCESS_KEY": "a",
            "S3_SECRET_KEY": "s",
            "STORAGE_URL": "  ",
        }
    )
    assert isinstance(s3, RemoteObjects)
    assert s3.place.config["endpoint"] == "https://h"
    assert s3.place.config["secret_access_key"] == "s"
    both = objects_from_environment({"S3_BUCKET": "b", "STORAGE_URL": "memory://"})
    assert isinstance(both, MemoryObjects)


def test_environment_names_the_links() -> None:
    store = objects_from_environment(
        {
            "STORAGE_URL": "memory://",
            "STORAGE_LINK_SECRETS": "0123456789abcdef, fedcba9876543210",
            "STORAGE_LINK_URL": "https://example.com/files/",
        }
    )
    assert isinstance(store, MemoryObjects)

    link = store.links.make("k", expires_s=60)
    assert link.startswith("https://example.com/files/k?expires=")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"STORAGE_URL": "s3://u:hunter2@b?x=1"}, "STORAGE_URL: .*unknown option 'x'"),
        ({"S3_ENDPOINT": "http://h"}, "S3_BUCKET is not set, but S3_ENDPOINT is"),
        ({"S3_BUCKET": "b", "S3_ACCESS_KEY": "hunter2"}, "S3_ACCESS_KEY and S3_SECRET_KEY"),
        ({"STORAGE_LINK_URL": "/x"}, "STORAGE_LINK_SECRETS is not set"),
        ({"STORAGE_LINK_SECRETS": "hunter2"}, "at least 16 bytes"),
    ],
)
def test_environment_that_makes_no_sense_is_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message) as refused:
        objects_from_environment(environ)

    assert "hunter2" not in str(refused.value)


def test_folder_for_unfinished_uploads_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for store in (
        open_objects("s3://a:b@bucket", resume_dir="unfinished"),
        s3_objects("bucket", resume_dir=tmp_path / "unfinished"),
        objects_from_environment({"STORAGE_URL": "s3://b", "STORAGE_RESUME_DIR": "unfinished"}),
        objects_from_environment({"S3_BUCKET": "b", "STORAGE_RESUME_DIR": "unfinished"}),
    ):
        assert isinstance(store, RemoteObjects)
        assert store.place.resume_dir == tmp_path / "unfinished"
    assert not (tmp_path / "unfinished").exists()
    for plain in (open_objects("s3://b"), objects_from_environment({"S3_BUCKET": "b"})):
        assert isinstance(plain, RemoteObjects)
        assert plain.place.resume_dir is None


@pytest.mark.parametrize("url", ["file:///srv/uploads", "memory://", "gs://b", "az://c?account=me"])
def test_folder_for_unfinished_uploads_is_refused_where_it_does_nothing(url: str) -> None:
    scheme = url.partition("://")[0]
    expected = f"uploads to {scheme}:// cannot go on where they stopped; those to s3:// can"

    with pytest.raises(
        InvalidOptionError, match=f"^resume_dir='here': expected none, as {expected}"
    ):
        open_objects(url, resume_dir="here")
    environ = {"STORAGE_URL": url, "STORAGE_RESUME_DIR": "here"}
    with pytest.raises(
        InvalidSettingError, match=f"^STORAGE_RESUME_DIR='here': expected it unset, as {expected}"
    ):
        objects_from_environment(environ)


def test_folder_for_unfinished_uploads_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for wrong in (str(file), file, "", " ", "a\0b"):
        with pytest.raises(InvalidOptionError, match=r"^resume_dir='.*': expected a folder"):
            open_objects("s3://b", resume_dir=wrong)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "none")
    with pytest.raises(InvalidOptionError, match="something else has this name"):
        s3_objects("b", resume_dir=dangling)
    for more in ({"STORAGE_URL": "s3://b"}, {"S3_BUCKET": "b"}):
        with pytest.raises(InvalidSettingError, match=r"^STORAGE_RESUME_DIR: resume_dir='.*file'"):
            objects_from_environment({"STORAGE_RESUME_DIR": str(file), **more})
    with pytest.raises(InvalidSettingError, match=r"^STORAGE_RESUME_DIR='x': expected it unset"):
        objects_from_environment({"STORAGE_RESUME_DIR": "x"})
    with pytest.raises(InvalidSettingError, match=r"^STORAGE_URL: url: unknown scheme 's4'"):
        objects_from_environment({"STORAGE_RESUME_DIR": "x", "STORAGE_URL": "s4://b"})


def test_missing_extra_for_unfinished_uploads_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "botocore", None)
    message = r"resume_dir needs botocore: pip install.*s3"

    with pytest.raises(MissingExtraError, match=message):
        open_objects("s3://b", resume_dir=tmp_path / "x")
    with pytest.raises(MissingExtraError, match=message):
        objects_from_environment({"S3_BUCKET": "b", "STORAGE_RESUME_DIR": str(tmp_path / "x")})
    assert open_objects("s3://b") is not None


def test_who_does_not_ask_for_it_loads_no_botocore(tmp_path: Path) -> None:
    code = """
import asyncio, os, sys
from toril.services.objects.errors import StorageUnavailableError
from toril.services.objects.opening import open_objects

async def main():
    for resume_dir in (None, sys.argv[1]):
        url = "s3://a:b@b?endpoint=http://127.0.0.1:1&retries=0"
        store = open_objects(url, resume_dir=resume_dir)
        try:
            await store.put("k", b"x" * 10_000_000)
        except StorageUnavailableError:
            print("botocore" in sys.modules, flush=True)

asyncio.run(main())
os._exit(0)  # obstore's threads may abort a process that is ending while they do
"""
    import subprocess
    import sys

    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "False\nFalse\n"


async def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)

    with pytest.raises(MissingExtraError, match=r"s3:// needs obstore: pip install.*objects"):
        await open_objects("s3://a:b@bucket").head("k")


def test_slash_in_front_means_the_storage() -> None:
    assert key_of("/uploads/image.jpg") == "uploads/image.jpg"
    assert key_of("uploads/image.jpg") == "uploads/image.jpg"
    for path in ("/../etc/passwd", "/", "a/../../b"):
        with pytest.raises(UnusableInputError):
            key_of(path)
