"""Turns images of a storage into smaller ones, thumbnails and avatars.

A second run is harmless: names follow from the payload, so that it writes the same files again. The
record of a file is changed last. Pictures are decoded once, in a child process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from toril.core.errors import InvalidOptionError
from toril.library.images.stored_payloads import (
    Avatars,
    Compressed,
    Converted,
    ImageOptions,
    Size,
    Thumbnail,
    Thumbnails,
)
from toril.library.images.stored_settings import ImageSize, StoredImageSettings
from toril.services.media.child_words import Made, RenderImage
from toril.services.media.port import MAX_SIDE_PX, Fit, OutputFormat, VariantSpec
from toril.services.media.video_port import Report
from toril.services.media.work import (
    MediaWork,
    Output,
    Source,
    check_file_id,
    inside,
    savings_percent,
)
from toril.services.unusable import UnusableInputError, named

MAX_THUMBNAILS = 20
"""Most sizes of one job."""

_SUFFIXES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}


class StoredImages:
    """Work on images of a storage, for one job.

    Parameters:
        work: Storage, records, child processes.
        settings: Figures.
        report: Told how far it is, 0 to 100.
    """

    def __init__(self, work: MediaWork, settings: StoredImageSettings, report: Report) -> None:
        self._work = work
        self._settings = settings
        self._report = report

    async def compress(self, file_id: str, file_path: str | None) -> Compressed:
        """Make the smaller version and the thumbnail of a file, and change its record.

        Raises:
            UnusableInputError: This file will never work.
        """
        check_file_id(file_id, "fileId")
        settings = self._settings
        specs = [settings.compressed.spec("compressed"), settings.thumbnail.spec("thumbnail")]
        path = await self._work.path_of(file_id, file_path, "fileId")
        async with self._work.fetched(path, max_bytes=settings.limits.max_bytes) as source:
            outputs = self._outputs(file_id, await self._made(source, specs))
            urls = {f"{name}Url": self._work.url_of(each.key) for name, each in outputs.items()}
            await self._publish(file_id, urls, list(outputs.values()))
        return Compressed(compressed_url=urls["compressedUrl"], thumbnail_url=urls["thumbnailUrl"])

    async def thumbnails(
        self, file_id: str, file_path: str | None, sizes: Sequence[Size]
    ) -> Thumbnails:
        """Make thumbnails of a file in the sizes that are asked for.

        Raises:
            UnusableInputError: This file will never work, or a size makes no sense.
        """
        check_file_id(file_id, "fileId")
        if not 1 <= len(sizes) <= MAX_THUMBNAILS:
            raise UnusableInputError("sizes", f"{len(sizes)}: expected 1 to {MAX_THUMBNAILS} sizes")
        kind, quality = self._settings.thumbnail_format, self._settings.thumbnail_quality
        specs = {}
        for size in sizes:
            name = f"thumbnail-{size.width}x{size.height}"
            name += "-cover" if size.fit == "cover" else ""
            specs[name] = _checked(name, size.width, size.height, Fit(size.fit), kind, quality)
        path = await self._work.path_of(file_id, file_path, "fileId")
        async with self._work.fetched(path, max_bytes=self._settings.limits.max_bytes) as source:
            made = await self._made(source, list(specs.values()))
            outputs = self._outputs(file_id, made)
            urls = {name: self._work.url_of(each.key) for name, each in outputs.items()}
            await self._publish(file_id, urls, list(outputs.values()))
        thumbnails = [
            Thumbnail(
                url=urls[each.name],
                width=each.width_px,
                height=each.height_px,
                bytes=each.size_bytes,
            )
            for each in made
        ]
        return Thumbnails(thumbnails=thumbnails)

    async def avatars(self, file_id: str, file_path: str | None, user_id: str | None) -> Avatars:
        """Make the squares of an avatar, in each format, and change the file's record.

        Raises:
            UnusableInputError: This file will never work.
        """
        check_file_id(file_id, "fileId")
        settings = self._settings
        specs = [
            ImageSize(
                width_px=side, height_px=side, fit=Fit.COVER, format=kind,
                quality=settings.avatar_quality,
            ).spec(f"avatar-{side}-{kind}")
            for side in settings.avatar_sizes_px
            for kind in settings.avatar_formats
        ]  # fmt: skip
        path = await self._work.path_of(file_id, file_path, "fileId")
        async with self._work.fetched(path, max_bytes=settings.limits.max_bytes) as source:
            outputs = {}
            avatars: dict[str, dict[str, str]] = {}
            for each in await self._made(source, specs):
                name = f"{file_id}-avatar-{each.width_px}{each.format.suffix}"
                key = settings.key_of(name)
                outputs[each.name] = Output(
                    key=key, path=each.path, content_type=each.format.content_type
                )
                by_format = avatars.setdefault(str(each.width_px), {})
                by_format[each.format.value] = self._work.url_of(key)
            largest = avatars[str(max(settings.avatar_sizes_px))]
            urls = {"avatarUrl": largest[settings.avatar_formats[0].value]}
            await self._publish(file_id, urls, list(outputs.values()), user_id=user_id)
        return Avatars(avatars=avatars)

    async def convert(
        self, file_path: str, output_path: str, options: ImageOptions | None
    ) -> Converted:
        """Make one smaller version of a file, under a name that the payload says.

        The original stays: whoever calls removes it together with the job's outcome.

        Raises:
            UnusableInputError: This file will never work, or an option makes no sense.
        """
        given, usual = options or ImageOptions(), self._settings.converted
        ending = _SUFFIXES.get(PurePosixPath(output_path).suffix.lower())
        spec = _checked(
            "converted",
            usual.width_px if given.max_width is None else given.max_width,
            usual.height_px if given.max_height is None else given.max_height,
            usual.fit,
            OutputFormat(given.format or ending or usual.format),
            usual.quality if given.quality is None else given.quality,
        )
        return await self._converted(file_path, output_path, spec, user_id=None)

    async def single_avatar(self, file_path: str, user_id: str | None) -> Converted:
        """Make one avatar beside its original, `<name>_optimized`, and give it to the user.

        Raises:
            UnusableInputError: This file will never work, or there is no such user.
        """
        shape = self._settings.single_avatar
        at = PurePosixPath(file_path.lstrip("/"))
        output_path = str(at.with_name(f"{at.stem}_optimized{shape.format.suffix}"))
        return await self._converted(file_path, output_path, shape.spec("avatar"), user_id=user_id)

    async def _converted(
        self, file_path: str, output_path: str, spec: VariantSpec, *, user_id: str | None
    ) -> Converted:
        key = inside(output_path, "outputPath")
        if key == inside(file_path, "filePath"):
            reason = "it is the original's own path; give another"
            raise UnusableInputError(named("outputPath", output_path), reason)
        async with self._work.fetched(
            file_path, max_bytes=self._settings.limits.max_bytes
        ) as source:
            (made,) = await self._made(source, [spec])
            output = Output(key=key, path=made.path, content_type=spec.format.content_type)
            async with self._work.stored([output]):
                if user_id is not None:
                    await self._give(user_id, self._work.url_of(key))
        self._report(100)
        return Converted(
            original_size=source.size_bytes,
            compressed_size=made.size_bytes,
            savings=savings_percent(source.size_bytes, made.size_bytes),
            output_path=output_path,
        )

    async def _made(self, source: Source, specs: list[VariantSpec]) -> list[Made]:
        order = RenderImage(
            source=source.path,
            folder=source.folder,
            specs=specs,
            limits=self._settings.limits,
            quality=self._settings.compressed.quality,
            engine=self._settings.engine,
            name=source.key,
        )
        return await self._work.children.render(
            order,
            timeout_s=self._settings.timeout_s,
            report=lambda percent: self._report(10 + percent * 8 // 10),
        )

    def _outputs(self, file_id: str, made: Sequence[Made]) -> dict[str, Output]:
        return {
            each.name: Output(
                key=self._settings.key_of(f"{file_id}-{each.name}{each.format.suffix}"),
                path=each.path,
                content_type=each.format.content_type,
            )
            for each in made
        }

    async def _publish(
        self,
        file_id: str,
        urls: dict[str, str],
        outputs: Sequence[Output],
        *,
        user_id: str | None = None,
    ) -> None:
        async with self._work.stored(outputs):
            if user_id is not None:
                await self._give(user_id, urls["avatarUrl"])
            await self._work.save_processed(file_id, urls, outputs, "fileId")
        self._report(100)

    async def _give(self, user_id: str, url: str) -> None:
        save = self._work.save_avatar
        if save is not None and not await save(user_id, url):
            reason = "there is no such user: the account was removed, or never made"
            raise UnusableInputError(named("userId", user_id), reason)


def _checked(
    name: str, width_px: int, height_px: int, fit: Fit, kind: OutputFormat, quality: int
) -> VariantSpec:
    """Return a variant that a payload asks for."""
    for side, side_px in (("width", width_px), ("height", height_px)):
        if not 1 <= side_px <= MAX_SIDE_PX:
            reason = f"expected 1 to {MAX_SIDE_PX} pixels"
            raise UnusableInputError(f"{side} {side_px}", reason)
    try:
        size = ImageSize(
            width_px=width_px, height_px=height_px, fit=fit, format=kind, quality=quality
        )
    except InvalidOptionError as error:
        raise UnusableInputError("options", str(error)) from None
    return size.spec(name)
