"""Makes plain text of a mail's HTML, for readers that show no HTML, and for filters.

It keeps what is read: paragraphs, headings, lists, tables as lines, and links with their address.
"""

from __future__ import annotations

import re
import textwrap
from html.parser import HTMLParser

COLUMNS = 76
_SILENT = frozenset({"head", "style", "script", "title", "template", "noscript"})
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "div", "dl", "fieldset", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "main", "nav", "ol", "p",
    "pre", "section", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
_APART = frozenset({
    "blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul",
})  # fmt: skip
"""Blocks with an empty line around them."""
_EMPTY = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
})  # fmt: skip
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_SCHEMES = ("http://", "https://", "mailto:", "tel:")
NOT_IN_TEXT = "not-in-text"
"""A class whose elements the text leaves out."""
_BREAK = "\x00"
"""An end of a line that is no end of a paragraph. HTML cannot hold it."""


def text_of_html(html: str) -> str:
    """Return the text of a page of HTML. Never raises: mails of producers are odd at times."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._paragraphs: list[str] = []
        self._line: list[str] = []
        self._skipped: list[str] = []
        """Open elements from the first that is left out."""
        self._links: list[tuple[str, int]] = []
        self._lists: list[list[int | None]] = []
        self._cells = 0
        self._kept_lines = 0
        """How many `pre` are open."""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if self._skipped or self._is_silent(tag, given):
            if tag not in _EMPTY:
                self._skipped.append(tag)
            return
        if tag == "br":
            self._line.append(_BREAK)
        elif tag == "hr":
            self._end(apart=True)
            self._paragraphs += ["-" * 20, ""]
        elif tag == "img":
            self._line.append(given.get("alt", ""))
        elif tag == "a":
            self._links.append((given.get("href", "").strip(), len(self._line)))
        elif tag in ("td", "th"):
            if self._line and self._cells:
                self._line.append("  ")
            self._cells += 1
        elif tag == "li":
            self._end(apart=False)
            self._line.append(self._bullet())
        elif tag in _BLOCKS:
            self._end(apart=tag in _APART)
            if tag in ("ul", "ol"):
                self._lists.append([1 if tag == "ol" else None])
            self._cells = 0 if tag == "tr" else self._cells
            self._kept_lines += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag in self._skipped:
                del self._skipped[self._skipped.index(tag) :]
            return
        if tag == "a" and self._links:
            self._end_link(*self._links.pop())
        elif tag == "li":
            self._end(apart=False)
        elif tag in _BLOCKS and tag not in ("td", "th"):
            self._end(apart=tag in _APART)
            if tag in ("ul", "ol") and self._lists:
                self._lists.pop()
            if tag == "pre":
                self._kept_lines = max(0, self._kept_lines - 1)

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return
        data = data.replace(_BREAK, "")
        if self._kept_lines:
            self._line.append(data.replace("\n", _BREAK))
            return
        self._line.append(re.sub(r"[ \t\r\n\f]+", " ", data))

    def text(self) -> str:
        """Return what was read."""
        self._end(apart=False)
        lines = "\n".join(self._paragraphs)
        return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"

    def _is_silent(self, tag: str, given: dict[str, str]) -> bool:
        return (
            tag in _SILENT
            or "hidden" in given
            or bool(_HIDDEN.search(given.get("style", "")))
            or NOT_IN_TEXT in given.get("class", "").split()
        )

    def _bullet(self) -> str:
        indent = "  " * max(0, len(self._lists) - 1)
        if not self._lists or self._lists[-1][0] is None:
            return f"{indent}- "
        number = self._lists[-1][0]
        self._lists[-1][0] = number + 1
        return f"{indent}{number}. "

    def _end_link(self, address: str, begin: int) -> None:
        shown = " ".join("".join(self._line[begin:]).replace(_BREAK, " ").split())
        if not address.lower().startswith(_SCHEMES):
            return
        if shown in (address, address.partition(":")[2]):
            return
        self._line.append(f": {address}" if shown and begin == 0 else f" ({address})")

    def _end(self, *, apart: bool) -> None:
        """End a paragraph, and have an empty line after it."""
        whole, self._line = "".join(self._line), []
        self._links = [(address, 0) for address, _ in self._links]
        for part in whole.split(_BREAK):
            bullet = re.match(r" *(?:-|\d+\.) ", part)
            lead = bullet.group() if bullet else ""
            words = part[len(lead) :]
            if not self._kept_lines:
                words = re.sub(r" {3,}", "  ", words.strip())
            if words.strip() or (_BREAK in whole and self._paragraphs):
                self._paragraphs += _wrapped(lead, words)
        if apart and self._paragraphs and self._paragraphs[-1]:
            self._paragraphs.append("")


def _wrapped(lead: str, words: str) -> list[str]:
    """Return lines of at most `COLUMNS`; an address stays whole however long it is."""
    lines = textwrap.wrap(
        words,
        COLUMNS,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )
    return lines or [lead.rstrip()]
