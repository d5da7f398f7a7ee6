"""Sends a large file in parts, and goes on where an earlier try has stopped.

A note says which upload on the server belongs to which content (`upload_notes.py`). The server says
which parts it has. Each part is compared with the file's own bytes, and is sent if it differs.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from toril.services.objects.content import Digest
from toril.services.objects.describing import Description
from toril.services.objects.errors import ObjectError, StorageUnavailableError, WrongChecksumError
from toril.services.objects.remote_feed import GIVE_UP_S
from toril.services.objects.remote_place import RemotePlace
from toril.services.objects.s3_uploads import Part, S3Uploads, UploadGoneError, UploadStoppedError
from toril.services.objects.upload_notes import UploadNote, UploadNotes, told_of_notes
from toril.services.unusable import UnusableInputError, named

OLD_S = 7 * 24 * 3600.0
"""How long after its last part an unfinished upload is given up, in seconds."""
PARTS_AT_ONCE = 3
_THREADS = "toril-upload"

_log = logging.getLogger("toril.objects")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file to be sent."""

    key: str
    path: Path
    known: Digest
    """Of the file, which has at least one byte."""
    description: Description
    part_bytes: int

    @property
    def content(self) -> str:
        """What tells it from another upload of the same key."""
        known = (self.known.sha256, self.known.size_bytes, self.part_bytes)
        about = (*known, asdict(self.description))
        return msgspec.json.encode(about, order="deterministic").decode()


