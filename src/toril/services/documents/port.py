"""The interface of an engine that makes PDF documents of templates and data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from toril.core.codec import Json

DEFAULT_TEMPLATE = "document"
"""The shipped template; `shipped/document.typ` says what data it takes."""


class DocumentEngine(Protocol):
    """Makes PDF documents. Plain code that takes a while: call it in a thread or a process."""

    def pdf(self, template: str, data: Mapping[str, Json]) -> bytes:
        """Return a document as PDF.

        Parameters:
            template: Its name.
            data: What the template shows. Texts are texts: none becomes markup or code.

        Raises:
            UnusableInputError: There is no such template, or it cannot be made of this data.
        """
        ...
