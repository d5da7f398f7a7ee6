"""Templates of mails: one file of HTML each, of which subject, HTML part and text part are made.

A template is Jinja2: `{% extends "_layout.html" %}` with the blocks `subject`, `preview` and
`content`. A variable without a default is required. Styles stand in the layout's style sheet and
are written into the elements when a mail is made, since many mail programs ignore style sheets.
"""

from __future__ import annotations

import html as html_module
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toril.core.checks import nearest, require
from toril.core.codec import Json
from toril.core.extras import missing_extra
from toril.services.mail.plain_text import text_of_html
from toril.services.mail.sandbox import import_jinja, make_sandbox, render_whole
from toril.services.unusable import UnusableInputError, named

_SHIPPED = Path(__file__).parent / "shipped"
_SUFFIX = ".html"
_SUBJECT = "subject"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedMail:
    """What a template became."""

    subject: str | None
    """One line. None: the template has no block `subject`."""
    html: str
    text: str


class MailTemplates:
    """The templates of a program: the shipped ones, and those of a folder of its own.

    May be used by several threads. A template is read when it is first used, and then kept.
    """

    def __init__(
        self, folder: Path | str | None = None, *, defaults: Mapping[str, Json] | None = None
    ) -> None:
        """Make a catalogue.

        Parameters:
            folder: More templates, `name.html` each; one of a shipped name is used in its place.
                Files whose names begin with `_` are for templates to extend or include.
            defaults: Variables of every mail, such as `brand`. A mail's own go before them.

        Raises:
            InvalidOptionError: There is no such folder.
            MissingExtraError: Jinja2 or css-inline is not installed.
        """
        self._folders = [_SHIPPED] if folder is None else [Path(folder), _SHIPPED]
        require(self._folders[0].is_dir(), "folder", str(folder), "a folder with templates")
        self._defaults = dict(defaults or {})
        jinja2, _ = import_jinja()
        self._jinja = jinja2
        self._sandbox = make_sandbox(jinja2.FileSystemLoader([str(each) for each in self._folders]))
        self._inliner = _import_css_inline().CSSInliner(
            keep_at_rules=True, load_remote_stylesheets=False
        )

    @property
    def names(self) -> list[str]:
        """The templates that a mail may name, in alphabetical order."""
        found = {path.stem for folder in self._folders for path in folder.glob(f"*{_SUFFIX}")}
        return sorted(name for name in found if not name.startswith("_"))

    def check(self, name: str) -> None:
        """Refuse a name that no template has.

        Raises:
            UnusableInputError: With the nearest name, and all that are known.
        """
        known = self.names
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean {close!r}? " if close else ""
            raise UnusableInputError(
                named("template", name), f"unknown: {hint}Known are {', '.join(known)}"
            )

    def render(self, name: str, variables: Mapping[str, Json] | None = None) -> RenderedMail:
        """Make a mail of a template.

        Parameters:
            name: Which.
            variables: What stands in it. They are escaped: a `<` stays a `<`.

        Raises:
            UnusableInputError: There is no such template, a variable is missing, or the template
                does not work with what it was given. The message says which.
        """
        self.check(name)
        label = f"template {name!r}"
        given = {**self._defaults, **(variables or {})}
        try:
            template = self._sandbox.get_template(f"{name}{_SUFFIX}")
            page = render_whole(template.generate(given), subject=label)
            subject = self._subject(template, given, label)
        except self._jinja.UndefinedError as error:
            raise UnusableInputError(label, _missing(error)) from None
        except self._jinja.TemplateError as error:
            raise UnusableInputError(label, f"it does not work: {error}") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            # What a template does with its variables: adds a text to a number, divides by zero.
            raise UnusableInputError(label, f"it does not fit its variables: {error}") from None
        return RenderedMail(subject=subject, html=self._inline(page), text=text_of_html(page))

    def _subject(self, template: Any, given: Mapping[str, Json], label: str) -> str | None:
        block = template.blocks.get(_SUBJECT)
        if block is None:
            return None
        found = render_whole(block(template.new_context(dict(given))), subject=label)
        # It was escaped for HTML, which a subject is not; and it is one line, whatever it is given.
        return " ".join(html_module.unescape(found).split())

    def _inline(self, page: str) -> str:
        inlined: str = self._inliner.inline(page)
        return inlined


def _missing(error: Any) -> str:
    """Return what a template lacks, and the way out."""
    said = str(error)
    name = said.split("'")[1] if said.startswith("'") and said.endswith("is undefined") else ""
    if name:
        return f"variable {name!r} is missing: give it in variables"
    return f"a variable is missing: {said}"


def _import_css_inline() -> Any:
    try:
        return importlib.import_module("css_inline")
    except ImportError:
        raise missing_extra("templates of mails need css-inline", "mail") from None
