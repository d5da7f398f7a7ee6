"""What jobs that make documents give back, and what a document is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from toril.core.codec import Json
from toril.services.documents.port import DEFAULT_TEMPLATE


class MadePdf(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A document that was stored."""

    pdf_id: str
    key: str
    """Where it is in the storage."""
    bytes: int
    """Its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What one document is made of."""

    template: str = DEFAULT_TEMPLATE
    """The template's name."""
    data: Mapping[str, Json] = field(default_factory=dict)
    """What the template shows."""
