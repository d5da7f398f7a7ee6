"""How documents are made, and where they go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from toril.core.checks import is_whole, require
from toril.core.process_memory import MIB
from toril.library.documents.payloads import Document
from toril.services.documents.port import DocumentEngine
from toril.services.documents.typst import TypstDocuments

Load = Callable[[str], Document | None]
"""Returns what a document is made of, by its id; None: there is no such document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSettings:
    """What the task is told once. Can be pickled: it runs in child processes.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    engine: DocumentEngine = field(default_factory=TypstDocuments)
    """What makes PDF of templates. Default: Typst, with the shipped template."""
    load: Load | None = None
    """A function at module level that says what a document is made of, for payloads that have its
    id only. None: its title is the id."""
    prefix: str = "documents"
    """What the keys of documents begin with."""
    max_memory_bytes: int = 512 * MIB
    """Most memory that making one may take; more fails the job. Default: 512 MiB."""

    def __post_init__(self) -> None:
        good = self.prefix.strip("/") == self.prefix != ""
        require(good, "prefix", self.prefix, "parts of a key, such as documents")
        good = is_whole(self.max_memory_bytes) and self.max_memory_bytes >= MIB
        require(good, "max_memory_bytes", self.max_memory_bytes, f"bytes, from {MIB}")