class Resuming:
    """Uploads of one storage that go on. Safe to share between tasks, threads and processes.

    Parameters:
        place: The storage, of kind `s3`.
        folder: Where the notes are.
    """

    def __init__(self, place: RemotePlace, folder: Path) -> None:
        self._uploads = S3Uploads(place)
        self._notes = UploadNotes(folder, place.shown)

    async def send(self, upload: Upload) -> str | None:
        """Send a file, and return the ETag of its object.

        What was sent stays for the next try if the caller is cancelled, the process ends, or the
        storage does not answer.

        Returns:
            None: nothing was done, as this key is being sent already, here or by another process.

        Raises:
            WrongChecksumError: The file changed meanwhile. Nothing is left on the server.
            UnusableInputError: The file cannot be read.
            ObjectError: The storage, or the folder with the notes.
        """
        stopped = threading.Event()
        # A thread of its own: the event loop's few are not for work that takes minutes.
        with_own = ThreadPoolExecutor(1, thread_name_prefix=_THREADS)
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(with_own, self._alone, upload, stopped)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # It ends with the blocks in flight. A server that is silent is not waited for: the
            # thread then ends by itself, and touches nothing but what is its own.
            stopped.set()
            try:
                await asyncio.wait([running], timeout=GIVE_UP_S)
            finally:
                if not running.cancel():
                    running.exception()  # it was looked at: nobody is warned of it
            raise
        finally:
            with_own.shutdown(wait=False)

    def close(self) -> None:
        """Let go of connections. Twice is fine."""
        self._uploads.close()

    def _alone(self, upload: Upload, stopped: threading.Event) -> str | None:
        try:
            with self._notes.held(upload.key) as free:
                return self._send(upload, stopped) if free else None
        except OSError as error:
            raise told_of_notes(error, self._notes.folder) from error

    def _send(self, upload: Upload, stopped: threading.Event) -> str:
        name = self._notes.name_of(upload.key, upload.content)
        self._tidy(name)
        try:
            return self._try(upload, name, stopped)
        except UploadGoneError:
            # Perhaps it was completed, and the answer was lost.
            made = self._uploads.head(upload.key)
            self._notes.remove(name)
            if made is not None and made.is_of(upload.description, upload.known):
                return made.etag
        try:
            return self._try(upload, name, stopped)
        except UploadGoneError as error:
            self._notes.remove(name)
            raise StorageUnavailableError(f"{error}: it was begun anew and is gone again") from None

    def _try(self, upload: Upload, name: str, stopped: threading.Event) -> str:
        with _opened(upload) as file:
            note = self._notes.find(name)
            if note is None:
                about = (upload.key, upload.description, upload.known.sha256)
                note = self._notes.begin(name, upload.key, self._uploads.begin(*about))
            try:
                etags = self._send_parts(upload, file, note, stopped)
            except WrongChecksumError:
                self._give_up([note])
                raise
        if stopped.is_set():
            raise UploadStoppedError
        etag = self._uploads.complete(upload.key, note.upload_id, etags, stopped)
        # Before the note goes: if the look fails, the next try finds what was made.
        made = self._uploads.head(upload.key)
        self._notes.remove(name)
        # Another ETag: somebody has replaced it since.
        if (
            made is not None
            and made.etag.strip('"') == etag.strip('"')
            and not made.has_content(upload.known)
        ):
            raise WrongChecksumError(
                f"object {upload.key!r}: what was stored is not the file of"
                f" {upload.known.size_bytes:,} bytes"
            )
        return etag

    def _send_parts(
        self, upload: Upload, file: BinaryIO, note: UploadNote, stopped: threading.Event
    ) -> dict[int, str]:
        """Send what the server lacks, and return the ETags of all parts."""
        there = self._uploads.parts(note.key, note.upload_id, stopped)
        etags: dict[int, str] = {}
        failed = threading.Event()
        room = threading.Semaphore(PARTS_AT_ONCE)  # bounds the blocks in memory

        def send(number: int, block: bytes, md5: bytes) -> None:
            try:
                etag = self._uploads.send(note.key, note.upload_id, number, block, md5, stopped)
                self._notes.add(note, number, md5.hex(), etag)
                etags[number] = etag
            except BaseException:
                failed.set()
                raise
            finally:
                room.release()

        digest = Digest()
        sending: list[Future[None]] = []
        with ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix=_THREADS) as threads:
            # The last turn has an empty block, unless the file has grown.
            for number in range(1, -(-upload.known.size_bytes // upload.part_bytes) + 2):
                room.acquire()
                if failed.is_set() or stopped.is_set():
                    break
                block = _read(upload, file)
                digest.add(block)
                md5 = hashlib.md5(block, usedforsecurity=False).digest()
                part = there.get(number)
                if part is not None and _is_good(part, note, number, block, md5.hex()):
                    etags[number] = part.etag
                elif block and digest.size_bytes <= upload.known.size_bytes:
                    sending.append(threads.submit(send, number, block, md5))
                    continue
                room.release()
        for each in sending:
            each.result()
        if not stopped.is_set():
            digest.check(upload.key, upload.known.sha256)
        return etags

    def _tidy(self, name: str) -> None:
        """Give up what nobody goes on with: other content of the same key, and what is old."""
        self._give_up(self._notes.others(name))
        before_s = time.time() - OLD_S
        for note in self._notes.old(before_s):
            with self._notes.held(note.key) as free:
                if free and self._notes.is_old(note.name, before_s) and not self._give_up([note]):
                    return

    def _give_up(self, notes: list[UploadNote]) -> bool:
        """Remove uploads from the server, and then their notes; say whether it was done."""
        try:
            for note in notes:
                self._uploads.give_up(note.key, note.upload_id)
                self._notes.remove(note.name)
        except ObjectError as error:
            # A later upload tries it again; this one may do without.
            _log.warning("an unfinished upload stays on the server for now: %s", error)
            return False
        return True


@contextmanager
def _opened(upload: Upload) -> Iterator[BinaryIO]:
    try:
        file = upload.path.open("rb")
    except OSError as error:
        raise _unreadable(upload, error) from error
    with file:
        yield file


def _read(upload: Upload, file: BinaryIO) -> bytes:
    try:
        return file.read(upload.part_bytes)
    except OSError as error:
        raise _unreadable(upload, error) from error


def _unreadable(upload: Upload, error: OSError) -> UnusableInputError:
    reason = f"its content cannot be read: {error.strerror or error}"
    return UnusableInputError(named("object", upload.key), reason)


def _is_good(part: Part, note: UploadNote, number: int, block: bytes, md5: str) -> bool:
    """Whether the server's part holds these bytes.

    An ETag is the MD5 of a part's content on most servers. Where it is another, as with encryption
    by KMS, it has to be the one that the server gave when these very bytes were sent.
    """
    etag = part.etag.strip('"')
    same = etag == md5 or note.taken.get(number) == (md5, part.etag)
    return same and part.size_bytes == len(block)
