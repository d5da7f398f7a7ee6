"""Tables become files: CSV, JSON and Excel, however many rows there are.

`sources.py` says where rows come from; `exporting.py` is the work; `files.py` and `workbook.py`
write. Importing this package loads no writer.
"""

from toril.library.exports.payloads import ExportResult, ExportType
from toril.library.exports.settings import ExportSettings
from toril.library.exports.sources import (
    Condition,
    DataSource,
    Row,
    Rows,
    RowsSource,
    Sources,
    Wanted,
)
from toril.library.exports.tables import TableSource

__all__ = [
    "Condition",
    "DataSource",
    "ExportResult",
    "ExportSettings",
    "ExportType",
    "Row",
    "Rows",
    "RowsSource",
    "Sources",
    "TableSource",
    "Wanted",
]
