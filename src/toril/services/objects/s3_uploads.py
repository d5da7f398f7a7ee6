"""Uploads in parts that outlive a process, on S3 and compatible servers: by botocore.

obstore gives no upload's id and no list of its parts. Plain code: use a thread.
"""

from __future__ import annotations

import io
import os
import random
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toril.core.redact import without_passwords
from toril.services.objects.content import Digest
from toril.services.objects.describing import SHA256, Description, disposition
from toril.services.objects.errors import (
    ObjectError,
    ObjectMissingError,
    StorageDeniedError,
    StorageUnavailableError,
)
from toril.services.objects.remote_errors import by_status, without_secrets
from toril.services.objects.remote_place import RemotePlace
from toril.services.objects.s3_client import encryption, one_line, s3_client

_LONGEST_PAUSE_S = 10.0
_AGAIN = frozenset({"BadDigest", "InvalidPart", "RequestTimeout"})
"""Refusals of one request, or of what the server has, that another try can set right."""


class UploadGoneError(ObjectError):
    """The server knows no such upload: it was completed, given up, or removed by a rule."""


class UploadStoppedError(Exception):
    """The caller of the upload was cancelled."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the server has."""

    etag: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Made:
    """An object as the server has it."""

    etag: str
    size_bytes: int
    content_type: str
    disposition: str | None
    metadata: Mapping[str, str]

    def has_content(self, known: Digest) -> bool:
        """Whether it has a content's size and SHA-256."""
        return (self.size_bytes, self.metadata.get(SHA256)) == (known.size_bytes, known.sha256)

    def is_of(self, description: Description, known: Digest) -> bool:
        """Whether it is what an upload of this content with this description makes."""
        return (
            self.has_content(known)
            and self.content_type == description.content_type
            and self.disposition == _disposition(description)
            and dict(self.metadata) == {**description.metadata, SHA256: known.sha256}
        )


