"""Business reports: `app.include(reports)` of `tasks.py`, with `Reports` provided.

`content.py` says what a report holds, `periods.py` of which days it is, `formats.py` and
`report.typ` write it, `making.py` stores it.
"""

from toril.library.reports.content import (
    ReportContent,
    ReportFigure,
    ReportSeries,
    ReportSource,
    ReportTable,
)
from toril.library.reports.making import Reports
from toril.library.reports.payloads import ReportResult
from toril.library.reports.settings import ReportSettings

__all__ = [
    "ReportContent",
    "ReportFigure",
    "ReportResult",
    "ReportSeries",
    "ReportSettings",
    "ReportSource",
    "ReportTable",
    "Reports",
]
