"""Takes payloads of older producers: adapters for `app.bind`.

```python
app.bind("daily-reports", daily, adapter=[daily, daily_of], rename="camel")
app.bind("daily-reports", daily, names="daily-reports-scheduler", adapter=defaults, rename="camel")
```
"""

from __future__ import annotations

from typing import Any

from toril.library.reports.payloads import ReportFormat


def defaults(scheduled: bool = True) -> dict[str, Any]:
    """Return the arguments of a report that a schedule of older producers asks for."""
    del scheduled
    return {}


def daily_of(
    date: str,
    report_type: str,
    recipients: list[str],
    format: ReportFormat,
    include_charts: bool = True,
    include_comparisons: bool = True,
) -> dict[str, Any]:
    """Return the arguments of `reports.daily`.

    Parameters:
        date: The day.
        report_type: Taken and not used: a report has all parts.
        recipients: Who gets it.
        format: The only one.
        include_charts: Taken and not used.
        include_comparisons: Likewise.
    """
    del report_type, include_charts, include_comparisons
    return {"date": date, "formats": [format], "recipients": recipients}


def weekly_of(
    week_start: str,
    week_end: str,
    report_type: str,
    recipients: list[str],
    format: ReportFormat,
    include_charts: bool = True,
    include_comparisons: bool = True,
) -> dict[str, Any]:
    """Return the arguments of `reports.weekly`; parameters are those of `daily_of`."""
    del week_end, report_type
    return {
        "week_start": week_start,
        "formats": [format],
        "recipients": recipients,
        "include_charts": include_charts,
        "include_comparison": include_comparisons,
    }
