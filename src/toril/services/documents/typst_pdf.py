"""PDF by Typst. Data comes in as JSON, so that no text of a user is ever read as markup."""

from __future__ import annotations

import asyncio

import msgspec

from toril.core.codec import Json
from toril.core.extras import missing_extra

try:
    import typst
except ImportError as error:
    raise missing_extra("PDF reports need Typst", "reports") from error


async def pdf_of(source: bytes, data: Json) -> bytes:
    """Return a PDF; in a thread, as it takes a moment.

    Parameters:
        source: Typst's own language; it reads the data by `json(bytes(sys.inputs.data))`. It finds
            no file of this machine, and no fonts but Typst's own.
        data: What it shows.
    """
    inputs = {"data": msgspec.json.encode(data).decode()}
    return await asyncio.to_thread(_compiled, source, inputs)


def _compiled(source: bytes, inputs: dict[str, str]) -> bytes:
    made = typst.compile(source, sys_inputs=inputs, ignore_system_fonts=True)
    assert isinstance(made, bytes)  # noqa: S101 - as no output is named and pages are not PNG
    return made
