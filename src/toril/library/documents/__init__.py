"""Documents as PDF, of templates and data, into a storage of objects.

`tasks.py` has the task, `settings.py` what it goes by. Importing this package loads no engine.
"""

from toril.library.documents.payloads import Document, MadePdf
from toril.library.documents.settings import DocumentSettings

__all__ = ["Document", "DocumentSettings", "MadePdf"]
