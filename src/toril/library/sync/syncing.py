"""Copies, fetches and removes the files of a media. A run that is repeated goes on where it was.

A copy that is equal is not sent again. A source is removed only after its copy was read back and
has the same size and SHA-256. The record says where the files are, and is changed last. It may
change while files are copied: a record that changed is read again, and its files are copied.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from toril.core.errors import TorilError
from toril.library.images.files import remove_clean_files
from toril.library.images.naming import check_media_id, folder_name
from toril.library.images.settings import MediaSettings
from toril.library.sync.files import LocalFile, local_file, removed
from toril.library.sync.payloads import Operation, SyncResult, Target
from toril.services.disk.locks import held
from toril.services.disk.writing import ASIDE_PREFIX, ASIDE_SUFFIX, make_folder, sync_folder
from toril.services.media.records import MediaPlace, MediaRecord, MediaRecords, MediaStatus
from toril.services.media.sql_records import SqlMediaRecords
from toril.services.objects.errors import ObjectMissingError, WrongChecksumError
from toril.services.objects.keys import check_prefix
from toril.services.objects.port import ObjectEntry, ObjectInfo, ObjectStore
from toril.services.objects.sync import SyncObjects
from toril.services.unusable import UnusableInputError, named

Report = Callable[[int], None]
"""Told how far the work is, 0 to 100. What it raises ends the work, harmlessly."""

ROUNDS = 3
"""How often a run begins anew, as the record changed meanwhile."""
_WEBP = "image/webp"


class MediaChangedError(TorilError):
    """The media is changed again and again while its files are copied. Try again later."""


@dataclass
class _Counts:
    copied: int = 0
    unchanged: int = 0
    removed: int = 0
    bytes: int = 0
    keys: set[str] = field(default_factory=set)


class MediaSync:
    """Keeps media in step with a storage. Safe to share between threads.

    Parameters:
        settings: Where media and their records are.
        objects: The storage.
        records: Default: `settings.database_url`; closed with this object, then.
        key_prefix: What stands before a file's path in its key, such as `media`. Default: nothing,
            so that a variant's path is its key.
    """

    def __init__(
        self,
        settings: MediaSettings,
        objects: ObjectStore | SyncObjects,
        *,
        records: MediaRecords | None = None,
        key_prefix: str = "",
    ) -> None:
        self.settings = settings
        self.objects = objects if isinstance(objects, SyncObjects) else SyncObjects(objects)
        self._owns_objects = self.objects is not objects
        self._owns_records = records is None
        self.records = records or SqlMediaRecords(
            settings.database_url, file_mode=settings.access.file_mode
        )
        prefix = check_prefix(key_prefix)
        self._prefix = f"{prefix}/" if prefix else ""

    def sync(
        self,
        media_id: str,
        operation: Operation,
        *,
        delete_source: bool = False,
        target: Target | None = None,
        report: Report = lambda _percent: None,
    ) -> SyncResult:
        """Do one operation; see `MediaSyncJobData`.

        Raises:
            UnusableInputError: There is no such media, or its files are neither here nor there.
            MediaChangedError: The media is changed all the time; try again.
            ObjectError: The storage. `StorageDeniedError` will not get better by itself.
            OSError: The disk; try again.
        """
        check_media_id(media_id)
        if target is not None and operation != "delete":
            reason = "only 'delete' has one: leave it out"
            raise UnusableInputError(named("target", target), reason)
        for _ in range(ROUNDS):
            counts = _Counts()
            record = self.records.find(media_id)
            if record is None:
                if operation == "delete":
                    return SyncResult(media_id=media_id, operation=operation)
                reason = "there is no such media; its record was removed, or never made"
                raise UnusableInputError(named("mediaId", media_id), reason)
            if operation == "delete":
                done = self._delete(record, counts, local=delete_source, target=target)
            else:
                if record.status is MediaStatus.SOFT_DELETED:
                    reason = f"it was deleted at {record.deleted_at}; only 'delete' is left to do"
                    raise UnusableInputError(named("mediaId", media_id), reason)
                copy = self._upload if operation == "upload" else self._download
                done = copy(record, counts, delete_source, report)
            if done:
                report(100)
                return SyncResult(
                    media_id=media_id,
                    operation=operation,
                    copied=counts.copied,
                    unchanged=counts.unchanged,
                    removed=counts.removed,
                    bytes=counts.bytes,
                )
        raise MediaChangedError(
            f"media {media_id!r} changed {ROUNDS} times while its files were copied"
        )

    def erase(self, media_id: str) -> int | None:
        """Remove a soft-deleted media for good: local files, unmarked ones, objects, its record.

        Whatever cannot be removed leaves the record, so that the next run goes on there.

        Returns:
            How many bytes became free, here and in the storage. None: there is no such media, or it
            is not soft-deleted.

        Raises:
            ObjectError: The storage.
            OSError: The disk.
        """
        with held(self.settings.locks, media_id, self.settings.access):
            record = self.records.find(media_id)
            if record is None or record.status is not MediaStatus.SOFT_DELETED:
                return None
            paths = [self.settings.media_root / each.path for each in record.variants]
            freed = sum(path.stat().st_size for path in paths if path.is_file())
            removed(paths)
            freed += remove_clean_files(self.settings.clean, replace(record, variants=()))
            objects = list(self._objects(record))
            freed += sum(each.size_bytes for each in objects)
            self._drop([each.key for each in objects], _Counts())
            self.records.remove(record)
        return freed

    def close(self) -> None:
        """Let go of the database and of the storage, if they are its own. Twice is fine."""
        if self._owns_objects:
            self.objects.close()
        if self._owns_records:
            self.records.close()

    def key_of(self, path: str) -> str:
        """Return the key of a variant's file."""
        return f"{self._prefix}{path}"

    def _upload(
        self, record: MediaRecord, counts: _Counts, delete_source: bool, report: Report
    ) -> bool:
        hashes: dict[str, str] = {}
        paths: list[Path] = []
        for number, variant in enumerate(record.variants):
            key = self.key_of(variant.path)
            counts.keys.add(key)
            there = self._head(key)
            file = local_file(self.settings.media_root / variant.path)
            if file is not None and file.is_of(variant):
                paths.append(file.path)
                hashes[key] = file.sha256
                self._send(key, file, there, counts)
            elif there is not None and there.size_bytes == variant.size_bytes:
                counts.unchanged += 1  # an earlier attempt has removed its source
            elif self.records.find(record.media_id) != record:
                return False
            else:
                reason = "it is not there, or not what its record says, and not in the storage"
                raise UnusableInputError(named("file", variant.path), f"{reason}; upload it again")
            report(90 * (number + 1) // len(record.variants))
        if delete_source:
            for key, sha256 in hashes.items():
                self._verify(key, sha256)
        place = MediaPlace.BOTH
        if delete_source or not paths:
            place = MediaPlace.REMOTE
        if not self._moved(record, place, paths if delete_source else [], counts):
            return False
        left = [key for key in self._keys(record) if key not in counts.keys]
        self._drop(left, counts)
        return True

    def _download(
        self, record: MediaRecord, counts: _Counts, delete_source: bool, report: Report
    ) -> bool:
        hashes: dict[str, str] = {}
        for number, variant in enumerate(record.variants):
            path, key = self.settings.media_root / variant.path, self.key_of(variant.path)
            file = local_file(path)
            if file is not None and file.is_of(variant):
                counts.unchanged += 1
                hashes[key] = file.sha256
            else:
                try:
                    hashes[key] = self._fetch(key, path, record, number)
                except ObjectMissingError as error:
                    if self.records.find(record.media_id) != record:
                        return False
                    reason = "it is neither in the storage nor here; upload the media again"
                    raise UnusableInputError(named("object", key), reason) from error
                counts.copied += 1
                counts.bytes += variant.size_bytes
            report(90 * (number + 1) // len(record.variants))
        place = MediaPlace.LOCAL if delete_source else MediaPlace.BOTH
        if not delete_source and not any(self._head(key) for key in hashes):
            place = MediaPlace.LOCAL
        if not self._moved(record, place, [], counts):
            return False
        if delete_source:
            self._drop(list(self._keys(record)), counts)
        return True

    def _delete(
        self, record: MediaRecord, counts: _Counts, *, local: bool, target: Target | None
    ) -> bool:
        remote = target != "local"
        local = local or target is not None
        here = record.place in (MediaPlace.LOCAL, MediaPlace.BOTH) and not local
        there = record.place in (MediaPlace.REMOTE, MediaPlace.BOTH) and not remote
        place = MediaPlace.NONE
        if here or there:
            place = MediaPlace.BOTH if here and there else MediaPlace.LOCAL
            place = MediaPlace.REMOTE if there and not here else place
        if remote:
            self._drop(list(self._keys(record)), counts)
        paths = [self.settings.media_root / each.path for each in record.variants] if local else []
        if target != "record":
            return self._moved(record, place, paths, counts)
        with held(self.settings.locks, record.media_id, self.settings.access):
            if self.records.find(record.media_id) != record:
                return False
            counts.removed += removed(paths)
            remove_clean_files(self.settings.clean, replace(record, variants=()))
            return self.records.remove(record)

    def _moved(
        self, record: MediaRecord, place: MediaPlace, paths: list[Path], counts: _Counts
    ) -> bool:
        """Note where the files are, and remove the local ones; unless the record has changed."""
        # The lock of those who write these files. It is held for a moment only.
        with held(self.settings.locks, record.media_id, self.settings.access):
            if self.records.find(record.media_id) != record:
                return False
            counts.removed += removed(paths)
            return self.records.move(record, place) is not None

    def _send(self, key: str, file: LocalFile, there: ObjectInfo | None, counts: _Counts) -> None:
        if there is not None and self._is_equal(there, file):
            counts.unchanged += 1
            return
        self.objects.put(key, file.path, content_type=_WEBP, sha256=file.sha256)
        stored = self._head(key)
        if stored is None or not self._is_equal(stored, file):
            raise WrongChecksumError(
                f"object {key!r}: what was stored is not the file of {file.size_bytes:,} bytes"
            )
        counts.copied += 1
        counts.bytes += file.size_bytes

    def _is_equal(self, there: ObjectInfo, file: LocalFile) -> bool:
        if there.size_bytes != file.size_bytes:
            return False
        # Others may have stored it, without its SHA-256.
        return (there.sha256 or self._hash_of(there.key)) == file.sha256

    def _verify(self, key: str, sha256: str) -> None:
        found = self._hash_of(key)
        if found != sha256:
            raise WrongChecksumError(
                f"object {key!r}: read back it has SHA-256 {found}, not {sha256}; its source stays"
            )

    def _hash_of(self, key: str) -> str:
        digest = hashlib.sha256()
        for block in self.objects.blocks(key):
            digest.update(block)
        return digest.hexdigest()

    def _fetch(self, key: str, path: Path, record: MediaRecord, number: int) -> str:
        make_folder(path.parent)
        aside = path.parent / f"{ASIDE_PREFIX}{path.name}.{secrets.token_hex(4)}{ASIDE_SUFFIX}"
        try:
            self.objects.save(key, aside)
            file = local_file(aside)
            if file is None or not file.is_of(record.variants[number]):
                raise WrongChecksumError(
                    f"object {key!r}: it is not the file that the record of media"
                    f" {record.media_id!r} names; upload it again"
                )
            os.replace(aside, path)
            sync_folder(path.parent)
        finally:
            aside.unlink(missing_ok=True)
        return file.sha256

    def _head(self, key: str) -> ObjectInfo | None:
        try:
            return self.objects.head(key)
        except ObjectMissingError:
            return None

    def _keys(self, record: MediaRecord) -> Iterator[str]:
        yield from (each.key for each in self._objects(record))

    def _objects(self, record: MediaRecord) -> Iterator[ObjectEntry]:
        """Yield what lies in the media's folder of the storage."""
        folder = self.key_of(folder_name(record.entity_type, record.media_id))
        after: str | None = None
        while True:
            page = self.objects.list(folder, after=after)
            yield from page.entries
            if page.next_after is None:
                return
            after = page.next_after

    def _drop(self, keys: list[str], counts: _Counts) -> None:
        if keys:
            self.objects.delete(*keys)
        counts.removed += len(keys)