class S3Uploads:
    """Uploads on one storage. Safe to share between threads.

    All methods raise what `ObjectStore` does, and `UploadGoneError` where the upload is not there.
    Those that take `stopped` raise `UploadStoppedError` once it is set, in place of another try.

    Parameters:
        place: The storage, of kind `s3`.
    """

    def __init__(self, place: RemotePlace) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._made: Any = None
        self._pid = 0

    def begin(self, key: str, description: Description, sha256: str) -> str:
        """Begin an upload, and return its id.

        Parameters:
            key: Where the object is to be.
            description: What is kept with it.
            sha256: As well.
        """
        more = encryption(os.environ)
        if (shown := _disposition(description)) is not None:
            more["ContentDisposition"] = shown
        begun = self._ask(
            key,
            "create_multipart_upload",
            ContentType=description.content_type,
            Metadata={**description.metadata, SHA256: sha256},
            **more,
        )
        return str(begun["UploadId"])

    def parts(self, key: str, upload_id: str, stopped: threading.Event) -> dict[int, Part]:
        """Return the parts that the server has, by their numbers from 1."""
        found: dict[int, Part] = {}
        after = 0
        while True:
            page = self._ask(key, "list_parts", stopped, UploadId=upload_id, PartNumberMarker=after)
            for part in page.get("Parts", ()):
                found[part["PartNumber"]] = Part(part["ETag"], part["Size"])
            if not page.get("IsTruncated"):
                return found
            after = page["NextPartNumberMarker"]

    def send(
        self,
        key: str,
        upload_id: str,
        number: int,
        block: bytes,
        md5: bytes,
        stopped: threading.Event,
    ) -> str:
        """Send a part, which takes the place of one with this number, and return its ETag.

        Parameters:
            key: Of the object.
            upload_id: Of the upload.
            number: Of the part, from 1.
            block: Its content.
            md5: Of its content; the server compares it.
            stopped: Ends the sending in the middle, too.
        """
        sent = self._ask(
            key,
            "upload_part",
            stopped,
            body=block,
            UploadId=upload_id,
            PartNumber=number,
            ContentLength=len(block),
            ContentMD5=b64encode(md5).decode(),
        )
        return str(sent["ETag"])

    def complete(
        self, key: str, upload_id: str, etags: Mapping[int, str], stopped: threading.Event
    ) -> str:
        """Make the object of the parts, and return its ETag."""
        parts = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
        done = self._ask(
            key,
            "complete_multipart_upload",
            stopped,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
        )
        return str(done["ETag"])

    def give_up(self, key: str, upload_id: str) -> None:
        """Remove an upload and its parts from the server, if it is there."""
        try:
            self._ask(key, "abort_multipart_upload", UploadId=upload_id)
        except UploadGoneError:
            return

    def head(self, key: str) -> Made | None:
        """Return what the server knows about an object; None if there is none to be read."""
        try:
            found = self._ask(key, "head_object")
        except (ObjectMissingError, StorageDeniedError):  # whoever writes need not be a reader
            return None
        return Made(
            etag=str(found["ETag"]),
            size_bytes=int(found["ContentLength"]),
            content_type=str(found.get("ContentType", "")),
            disposition=found.get("ContentDisposition"),
            metadata=found.get("Metadata", {}),
        )

    def close(self) -> None:
        """Let go of connections. Twice is fine."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _ask(
        self,
        key: str,
        operation: str,
        stopped: threading.Event | None = None,
        *,
        body: bytes | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Make a request; send it again while it has no answer, as the place says.

        Not by botocore's own retries: these wait when the caller has been cancelled, and have no
        end in time.
        """
        where = f"{self.place.prefix}/{key}" if self.place.prefix else key
        call = getattr(self._client(), operation)
        began_s, tried = time.monotonic(), 0
        while True:
            if stopped is not None and stopped.is_set():
                raise UploadStoppedError
            if body is not None:
                arguments["Body"] = _Body(body, stopped, self.place.timeout_s)
            try:
                answer: dict[str, Any] = call(Bucket=self.place.bucket, Key=where, **arguments)
                return answer
            except Exception as error:
                if stopped is not None and stopped.is_set():
                    raise UploadStoppedError from None
                told = self._told(error, key)
                passed_s = time.monotonic() - began_s
                last = tried >= self.place.retries or passed_s >= self.place.timeout_s
                if last or not isinstance(told, StorageUnavailableError):
                    raise told from None
            # Longer each time, and not at the same moment as others that failed with us.
            pause_s = min(_LONGEST_PAUSE_S, 0.1 * 2**tried) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            tried += 1
            if stopped is None:
                time.sleep(pause_s)
            else:
                stopped.wait(pause_s)

    def _client(self) -> Any:
        with self._lock:
            if self._made is None or self._pid != os.getpid():
                self._made = s3_client(self.place)
                self._pid = os.getpid()
            return self._made

    def _told(self, error: Exception, key: str) -> ObjectError:
        """Return an error of botocore's as ours; raise any other as it is."""
        where = f"object {key!r} on {self.place.shown}"
        answer = getattr(error, "response", None)
        if isinstance(answer, dict) and hasattr(error, "operation_name"):  # a `ClientError`
            about = answer.get("Error", {})
            code = str(about.get("Code", "no answer"))
            status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            said = f"{code}: {about.get('Message', '')} ({error.operation_name})"
            sentence = f"{where}: {without_secrets(said, self.place.secrets)}"
            if code == "NoSuchUpload":
                return UploadGoneError(sentence)
            if (
                error.operation_name == "HeadObject" and status == 404
            ):  # its answer has no more than that
                return ObjectMissingError(sentence)
            if code in _AGAIN:
                return StorageUnavailableError(sentence)
            return by_status(status, said, sentence)
        if not (type(error).__module__.startswith("botocore") or isinstance(error, OSError)):
            raise error
        said = without_passwords(one_line(error))  # an endpoint may hold one
        sentence = f"{where}: {without_secrets(said, self.place.secrets)}"
        if type(error).__name__ in ("ParamValidationError", "UnknownEndpointError"):
            return StorageDeniedError(sentence)
        return StorageUnavailableError(sentence)


class _Body(io.BytesIO):
    """A part on its way. Reading it ends when the caller was cancelled, or the time is up."""

    def __init__(self, block: bytes, stopped: threading.Event | None, timeout_s: float) -> None:
        super().__init__(block)
        self._stopped = stopped
        self._until_s = time.monotonic() + timeout_s

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stopped is not None and self._stopped.is_set():
            raise UploadStoppedError
        if time.monotonic() > self._until_s:
            raise TimeoutError("the part was not sent in time (timeout_s)")
        return super().read(size)


def _disposition(description: Description) -> str | None:
    return None if description.filename is None else disposition(description.filename)
