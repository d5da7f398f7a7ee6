"""Work on one upload: receive it, scan it, make pictures of it, publish it.

Each step may run twice: the keys of its objects follow from the upload's random key, so that it
writes the same objects again. Nothing is below the published prefix before its scan.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from toril.library.files.checking import Checking, Declared
from toril.library.files.payloads import FileFacts, FileProblem
from toril.library.files.upload_payloads import (
    OutputKind,
    UploadOptions,
    UploadOutput,
    UploadResult,
    UploadStep,
)
from toril.library.files.upload_settings import PICTURES, UploadSettings
from toril.services.media.child_words import Made, RenderImage
from toril.services.media.port import MAX_SIDE_PX, Fit, OutputFormat, VariantSpec
from toril.services.media.work import MediaWork, Output
from toril.services.objects.errors import ObjectMissingError
from toril.services.objects.port import ObjectStore, ObjectStream
from toril.services.scan.checking import NoVerdictError
from toril.services.scan.port import Finding, Scanner
from toril.services.sources.port import Source, Sources
from toril.services.unusable import UnusableInputError, named

_KEPT = {"image/jpeg": OutputFormat.JPEG, "image/png": OutputFormat.PNG}
"""Formats in which pictures stay; others become WebP."""


class Uploads:
    """What `files.upload` works with: provide one.

    Parameters:
        objects: Where files are kept. Nobody but this and who has a link should read them.
        sources: What fetches them. Its HTTP client says which addresses are refused.
        scanner: What scans each of them.
        settings: What is taken.
    """

    def __init__(
        self,
        objects: ObjectStore,
        *,
        sources: Sources,
        scanner: Scanner,
        settings: UploadSettings | None = None,
    ) -> None:
        self.settings = settings or UploadSettings()
        self._objects = objects
        self._sources = sources
        self._scanner = scanner
        self._media = MediaWork(objects)

    async def link(self, key: str, *, expires_s: float = 300.0) -> str:
        """Return a link to a file that was published, good for a while.

        Raises:
            UnusableInputError: The file is not published.
        """
        if not key.startswith(f"{self.settings.published}/"):
            reason = f"only files below {self.settings.published}/ may be served"
            raise UnusableInputError(named("key", key), reason)
        return await self._objects.link(key, expires_s=expires_s)

    async def look(self, url: str, declared: Declared, step: UploadStep | None) -> FileFacts:
        """Fetch a file and say what it is; with a step, keep it for the scan.

        Parameters:
            url: An address of HTTP, or the key of an object.
            declared: What was said of it.
            step: Whose key it is kept under. None: it is not kept.

        Raises:
            UnusableInputError: It may not be read, or is larger than any that is taken.
            SourceUnavailableError, OSError: It cannot be read at present.
        """
        source = Source(file_url=url) if "://" in url else Source(object_key=url)
        async with self._sources.open(source, max_bytes=self.settings.files.max_bytes) as opened:
            checking = Checking(opened.file, declared, self.settings.files)
            facts = await asyncio.to_thread(checking.facts)
            if step is not None:
                await asyncio.to_thread(opened.file.seek, 0)
                kind = facts.type or "application/octet-stream"
                await self._objects.put(self._incoming(step), opened.file, content_type=kind)
        return facts

    async def scan(self, file_id: str, step: UploadStep) -> UploadResult:
        """Scan a file that is kept. One in which something is found goes to the quarantine.

        Raises:
            NoVerdictError: The scanner says nothing; the file stays where it is.
        """
        quarantined = f"{self.settings.quarantine}/{step.key}"
        try:
            stream = await self._objects.get(self._incoming(step))
        except ObjectMissingError:
            # An attempt that was lost after it had moved the file.
            stream = await self._objects.get(quarantined)
        async with stream:
            size_bytes = stream.info.size_bytes
            verdict = await self._scanner.scan(_parts(stream), size_bytes=size_bytes)
        if verdict.finding is Finding.UNAVAILABLE:
            raise NoVerdictError(f"no verdict on file {file_id!r}: {verdict.reason}")
        if verdict.finding is Finding.INFECTED:
            await self._move(self._incoming(step), quarantined)
            return UploadResult(
                file_id=file_id, status="infected", outputs=[], signature=verdict.signature
            )
        if not verdict.is_clean:
            reason = f"it is too large for the virus scan: {verdict.reason}"
            problem = FileProblem(code="too_large", message=reason)
            return UploadResult(file_id=file_id, status="rejected", outputs=[], problems=[problem])
        return UploadResult(file_id=file_id, status="clean", outputs=[])

    async def pictures(
        self, file_id: str, step: UploadStep, options: UploadOptions
    ) -> UploadResult:
        """Make the pictures of a step. A damaged picture is rejected, not a failure."""
        specs = self._specs(step, options)
        limits = self.settings.images
        try:
            async with self._media.fetched(
                self._incoming(step), max_bytes=limits.max_bytes
            ) as source:
                order = RenderImage(
                    source=source.path,
                    folder=source.folder,
                    specs=specs,
                    limits=limits,
                    quality=self.settings.quality,
                    name=file_id,
                )
                made = await self._media.children.render(
                    order, timeout_s=self.settings.timeout_s, report=_nothing
                )
                outputs = await self._kept(step, made, options)
        except UnusableInputError as error:
            problem = FileProblem(code="damaged", message=str(error))
            return UploadResult(file_id=file_id, status="rejected", outputs=[], problems=[problem])
        return UploadResult(file_id=file_id, status="processed", outputs=outputs)

    async def publish(self, step: UploadStep) -> UploadOutput:
        """Let a file be served that was scanned; it is no longer where it waited."""
        key = f"{self.settings.published}/{step.key}/original.{step.extension}"
        await self._move(self._incoming(step), key)
        kind = step.type or "application/octet-stream"
        return UploadOutput(kind="original", key=key, bytes=step.bytes, content_type=kind)

    async def remove(self, step: UploadStep) -> None:
        """Remove a file that was rejected, and what was made of it."""
        page = await self._objects.list(f"{self.settings.published}/{step.key}")
        made = [one.key for one in page.entries]
        await self._objects.delete(self._incoming(step), *made)

    async def close(self) -> None:
        """End the child processes that make pictures. The storage stays open."""
        await self._media.close()

    def is_picture(self, step: UploadStep) -> bool:
        """Whether pictures can be made of a file."""
        return step.type in PICTURES

    def _incoming(self, step: UploadStep) -> str:
        return f"{self.settings.incoming}/{step.key}"

    def _specs(self, step: UploadStep, options: UploadOptions) -> list[VariantSpec]:
        settings = self.settings
        quality = options.quality or settings.quality
        same = _KEPT.get(step.type or "", OutputFormat.WEBP)
        if step.step == "thumbnail":
            sides = options.thumbnail_sizes or settings.thumbnail_sides_px
            return [
                _spec(f"thumbnail-{side}", side, same, quality) for side in dict.fromkeys(sides)
            ]
        if step.step == "image_optimize":
            return [_spec("optimized", settings.side_px, same, quality)]
        asked = options.convert_to or "webp"
        kind = OutputFormat.JPEG if asked == "pdf" else OutputFormat(asked)
        return [_spec("converted", MAX_SIDE_PX, kind, quality)]

    async def _kept(
        self, step: UploadStep, made: Sequence[Made], options: UploadOptions
    ) -> list[UploadOutput]:
        kinds: dict[str, OutputKind] = {"thumbnail": "thumbnail", "convert": "converted"}
        as_pdf = step.step == "convert" and options.convert_to == "pdf"
        outputs, files = [], []
        for one in made:
            path, suffix, kind = one.path, one.format.suffix, one.format.content_type
            size_bytes = one.size_bytes
            if as_pdf:
                path = await asyncio.to_thread(_as_pdf, path, options.quality or 82)
                suffix, kind, size_bytes = ".pdf", "application/pdf", path.stat().st_size
            key = f"{self.settings.published}/{step.key}/{one.name}{suffix}"
            files.append(Output(key=key, path=path, content_type=kind))
            outputs.append(
                UploadOutput(
                    kind=kinds.get(step.step, "optimized"),
                    key=key,
                    bytes=size_bytes,
                    content_type=kind,
                    width=one.width_px,
                    height=one.height_px,
                )
            )
        async with self._media.stored(files):
            return outputs

    async def _move(self, source: str, target: str) -> None:
        try:
            await self._objects.copy(source, target)
        except ObjectMissingError:
            await self._objects.head(target)  # an attempt that was lost has moved it
        await self._objects.delete(source)


def read_upload_options(given: object) -> UploadOptions:
    """Return the options of an upload.

    Raises:
        UnusableInputError: A value makes no sense, or they ask for no scan.
    """
    try:
        options = msgspec.convert(given or {}, UploadOptions)
    except msgspec.ValidationError as error:
        raise UnusableInputError("options", str(error)) from None
    if not options.scan_for_viruses:
        reason = "every upload is scanned: leave it out"
        raise UnusableInputError("options.scanForViruses False", reason)
    return options


def _spec(name: str, side_px: int, kind: OutputFormat, quality: int) -> VariantSpec:
    return VariantSpec(
        name=name, width_px=side_px, height_px=side_px, fit=Fit.INSIDE, format=kind, quality=quality
    )


def _as_pdf(jpeg: Path, quality: int) -> Path:
    """Make a page of a picture that we have made ourselves."""
    from toril.services.media.picture_pdf import picture_pdf

    path = jpeg.with_suffix(".pdf")
    path.write_bytes(picture_pdf(jpeg.read_bytes(), quality=quality))
    return path


async def _parts(stream: ObjectStream) -> AsyncIterator[bytes]:
    async for part in stream:
        yield part


def _nothing(_percent: int) -> None:
    return
