"""Documents as a task: `app.include(documents)`, with what it needs provided.

```python
app.include(documents)
app.provide(DocumentSettings())
app.provide(SyncObjects(objects))
```
"""

from __future__ import annotations

from typing import Any

from toril.core.errors import AttemptTimeoutError
from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.documents.payloads import Document, MadePdf
from toril.library.documents.settings import DocumentSettings
from toril.services.documents.port import DEFAULT_TEMPLATE
from toril.services.media.work import check_file_id
from toril.services.memory_limits import growth_refused
from toril.services.objects.sync import SyncObjects
from toril.services.unusable import UnusableInputError, named
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

QUEUE = "generate-pdf"
TIMEOUT_S = 120.0
"""How long one document may take, in seconds; then its process is killed."""

documents = TaskBundle()
"""`documents.pdf` on the queue `generate-pdf`."""


@documents.task(
    name="documents.pdf",
    queue=QUEUE,
    run_in="process",  # typesetting cannot be stopped, and may take any amount of memory
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(
        max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError, AttemptTimeoutError)
    ),
)
def pdf(
    ctx: Context,
    pdf_id: str,
    template: str | None = None,
    data: dict[str, Any] | None = None,
    *,
    settings: DocumentSettings = provided(DocumentSettings),
    objects: SyncObjects = provided(SyncObjects),
) -> MadePdf:
    """Make a PDF document and store it as `documents/{pdfId}.pdf`.

    Harmless when run again: the document has the same key in every attempt, and appears whole.

    Parameters:
        pdf_id: Of the document; a part of its key.
        template: A template of the engine. Default: as `DocumentSettings.load` says.
        data: What the template shows. The same default.

    Raises:
        UnusableInputError: This document cannot be made, or takes too much memory; it is not tried
            again. Nor is one that takes longer than two minutes.
        ObjectError: The storage; it is.
    """
    check_file_id(pdf_id, "pdfId")
    document = _document(pdf_id, template, data, settings)
    ctx.progress(10)
    with growth_refused(named("pdfId", pdf_id), "making it", settings.max_memory_bytes):
        content = settings.engine.pdf(document.template, document.data)
    ctx.raise_if_cancelled()
    ctx.progress(90)
    key = f"{settings.prefix}/{pdf_id}.pdf"
    objects.put(key, content, content_type="application/pdf", filename=f"{pdf_id}.pdf")
    ctx.progress(100)
    return MadePdf(pdf_id=pdf_id, key=key, bytes=len(content))


def _document(
    pdf_id: str, template: str | None, data: dict[str, Any] | None, settings: DocumentSettings
) -> Document:
    if template is not None or data is not None:
        return Document(template=template or DEFAULT_TEMPLATE, data=data or {})
    if settings.load is None:
        return Document(data={"title": pdf_id})
    found = settings.load(pdf_id)
    if found is None:
        raise UnusableInputError(named("pdfId", pdf_id), "there is no such document")
    return found
