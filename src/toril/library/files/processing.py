"""The work of `files.process` on one open file. Runs in a child process, which has limits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from toril.library.files import kinds
from toril.library.files.archives import read_archive
from toril.library.files.kinds import Kind
from toril.library.files.operations import (
    CompressOptions,
    ConvertOptions,
    ExtractOptions,
    Options,
    ResizeOptions,
)
from toril.library.files.payloads import FileProcessed
from toril.library.files.settings import MAX_INLINE_BYTES, FileProcessSettings
from toril.library.files.sniffing import HEAD_BYTES, is_text, recognise
from toril.services.disk.folders import open_folder
from toril.services.media.port import (
    MAX_SIDE_PX,
    Fit,
    ImageFormat,
    OutputFormat,
    Rendition,
    VariantSpec,
)
from toril.services.memory_limits import growth_refused
from toril.services.objects.sync import SyncObjects
from toril.services.texts.reading import docx_text, html_text, pdf_text, plain_text
from toril.services.unusable import UnusableInputError

Report = Callable[[int], None]
"""Told how far the work is, 0 to 100."""

PICTURES = frozenset(
    {kinds.JPEG, kinds.PNG, kinds.WEBP, kinds.GIF, kinds.AVIF, kinds.TIFF}
)  # fmt: skip
"""Kinds that an image engine may know; which it takes is its limits' matter."""
_SAME = {ImageFormat.JPEG: OutputFormat.JPEG, ImageFormat.PNG: OutputFormat.PNG}
"""Formats that are written as they were; others become WebP."""
_WRITTEN = 90
"""Percent that are done when all but the storing is."""
PDF_TYPE = "application/pdf"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What came of a file."""

    content: bytes
    suffix: str
    content_type: str
    width_px: int | None = None
    height_px: int | None = None


def process(
    file: BinaryIO,
    options: Options,
    *,
    subject: str,
    settings: FileProcessSettings,
    job_key: str,
    report: Report,
) -> FileProcessed:
    """Do one operation and store what came of it.

    Parameters:
        file: The content. It is only read.
        options: Of the operation.
        subject: What the file is called in an error.
        settings: Limits, and where outputs go.
        job_key: The same in every attempt: makes the output's name.
        report: Told the progress.

    Raises:
        UnusableInputError: This will never work.
        OSError, StorageUnavailableError: The output cannot be stored at present.
    """
    with growth_refused(subject, "it", settings.max_memory_bytes):
        kind = kind_of(file, settings)
        if isinstance(options, ExtractOptions):
            output = _text_of(file, kind, subject, settings, report)
        else:
            output = _picture_of(file, kind, options, subject, settings, report)
    if output.content_type == TEXT_TYPE and len(output.content) <= settings.inline_bytes:
        inline = FileProcessed(text=output.content.decode(), bytes=len(output.content))
        if len(msgspec.json.encode(inline)) <= MAX_INLINE_BYTES:
            report(100)
            return inline
    name = hashlib.sha256(job_key.encode()).hexdigest()[:20] + output.suffix
    stored = _stored(output, name, settings)
    report(100)
    return stored


def kind_of(file: BinaryIO, settings: FileProcessSettings) -> Kind | None:
    """Return what a file is by its content. None: nobody knows."""
    file.seek(0)
    kind = recognise(file.read(HEAD_BYTES))
    if kind == kinds.ZIP:
        archive = read_archive(file, max_members=settings.max_members)
        if archive is not None and archive.unpacked_bytes <= settings.max_unpacked_bytes:
            kind = archive.kind
    file.seek(0)
    return kind


def refuse_no_picture(kind: Kind | None, subject: str) -> None:
    """Refuse a file that no image engine knows, by its kind alone.

    Raises:
        UnusableInputError: It is none.
    """
    if kind not in PICTURES:
        told = "of a kind that nobody knows" if kind is None else kind.mime
        reason = f"it is {told}; expected an image: only extract_text takes other files"
        raise UnusableInputError(subject, reason)


def _text_of(
    file: BinaryIO, kind: Kind | None, subject: str, settings: FileProcessSettings, report: Report
) -> Output:
    def told(percent: int) -> None:
        report(percent * _WRITTEN // 100)

    if kind == kinds.PDF:
        pieces = pdf_text(file, subject, told)
    elif kind in (kinds.DOCX, kinds.DOCM):
        pieces = docx_text(file, subject, told)
    elif kind == kinds.HTML:
        pieces = html_text(file, subject, told)
    elif kind is not None and is_text(_head(file)):
        pieces = plain_text(file, subject, told)
    else:
        found = "of a kind that nobody knows, or holds too much" if kind is None else kind.mime
        reason = f"it is {found}; text is taken from PDF, Word (docx), HTML and plain text"
        raise UnusableInputError(subject, reason)
    return Output(
        content=b"".join(_limited(pieces, subject, settings)),
        suffix=".txt",
        content_type=TEXT_TYPE,
    )


def _limited(pieces: Iterator[str], subject: str, settings: FileProcessSettings) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        # A parser may give halves of surrogate pairs, which UTF-8 has no bytes for.
        part = piece.encode("utf-8", "replace")
        size += len(part)
        if size > settings.max_text_bytes:
            reason = f"its text is over {settings.max_text_bytes:,} bytes (max_text_bytes)"
            raise UnusableInputError(subject, reason)
        yield part


def _picture_of(
    file: BinaryIO,
    kind: Kind | None,
    options: ResizeOptions | CompressOptions | ConvertOptions,
    subject: str,
    settings: FileProcessSettings,
    report: Report,
) -> Output:
    from toril.services.media.pillow import PillowEngine  # here: texts need no Pillow

    refuse_no_picture(kind, subject)
    content = file.read()
    engine = PillowEngine(settings.images)
    facts = engine.probe(content, name=subject)
    report(10)
    as_pdf = isinstance(options, ConvertOptions) and options.format == "pdf"
    spec = _spec(options, facts.format, max(facts.width_px, facts.height_px))
    made = next(iter(engine.render(content, [spec], name=subject)))
    if as_pdf:
        from toril.services.media.picture_pdf import picture_pdf

        page = picture_pdf(made.content, quality=options.quality)
        output = _sized(page, ".pdf", PDF_TYPE, made)
    else:
        best = made.content
        # What is smaller already stays as it is, with all that it tells of itself.
        if isinstance(options, CompressOptions) and spec.format.value == facts.format.value:
            best = min(content, best, key=len)
        output = _sized(best, spec.format.suffix, spec.format.content_type, made)
    report(_WRITTEN)
    return output


def _spec(
    options: ResizeOptions | CompressOptions | ConvertOptions, found: ImageFormat, side_px: int
) -> VariantSpec:
    width_px = height_px = min(side_px, MAX_SIDE_PX)
    fit, kind = Fit.INSIDE, _SAME.get(found, OutputFormat.WEBP)
    if isinstance(options, ResizeOptions):
        fit = Fit(options.fit)
        width_px = MAX_SIDE_PX if options.width is None else options.width
        height_px = MAX_SIDE_PX if options.height is None else options.height
    elif isinstance(options, ConvertOptions):
        kind = OutputFormat.JPEG if options.format == "pdf" else OutputFormat(options.format)
    return VariantSpec(
        name="output",
        width_px=width_px,
        height_px=height_px,
        fit=fit,
        format=kind,
        quality=options.quality,
    )


def _sized(content: bytes, suffix: str, content_type: str, made: Rendition) -> Output:
    return Output(
        content=content,
        suffix=suffix,
        content_type=content_type,
        width_px=made.width_px,
        height_px=made.height_px,
    )


def _stored(output: Output, name: str, settings: FileProcessSettings) -> FileProcessed:
    stored = FileProcessed(
        bytes=len(output.content),
        type=output.content_type,
        width=output.width_px,
        height=output.height_px,
    )
    if isinstance(settings.outputs, SyncObjects):
        key = f"{settings.prefix}/{name}"
        settings.outputs.put(key, output.content, content_type=output.content_type)
        return msgspec.structs.replace(stored, output_key=key)
    with open_folder(settings.outputs) as folder:
        folder.write(name, output.content)
    return msgspec.structs.replace(stored, output_path=str(settings.outputs / name))


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head
