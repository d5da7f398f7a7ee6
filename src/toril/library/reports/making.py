"""Gathers a report, writes its files, and stores them. The same days replace what was there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toril.library.reports.content import Report, ReportSource
from toril.library.reports.formats import CONTENT_TYPES, csv_of, json_of, pdf_of
from toril.library.reports.payloads import ReportFile, ReportFormat
from toril.library.reports.periods import Period
from toril.library.reports.settings import ReportSettings
from toril.services.objects.port import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a payload asks for."""

    kind: str
    """`daily` or `weekly`: of the files' keys."""
    title: str
    period: Period
    formats: Sequence[ReportFormat]
    compared: bool
    charts: bool


class Reports:
    """What the reports work with: provide one.

    Parameters:
        source: Gathers what they say.
        objects: Where the files go.
        settings: Who gets them.
    """

    def __init__(
        self,
        source: ReportSource,
        objects: ObjectStore,
        *,
        settings: ReportSettings | None = None,
    ) -> None:
        self.settings = settings or ReportSettings()
        self._source = source
        self._objects = objects

    async def make(self, wanted: Wanted) -> tuple[Report, list[ReportFile]]:
        """Gather a report and store its files; return both."""
        period = wanted.period
        previous = None
        if wanted.compared:
            before = period.earlier(7)
            previous = await self._source.gather(before.start, before.end)
        report = Report(
            kind=wanted.kind,
            title=wanted.title,
            start=period.first.isoformat(),
            end=period.last.isoformat(),
            timezone=period.zone.key,
            content=await self._source.gather(period.start, period.end),
            previous=previous,
        )
        stored = []
        for kind in dict.fromkeys(wanted.formats):
            content = await self._written(report, kind, wanted.charts)
            key = f"{self.settings.prefix}/{wanted.kind}/{report.start}/report.{kind}"
            await self._objects.put(
                key,
                content,
                content_type=CONTENT_TYPES[kind],
                filename=f"{wanted.kind}-report-{report.start}.{kind}",
            )
            stored.append(ReportFile(format=kind, key=key, bytes=len(content)))
        return report, stored

    async def links(self, stored: Sequence[ReportFile]) -> dict[str, str]:
        """Return a link to each file, by its format in capitals."""
        expires_s = self.settings.link_s
        return {
            one.format.upper(): await self._objects.link(one.key, expires_s=expires_s)
            for one in stored
        }

    async def _written(self, report: Report, kind: ReportFormat, charts: bool) -> bytes:
        match kind:
            case "pdf":
                return await pdf_of(report, brand=self.settings.brand, charts=charts)
            case "csv":
                return csv_of(report)
            case "json":
                return json_of(report)
