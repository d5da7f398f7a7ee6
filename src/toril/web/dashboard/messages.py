"""Message catalogues: texts in the reader's language, from gettext's `.po` files.

The files are read as they are: nothing is compiled, neither at a release nor when Toril is
installed. A language is a folder in `locale/`; all its files together are its catalogue, so that
pages keep texts of their own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
"""By their codes, as each calls itself. The texts in the code are English."""


class Catalogue:
    """The texts of one language."""

    def __init__(self, language: str, texts: Mapping[str, tuple[str, ...]]) -> None:
        """Make it.

        Parameters:
            language: Its code.
            texts: For each English text its translation: one, or the singular and the plural.
        """
        self.language = language
        self.texts = texts

    def gettext(self, text: str) -> str:
        """Return a text in this language; in English if it has none."""
        found = self.texts.get(text)
        return found[0] if found and found[0] else text

    def ngettext(self, one: str, many: str, number: float) -> str:
        """Return a text that depends on a number."""
        found = self.texts.get(one)
        if found is None or len(found) < 2:
            return one if number == 1 else many
        return found[0] if number == 1 else found[1]


@cache
def catalogue(language: str) -> Catalogue:
    """Return the catalogue of a language; of one that is not there, English."""
    texts: dict[str, tuple[str, ...]] = {}
    if language in LANGUAGES and language != "en":
        for path in sorted((LOCALE / language).glob("*.po")):
            texts |= read_po(path.read_text("utf-8"))
    return Catalogue(language if language in LANGUAGES else "en", texts)


def read_po(text: str) -> dict[str, tuple[str, ...]]:
    """Return the translations in a `.po` file. One that is marked as fuzzy is left out.

    Source:
        GNU gettext manual, "The Format of PO Files".
    """
    found: dict[str, tuple[str, ...]] = {}
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = block.strip().splitlines()
        if any(line.startswith("#,") and "fuzzy" in line for line in lines):
            continue
        entry: dict[str, str] = {}
        word = ""
        for name, part in _strings(lines):
            word = name or word
            entry[word] = entry.get(word, "") + part
        if entry.get("msgid"):
            plural = [entry[key] for key in sorted(entry) if key.startswith("msgstr[")]
            found[entry["msgid"]] = tuple(plural) or (entry.get("msgstr", ""),)
    return found


def _strings(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith('"'):
            yield "", ast.literal_eval(line)
        elif line.startswith("msg"):
            name, _, quoted = line.partition(" ")
            yield name, ast.literal_eval(quoted.strip())


def chosen(cookie: str | None, accepted: str) -> str:
    """Return the language of a reader.

    Parameters:
        cookie: What the reader has chosen; None if nothing.
        accepted: The header `Accept-Language`.
    """
    if cookie in LANGUAGES:
        return str(cookie)
    weighed: list[tuple[float, str]] = []
    for part in accepted.split(",")[:20]:
        name, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), name[:2].lower()))
        except ValueError:
            continue
    known = [name for _, name in sorted(weighed, key=lambda pair: pair[0]) if name in LANGUAGES]
    return known[0] if known else "en"
