"""The text of a document, piece by piece, so that whoever asks can stop.

Documents come from strangers: nothing outside of them is read, no entity is resolved, and whatever
a parser raises over one is the document's fault. How much time and memory a document takes cannot
be told before; the caller's process has limits for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from toril.core.errors import TorilError
from toril.core.extras import missing_extra
from toril.services.unusable import UnusableInputError

Report = Callable[[int], None]
"""Told how far the reading is, 0 to 100."""

_SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES = re.compile(r"\n\s*\n\s*")
_HIDDEN = ("script", "style", "template", "noscript", "svg", "math", "head", "iframe", "object")
_BLOCKS = frozenset(
    "address article aside blockquote br dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5"
    " h6 header hr li main nav ol option p pre section table td th tr ul".split()
)


def plain_text(file: BinaryIO, subject: str, report: Report) -> Iterator[str]:
    """Yield the text of a file in UTF-8, or in UTF-16 with its mark.

    Raises:
        UnusableInputError: It is neither.
    """
    content = file.read()
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        yield content.decode("utf-16" if marked else "utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        reason = "its text is neither UTF-8 nor UTF-16 with a mark"
        raise UnusableInputError(subject, reason) from None
    report(100)


def pdf_text(file: BinaryIO, subject: str, report: Report) -> Iterator[str]:
    """Yield the text of a PDF, page by page. Of a scan there is none.

    Raises:
        UnusableInputError: It is encrypted or damaged.
        MissingExtraError: pypdf is not installed.
    """
    try:
        import pypdf
    except ImportError as error:
        raise missing_extra("text of PDF needs pypdf", "files") from error
    with _blamed_on_content(subject):
        document = pypdf.PdfReader(file)
        # Some are encrypted with an empty password, so that anybody may read them.
        locked = document.is_encrypted and not document.decrypt("")
        many = 0 if locked else len(document.pages)
    if locked:
        raise UnusableInputError(subject, "it is encrypted: nobody can read it without a password")
    for number in range(many):
        with _blamed_on_content(subject):
            text = document.pages[number].extract_text().strip()
        if text:
            yield f"{text}\n"
        report(100 * (number + 1) // many)


def docx_text(file: BinaryIO, subject: str, report: Report) -> Iterator[str]:
    """Yield the text of a Word document: paragraphs and tables in their order.

    Raises:
        UnusableInputError: It is damaged.
        MissingExtraError: python-docx is not installed.
    """
    try:
        import docx
        from docx.table import Table
    except ImportError as error:
        raise missing_extra("text of Word documents needs python-docx", "files") from error

    def lines(part: Any) -> Iterator[str]:
        if isinstance(part, Table):
            for row in part.rows:
                yield "\t".join(cell.text for cell in row.cells)
        else:
            yield part.text

    with _blamed_on_content(subject):
        parts = list(docx.Document(file).iter_inner_content())
    for number, part in enumerate(parts, 1):
        with _blamed_on_content(subject):
            text = "\n".join(lines(part))
        yield f"{text}\n"
        report(100 * number // len(parts))


def html_text(file: BinaryIO, subject: str, report: Report) -> Iterator[str]:
    """Yield the text that a browser would show of HTML in UTF-8 or UTF-16; scripts do not run.

    Raises:
        UnusableInputError: It is neither, or damaged.
        MissingExtraError: lxml is not installed.
    """
    try:
        from lxml import etree, html
    except ImportError as error:
        raise missing_extra("text of HTML needs lxml", "files") from error
    text = "".join(plain_text(file, subject, _silent))
    with _blamed_on_content(subject):
        # The text is decoded: what the document says of its encoding must not count again.
        parser = html.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)
        tree = html.document_fromstring(text.encode(), parser=parser)
        etree.strip_elements(tree, *_HIDDEN, etree.Comment, with_tail=False)
        found = _LINES.sub("\n\n", "".join(_shown(tree))).strip()
    report(100)
    if found:
        yield f"{found}\n"


def _shown(tree: Any) -> Iterator[str]:
    """Yield the texts of a tree of elements, with line breaks where blocks begin and end."""
    from lxml import etree

    for event, element in etree.iterwalk(tree, events=("start", "end")):
        is_block = isinstance(element.tag, str) and element.tag in _BLOCKS
        if event == "start":
            yield "\n" if is_block else ""
            yield _flat(element.text)
        else:
            yield "\n" if is_block else ""
            yield _flat(element.tail)


def _flat(text: str | None) -> str:
    return "" if text is None else _SPACE.sub(" ", text.replace("\n", " "))


def _silent(_percent: int) -> None:
    return


@contextmanager
def _blamed_on_content(subject: str) -> Iterator[None]:
    """Turn whatever a parser raises into `UnusableInputError`; only a lack of memory passes."""
    try:
        yield
    except (TorilError, MemoryError):
        raise
    except RecursionError:
        raise UnusableInputError(subject, "it is nested too deeply") from None
    except Exception as error:
        detail = str(error) or type(error).__name__
        raise UnusableInputError(subject, f"it is truncated or damaged ({detail})") from error
