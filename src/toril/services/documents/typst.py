"""PDF documents by Typst: a file `NAME.typ` for each template, fonts inside.

A template reads its data by `json(bytes(sys.inputs.data))`: as values, so that no text of it can
become markup. It reads files of its own folder only, and no system fonts, so that a document looks
the same on every machine.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from toril.core.checks import nearest, require
from toril.core.codec import Json
from toril.core.extras import missing_extra
from toril.services.unusable import UnusableInputError, named

_SHIPPED = Path(__file__).parent / "shipped"
_SUFFIX = ".typ"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_TOLD_CHARS = 300
"""Of what Typst says is wrong."""


class TypstDocuments:
    """Makes documents of the shipped templates and those of a folder. Can be pickled.

    Parameters:
        folder: More templates, `name.typ` each; one of a shipped name goes before it. Files whose
            names begin with `_` are for templates to import.
        fonts: Folders with fonts, for scripts that Typst's own fonts lack.

    Raises:
        InvalidOptionError: There is no such folder.
    """

    def __init__(self, folder: Path | str | None = None, *, fonts: tuple[Path | str, ...] = ()):
        self._folders = [_SHIPPED] if folder is None else [Path(folder).absolute(), _SHIPPED]
        self._fonts = [Path(each).absolute() for each in fonts]
        for name, each in (("folder", self._folders[0]), *(("fonts", one) for one in self._fonts)):
            require(each.is_dir(), name, str(each), "a folder that exists")

    def pdf(self, template: str, data: Mapping[str, Json]) -> bytes:
        """Return a document as PDF.

        Raises:
            MissingExtraError: Typst is not installed.
        """
        typst, path = _typst(), self._path_of(template)
        try:
            made: bytes = typst.compile(
                path,
                root=path.parent,
                font_paths=self._fonts,
                ignore_system_fonts=True,
                sys_inputs={"data": msgspec.json.encode(data).decode()},
            )
        except typst.TypstError as error:
            raise UnusableInputError(named("template", template), _told(error)) from None
        return made

    def names(self) -> list[str]:
        """Return the templates that there are."""
        found = {path.stem for folder in self._folders for path in folder.glob(f"*{_SUFFIX}")}
        return sorted(name for name in found if _NAME.fullmatch(name))

    def _path_of(self, template: str) -> Path:
        if _NAME.fullmatch(template):
            for folder in self._folders:
                path = folder / f"{template}{_SUFFIX}"
                if path.is_file():
                    return path
        known = self.names()
        close = nearest(template, known)
        hint = f"did you mean {close!r}?" if close else f"there are {', '.join(known)}"
        raise UnusableInputError(named("template", template), f"there is none such; {hint}")


def _typst() -> Any:
    try:
        return importlib.import_module("typst")
    except ImportError as error:
        raise missing_extra("documents need Typst", "documents") from error


def _told(error: Any) -> str:
    """Return what is wrong, in one line, with the hints."""
    text = " ".join(f"{error.message} {'; '.join(error.hints)}".split())
    short = text if len(text) <= _TOLD_CHARS else f"{text[:_TOLD_CHARS]}…"
    return f"Typst refuses it: {short}. Mend the template, or the data"
