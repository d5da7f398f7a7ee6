"""Turns a video of a storage into a smaller one and a poster.

A second run is harmless: names follow from the payload, so that it writes the same files again. The
record of the file is changed last. The encoder runs in a child process, which ends with the job.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from toril.library.video.payloads import ConvertedVideo, ProcessedVideo
from toril.library.video.settings import VideoSettings
from toril.services.media.child_words import ProcessVideo
from toril.services.media.video_port import MadeVideo, Report, VideoFormat, VideoPlan
from toril.services.media.work import (
    MediaWork,
    Output,
    Source,
    check_file_id,
    inside,
    savings_percent,
)
from toril.services.unusable import UnusableInputError, named

_SUFFIXES = {each.suffix: each for each in VideoFormat}


class StoredVideos:
    """Work on videos of a storage, for one job.

    Parameters:
        work: Storage, records, child processes.
        settings: Figures.
        report: Told how far the encoder is, 0 to 100.
    """

    def __init__(self, work: MediaWork, settings: VideoSettings, report: Report) -> None:
        self._work = work
        self._settings = settings
        self._report = report

    async def process(self, file_id: str, file_path: str | None, *, field: str) -> ProcessedVideo:
        """Make the smaller video and the poster of a file, and change its record.

        Parameters:
            file_id: The file.
            file_path: Where it lies in the storage. Default: as its record says.
            field: What the payload calls the id, for errors.

        Raises:
            UnusableInputError: This video will never work.
        """
        check_file_id(file_id, field)
        settings = self._settings
        path = await self._work.path_of(file_id, file_path, field)
        async with self._work.fetched(path, max_bytes=settings.limits.max_bytes) as source:
            video, poster = source.folder / "video", source.folder / "poster.jpg"
            kind = settings.plan.format
            made = await self._made(source, settings.plan, with_poster=True)
            outputs = [
                Output(
                    key=settings.key_of(f"{file_id}-compressed{kind.suffix}"),
                    path=video,
                    content_type=kind.content_type,
                ),
                Output(
                    key=settings.key_of(f"{file_id}-poster.jpg"),
                    path=poster,
                    content_type="image/jpeg",
                ),
            ]
            names = ("compressedUrl", "posterUrl")
            urls = {
                name: self._work.url_of(each.key) for name, each in zip(names, outputs, strict=True)
            }
            async with self._work.stored(outputs):
                await self._work.save_processed(file_id, urls, outputs, field)
        return ProcessedVideo(
            compressed_url=urls["compressedUrl"],
            poster_url=urls["posterUrl"],
            duration_seconds=made.duration_s,
            bytes=made.size_bytes,
        )

    async def convert(self, file_path: str, output_path: str) -> ConvertedVideo:
        """Make a smaller video under a name that the payload says.

        The original stays: whoever calls removes it together with the job's outcome.

        Raises:
            UnusableInputError: This video will never work.
        """
        key = inside(output_path, "outputPath")
        if key == inside(file_path, "filePath"):
            reason = "it is the original's own path; give another"
            raise UnusableInputError(named("outputPath", output_path), reason)
        usual = self._settings.plan
        ending = PurePosixPath(output_path).suffix.lower()
        plan = replace(usual, format=_SUFFIXES.get(ending, usual.format))
        limit = self._settings.limits.max_bytes
        async with self._work.fetched(file_path, max_bytes=limit) as source:
            made = await self._made(source, plan, with_poster=False)
            output = Output(
                key=key, path=source.folder / "video", content_type=plan.format.content_type
            )
            async with self._work.stored([output]):
                pass
        return ConvertedVideo(
            original_size=source.size_bytes,
            compressed_size=made.size_bytes,
            savings=savings_percent(source.size_bytes, made.size_bytes),
            output_path=output_path,
        )

    async def _made(self, source: Source, plan: VideoPlan, *, with_poster: bool) -> MadeVideo:
        order = ProcessVideo(
            source=source.path,
            target=source.folder / "video",
            poster=source.folder / "poster.jpg" if with_poster else None,
            plan=plan,
            limits=self._settings.limits,
            name=source.key,
        )
        return await self._work.children.process(
            order, timeout_s=self._settings.timeout_s, report=self._report
        )
