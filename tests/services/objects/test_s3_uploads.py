"""What is said to a server about an upload in parts, and what its answers mean."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from tests.support.http_server import Answer, Request, serving
from tests.support.ports import give_back_port, reserve_port

from toril.core.errors import MissingExtraError
from toril.services.objects.errors import (
    ObjectError,
    StorageDeniedError,
    StorageFullError,
    StorageUnavailableError,
    WrongChecksumError,
)
from toril.services.objects.opening import open_objects
from toril.services.objects.remote import PART_BYTES, RemoteObjects

SECRET = "hunter2hunter2"


class PartsServer:
    """A server whose ETags are no MD5, as with encryption by KMS, and whose listings are short."""

    def __init__(self) -> None:
        self.parts: dict[int, tuple[str, int]] = {}
        self.sent: list[int] = []
        self.completed: str | None = None
        self.metadata: dict[str, str] = {}
        self.begun = 0
        self.fails_at: int | None = None
        """The part that it does not take."""

    def __call__(self, request: Request) -> Answer:
        asked = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
        if request.method == "POST" and "uploads" in asked:
            self.begun += 1
            self.metadata = {
                name: value for name, value in request.headers.items() if name.startswith("x-amz")
            }
            return xml("InitiateMultipartUploadResult", "<UploadId>u1</UploadId>")
        if request.method == "PUT":
            number = int(asked["partNumber"][0])
            if number == self.fails_at:
                return Answer(500, body=b"<Error><Code>InternalError</Code></Error>")
            self.sent.append(number)
            etag = f'"opaque-{number}-{len(self.sent)}"'
            self.parts[number] = (etag, len(request.body))
            return Answer(200, {"ETag": etag})
        if request.method == "GET":
            after = int(asked["part-number-marker"][0])
            page = [number for number in sorted(self.parts) if number > after][:2]
            listed = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{self.parts[number][0]}</ETag>"
                f"<Size>{self.parts[number][1]}</Size></Part>"
                for number in page
            )
            more = bool(page) and page[-1] < max(self.parts)
            listed += f"<IsTruncated>{str(more).lower()}</IsTruncated>"
            listed += f"<NextPartNumberMarker>{page[-1] if page else 0}</NextPartNumberMarker>"
            return xml("ListPartsResult", listed)
        if request.method == "POST":
            self.completed = request.body.decode()
            return xml("CompleteMultipartUploadResult", '<ETag>"whole"</ETag>')
        if request.method == "HEAD" and self.completed is not None:
            size = sum(size for _, size in self.parts.values())
            kept = {name: value for name, value in self.metadata.items() if "-meta-" in name}
            return Answer(200, {"etag": '"whole"', "content-length": str(size), **kept})
        return Answer(404)


def xml(name: str, content: str) -> Answer:
    return Answer(200, body=f"<?xml version='1.0'?><{name}>{content}</{name}>".encode())


def store_at(port: int, folder: Path, more: str = "") -> RemoteObjects:
    url = f"s3://user:{SECRET}@bucket?endpoint=http://127.0.0.1:{port}&region=x&retries=0{more}"
    made = open_objects(url, resume_dir=folder / "unfinished")
    assert isinstance(made, RemoteObjects)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"".join(bytes([number]) * PART_BYTES for number in range(4)) + b"end")
    return made


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """Two parts."""
    made = tmp_path / "short"
    made.write_bytes(b"x" * (PART_BYTES + 1))
    return made


async def test_part_is_known_by_the_etag_that_was_given_for_it(tmp_path: Path, path: Path) -> None:
    server = PartsServer()
    server.fails_at = 4
    async with serving(server) as running:
        with pytest.raises(StorageUnavailableError, match="InternalError"):
            await store_at(running.port, tmp_path).put("k", path)
        assert set(server.sent) >= {1, 2, 3}
        first = [number for number in (1, 2, 3, 5) if number in server.sent]
        server.fails_at, server.sent = None, []

        stored = await store_at(running.port, tmp_path).put("k", path)

    assert sorted(server.sent) == [number for number in range(1, 6) if number not in first]
    assert server.begun == 1
    assert stored.etag == '"whole"'
    assert server.completed is not None
    etags = [server.completed.index(server.parts[number][0]) for number in range(1, 6)]
    assert etags == sorted(etags)


async def test_part_whose_etag_nobody_has_noted_is_sent_again(tmp_path: Path, path: Path) -> None:
    server = PartsServer()
    server.fails_at = 4
    async with serving(server) as running:
        with pytest.raises(StorageUnavailableError):
            await store_at(running.port, tmp_path).put("k", path)
        server.fails_at, server.sent = None, []
        (note,) = (tmp_path / "unfinished").iterdir()
        lines = note.read_bytes().splitlines(keepends=True)
        note.write_bytes(b"".join(line for line in lines if b'"part":2' not in line) + b'{"part":1')

        await store_at(running.port, tmp_path).put("k", path)

    assert 2 in server.sent
    assert not {1, 3} & set(server.sent)


async def test_part_of_another_size_is_sent_again(tmp_path: Path, path: Path) -> None:
    server = PartsServer()
    server.fails_at = 4
    async with serving(server) as running:
        with pytest.raises(StorageUnavailableError):
            await store_at(running.port, tmp_path).put("k", path)
        server.fails_at, server.sent = None, []
        server.parts[1] = (server.parts[1][0], 5)

        await store_at(running.port, tmp_path).put("k", path)

    assert 1 in server.sent
    assert not {2, 3} & set(server.sent)


async def test_object_that_is_not_the_file_is_noticed(tmp_path: Path, path: Path) -> None:
    server = PartsServer()

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            server.metadata["x-amz-meta-torilsha256"] = "0" * 64
        return server(request)

    async with serving(answer) as running:
        with pytest.raises(
            WrongChecksumError, match="what was stored is not the file of 33,554,435"
        ):
            await store_at(running.port, tmp_path).put("k", path)
    assert list((tmp_path / "unfinished").iterdir()) == []


async def test_who_may_not_read_may_write(tmp_path: Path, short: Path) -> None:
    server = PartsServer()

    def answer(request: Request) -> Answer:
        return Answer(403) if request.method == "HEAD" else server(request)

    async with serving(answer) as running:
        stored = await store_at(running.port, tmp_path).put("k", short)

    assert stored.sha256 == hashlib.sha256(short.read_bytes()).hexdigest()


async def test_upload_that_is_lost_again_and_again_is_unavailable(
    tmp_path: Path, short: Path
) -> None:
    server = PartsServer()

    def answer(request: Request) -> Answer:
        if request.method == "GET":
            return refused(404, "NoSuchUpload")
        return server(request)

    async with serving(answer) as running:
        with pytest.raises(StorageUnavailableError, match=r"NoSuchUpload.* is gone again"):
            await store_at(running.port, tmp_path).put("k", short)
    assert server.begun == 2
    assert list((tmp_path / "unfinished").iterdir()) == []


async def test_upload_that_cannot_be_given_up_harms_nobody(
    tmp_path: Path, short: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = PartsServer()
    server.fails_at = 2

    def answer(request: Request) -> Answer:
        if request.method == "DELETE":
            return refused(403, "AccessDenied")
        return server(request)

    async with serving(answer) as running:
        with pytest.raises(StorageUnavailableError):
            await store_at(running.port, tmp_path).put("k", short)
        server.fails_at, server.parts = None, {}
        short.write_bytes(b"other" * PART_BYTES)

        await store_at(running.port, tmp_path).put("k", short)

    assert server.completed is not None
    assert len(list((tmp_path / "unfinished").iterdir())) == 1  # a later upload tries it again
    (line,) = [one.getMessage() for one in caplog.records if one.name == "toril.objects"]
    assert "stays on the server for now: object 'k' on s3://bucket" in line
    assert "AccessDenied" in line
    assert "AbortMultipartUpload" in line


def refused(status: int, code: str = "", body: bytes | None = None) -> Answer:
    text = f"<Error><Code>{code}</Code><Message>as the test says {SECRET}</Message></Error>"
    return Answer(status, body=text.encode() if body is None else body)


NO_XML = (Answer(200, body=b"no XML"), StorageUnavailableError)
REFUSALS = [
    (refused(403, "AccessDenied"), StorageDeniedError),
    (refused(401, "Unauthorized"), StorageDeniedError),
    (refused(404, "NoSuchBucket"), StorageDeniedError),
    (refused(400, "InvalidArgument"), StorageDeniedError),
    (refused(400, "RequestTimeout"), StorageUnavailableError),
    (refused(400, "BadDigest"), StorageUnavailableError),
    (refused(500, "InternalError"), StorageUnavailableError),
    (refused(503, "SlowDown"), StorageUnavailableError),
    (refused(429, "TooManyRequests"), StorageUnavailableError),
    (refused(507, "InsufficientStorage"), StorageFullError),
    (refused(400, "QuotaExceeded"), StorageFullError),
    (refused(403, "XMinioStorageFull"), StorageFullError),
    (refused(502, body=b"<html>Bad Gateway</html>"), StorageUnavailableError),
    NO_XML,
    (Answer(drops=True), StorageUnavailableError),
]


@pytest.mark.parametrize(
    ("when", "answer", "kind"),
    [
        (when, *refusal)
        for when in ("POST", "GET", "PUT")
        for refusal in REFUSALS
        if (when, refusal) != ("PUT", NO_XML)  # an answer to a part has no content
    ],
)
async def test_refusal_of_the_server_is_told_in_our_words(
    when: str, answer: Answer, kind: type[ObjectError], tmp_path: Path, short: Path
) -> None:
    server = PartsServer()

    def answered(request: Request) -> Answer:
        return answer if request.method == when else server(request)

    async with serving(answered) as running:
        with pytest.raises(kind, match=r"^object 'k' on s3://bucket at http://127") as told:
            await store_at(running.port, tmp_path).put("k", short)
    assert type(told.value) is kind
    assert SECRET not in str(told.value)
    assert "\n" not in str(told.value)


async def test_server_that_is_not_there_is_unavailable(tmp_path: Path, short: Path) -> None:
    port = reserve_port()
    try:
        with pytest.raises(StorageUnavailableError, match=f"object 'k' on .*:{port}: Could not"):
            await store_at(port, tmp_path).put("k", short)
    finally:
        give_back_port(port)


async def test_request_is_sent_as_often_as_the_place_says(tmp_path: Path, short: Path) -> None:
    async with serving(lambda request: refused(503, "SlowDown")) as running:
        with pytest.raises(StorageUnavailableError):
            await store_at(running.port, tmp_path, "&retries=2").put("k", short)
        assert len(running.requests) == 3

        running.requests.clear()
        running.answer = lambda request: refused(403, "AccessDenied")
        with pytest.raises(StorageDeniedError):
            await store_at(running.port, tmp_path, "&retries=2").put("k", short)
        assert len(running.requests) == 1


async def test_request_is_not_sent_again_when_its_time_is_up(tmp_path: Path, short: Path) -> None:
    def slow(request: Request) -> Answer:
        return Answer(503, delay_s=0.6)

    async with serving(slow) as running:
        with pytest.raises(StorageUnavailableError):
            await store_at(running.port, tmp_path, "&retries=50&timeout_s=1").put("k", short)
        assert len(running.requests) in (1, 2)


async def both_ways(
    tmp_path: Path, short: Path, url: Callable[[int], str]
) -> tuple[list[Request], list[Request]]:
    """Store a file with and without a folder for notes; return what the server was sent."""
    seen: list[list[Request]] = []
    for resume_dir in (tmp_path / "unfinished", None):
        async with serving(PartsServer()) as running:
            made = open_objects(url(running.port), resume_dir=resume_dir)
            assert isinstance(made, RemoteObjects)
            # An endpoint that only AWS's variables name has to be https otherwise.
            await RemoteObjects(replace(made.place, plain_http=True)).put("a/k 1", short)
            seen.append(running.requests)
    return seen[0], seen[1]


def scope_of(request: Request) -> str:
    """Return whose key, which region and service have signed a request."""
    _, _, credential = request.headers["authorization"].partition("Credential=")
    key, _, region, service, _ = credential.partition(",")[0].split("/")
    return f"{key} {region} {service}"


@pytest.mark.parametrize("style", ["yes", "no"])
async def test_requests_go_where_those_of_the_other_way_go(
    style: str, tmp_path: Path, short: Path
) -> None:
    resumed, plain = await both_ways(
        tmp_path,
        short,
        lambda port: (
            f"s3://user:{SECRET}@bucket/in?endpoint=http://127.0.0.1:{port}&region=eu-x"
            f"&path_style={style}"
        ),
    )

    expected = "/bucket/in/a/k 1" if style == "yes" else "/in/a/k 1"
    for request in (*resumed, *plain):
        assert unquote(urlsplit(request.path).path) == expected
        assert scope_of(request) == "user eu-x s3"
    begun, begun_plain = resumed[0].headers, plain[0].headers
    for name in ("content-type", "x-amz-meta-torilsha256"):
        assert begun[name] == begun_plain[name]


@pytest.mark.parametrize("endpoint", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION", None])
async def test_aws_variables_mean_what_they_mean_to_the_other_way(
    endpoint: str,
    region: str | None,
    tmp_path: Path,
    short: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {
        "AWS_ACCESS_KEY_ID": "ours",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": "for a while",
        "AWS_ALLOW_HTTP": "true",
        "AWS_SERVER_SIDE_ENCRYPTION": "aws:kms",
        "AWS_SSE_KMS_KEY_ID": "arn:aws:kms:1",
        "AWS_SSE_BUCKET_KEY_ENABLED": "true",
        "AWS_PROFILE": "which no file has",
    }
    if region is not None:
        values[region] = "eu-y"
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    def url(port: int) -> str:
        monkeypatch.setenv(endpoint, f"http://127.0.0.1:{port}")
        return "s3://bucket"

    resumed, plain = await both_ways(tmp_path, short, url)

    for request in (*resumed, *plain):
        assert scope_of(request) == f"ours {'us-east-1' if region is None else 'eu-y'} s3"
        assert request.headers["x-amz-security-token"] == "for a while"
        assert urlsplit(request.path).path == "/bucket/a/k%201"
    sse = "x-amz-server-side-encryption"
    for name in (sse, f"{sse}-aws-kms-key-id", f"{sse}-bucket-key-enabled"):
        assert resumed[0].headers[name] == plain[0].headers[name], name


async def test_missing_credentials_are_told(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    text = "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
    (tmp_path / ".aws" / "credentials").write_text(text)  # which obstore would not read
    async with serving(PartsServer()) as running:
        url = f"s3://bucket?endpoint=http://127.0.0.1:{running.port}"
        store = open_objects(url, resume_dir=tmp_path / "unfinished")

        with pytest.raises(StorageUnavailableError, match="Unable to locate credentials"):
            await store.put("k", short)
        assert running.requests == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://a:b@b%20d?endpoint=http://127.0.0.1:1", "Invalid bucket name"),
        ("s3://a:b@bucket?endpoint=http://?", "Invalid endpoint"),
    ],
)
async def test_place_that_no_request_can_reach_is_denied(
    url: str, said: str, tmp_path: Path, short: Path
) -> None:
    with pytest.raises(StorageDeniedError, match=said):
        await open_objects(url, resume_dir=tmp_path / "unfinished").put("k", short)


async def test_password_of_an_endpoint_is_not_shown(tmp_path: Path, short: Path) -> None:
    port = reserve_port()
    try:
        url = f"s3://a:b@bucket?endpoint=http://me:{SECRET}@127.0.0.1:{port}&region=x&retries=0"
        with pytest.raises(ObjectError) as told:
            await open_objects(url, resume_dir=tmp_path / "unfinished").put("k", short)
    finally:
        give_back_port(port)
    assert SECRET not in str(told.value)


async def test_extra_that_goes_missing_is_named(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_objects("s3://a:b@bucket", resume_dir=tmp_path / "unfinished")
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    with pytest.raises(MissingExtraError, match=r"resume_dir needs botocore: pip install.*s3"):
        await store.put("k", short)
