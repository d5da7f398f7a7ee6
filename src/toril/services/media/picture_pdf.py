"""A page of PDF that shows a picture, by Pillow."""

from __future__ import annotations

import io

try:
    from PIL import Image
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("images need Pillow 11.3 or newer", "media") from error

DOTS_PER_INCH = 150.0
"""How many pixels make an inch of the page."""


def picture_pdf(jpeg: bytes, *, quality: int) -> bytes:
    """Return a PDF of one page, as large as the picture.

    Parameters:
        jpeg: What an engine has made: it is not checked again.
        quality: Of the picture in the page, 1 to 100.
    """
    out = io.BytesIO()
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
        picture.save(out, "PDF", resolution=DOTS_PER_INCH, quality=quality)
    return out.getvalue()
