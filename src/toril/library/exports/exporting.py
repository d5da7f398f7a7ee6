"""One export, from rows to an object."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toril.library.exports.files import CONTENT_TYPES, Parts, counted, write_csv, write_json
from toril.library.exports.filters import read
from toril.library.exports.payloads import ExportResult, ExportType
from toril.library.exports.settings import ExportSettings
from toril.library.exports.sources import Row, Sources
from toril.library.exports.workbook import write_xlsx
from toril.services.objects.sync import SyncObjects
from toril.services.unusable import UnusableInputError, named


def export(
    export_type: ExportType,
    filters: Mapping[str, Any],
    columns: list[str] | None,
    *,
    settings: ExportSettings,
    sources: Sources,
    objects: SyncObjects,
    job_key: str,
    report: Callable[[int], None],
    check: Callable[[], None],
) -> ExportResult:
    """Write rows into a file and store it; see the task.

    Parameters:
        export_type: The format.
        filters: The source, and which rows.
        columns: Which. Default: all.
        settings: Where and how much.
        sources: Those of the app.
        objects: Where the file goes.
        job_key: The same in every attempt: makes the key of the file.
        report: Told the progress in percent, when it has grown.
        check: Called between parts; may raise.
    """
    name, source, wanted = read(sources, filters, columns)
    digest = hashlib.sha256(job_key.encode()).hexdigest()[:20]
    key = f"{settings.prefix}/{digest}.{export_type}"
    with _work_folder(settings.work_dir / digest) as folder:
        path = folder / f"export.{export_type}"
        with source.open(wanted) as rows:
            if rows.total > settings.max_rows:
                reason = (
                    f"{rows.total:,} rows fulfil the filters, over the {settings.max_rows:,} that"
                    " are allowed (max_rows): ask for fewer"
                )
                raise UnusableInputError(named("filters.source", name), reason)
            written = _Progress(rows.total, report, check)
            _write(
                export_type, path, wanted.columns, written.watch(rows.parts), rows.total, settings
            )
        info = objects.put(
            key,
            path,
            content_type=CONTENT_TYPES[export_type],
            filename=f"{name}.{export_type}",
            metadata={"rows": str(written.rows)},
        )
    url = objects.link(key, expires_s=settings.link_s)
    report(100)
    return ExportResult(
        key=key, url=url, rows=written.rows, bytes=info.size_bytes, export_type=export_type
    )


def _write(
    export_type: ExportType,
    path: Path,
    columns: Sequence[str],
    parts: Parts,
    total: int,
    settings: ExportSettings,
) -> None:
    if export_type == "csv":
        write_csv(path, columns, parts, raw=settings.raw_csv)
    elif export_type == "json":
        write_json(path, columns, parts)
    else:
        write_xlsx(path, columns, parts, total)


class _Progress:
    """How far an export is: writing goes to 95, storing makes the rest."""

    WRITTEN = 95

    def __init__(
        self, total: int, report: Callable[[int], None], check: Callable[[], None]
    ) -> None:
        self._total = total
        self._report = report
        self._check = check
        self._percent = 0
        self.rows = 0

    def watch(self, parts: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        return counted(parts, self._told)

    def _told(self, rows: int) -> None:
        self._check()
        self.rows = rows
        percent = min(self.WRITTEN, rows * self.WRITTEN // max(1, self._total))
        if percent > self._percent:
            self._percent = percent
            self._report(percent)


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder; it goes with all that is in it."""
    # What an attempt left that was killed.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
