"""Makes a page of a template: one environment for each language, made when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from toril.version import VERSION
from toril.web.dashboard import charts, formats
from toril.web.dashboard.flashes import Flash
from toril.web.dashboard.messages import LANGUAGES, catalogue
from toril.web.dashboard.page import Page, navigation, page_named, pages, tabs
from toril.web.dashboard.static_files import address
from toril.web.dashboard.views import views_of
from toril.web.dashboard.visit import Visit
from toril.web.dashboard.words import words_for

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment(language: str) -> Environment:
    """Return the templates in a language. All that they show is escaped unless it is markup."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    texts = catalogue(language)
    made.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    made.filters |= {
        "num": lambda value, decimals=None: formats.number(value, language, decimals),
        "compact": lambda value: formats.compact(value, language),
        "span": lambda value: formats.span(value, language),
        "size": lambda value: formats.size(value, language),
        "clock": _clock,
        "full": _full,
        "harmless": charts.harmless,
    }
    made.globals |= {
        "share": lambda part, whole: formats.share(part, whole, language),
        "sparkline": charts.sparkline,
        "points_of": charts.points_of,
        "static": _static,
        "LANGUAGES": LANGUAGES,
        "VERSION": VERSION,
    }
    return made


def render(visit: Visit, page: Page, facts: Mapping[str, Any], flash: Flash | None) -> str:
    """Return a page as HTML."""
    made = environment(visit.catalogue.language)
    seen = [one for one in pages() if visit.may(one.permission, visit.parts.get("queue"))]
    context = {
        "visit": visit,
        "page": page,
        "entries": navigation(one for one in seen if not one.segments[0].startswith("{")),
        "tabs": lambda group: tabs(seen, group),
        "page_named": page_named,
        "flash": flash,
        "labels": visit.dashboard.labels,
        "views": views_of(visit.connection),
        "url": visit.url,
        "at": visit.at,
        "here": visit.here,
        "may": visit.may,
        "may_use": visit.may_use,
        "words": words_for(visit.catalogue.language),
        **facts,
    }
    return made.get_template(page.file).render(context)


def render_bare(language: str, template: str, facts: Mapping[str, Any]) -> str:
    """Return a page of the frame without its navigation: for somebody who is not known."""
    return environment(language).get_template(template).render(facts)


@pass_context
def _clock(context: Context, at: datetime | None) -> str:
    visit: Visit = context["visit"]
    zone = visit.preferences.tz
    return formats.moment(at, zone, visit.catalogue.language, visit.now)


@pass_context
def _full(context: Context, at: datetime) -> str:
    visit: Visit = context["visit"]
    return formats.full_moment(at, visit.preferences.tz)


@pass_context
def _static(context: Context, name: str) -> str:
    root = context["visit"].root if "visit" in context else context["root"]
    return address(root, name)
