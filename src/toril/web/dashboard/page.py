"""What a page declares: where it is, who may see it, what it shows, where it stands in the frame.

A page is a module in `pages/` with a `PAGE` of this type, and a template. Nothing else lists it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from toril.web.access.port import Permission

if TYPE_CHECKING:
    from toril.web.dashboard.visit import Visit

Facts = Mapping[str, Any]
"""What a template is given."""
Show = Callable[["Visit"], Awaitable[Facts | Response]]
Act = Callable[["Visit", "Form"], Awaitable[Facts | Response]]
Form = Mapping[str, list[str]]
"""What a form has sent: the values of each field."""


def N_(text: str) -> str:  # noqa: N802 - the usual name, which tools for catalogues look for
    """Mark a text that is translated where it is shown."""
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Nav:
    """A page's entry in the navigation."""

    label: str
    order: int
    """Lower ones come first."""
    key: str | None = None
    """The key that leads there after `g`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A page that is one tab of several at the same thing, such as a queue."""

    of: str
    """Which group of tabs: `queue`, `job`."""
    label: str
    order: int


@dataclass(slots=True, kw_only=True)
class Page:
    """One page of the dashboard."""

    name: str
    """A word for it; its template is `NAME.html` unless `template` says otherwise."""
    path: str
    """Below the dashboard, such as `/queues/{queue}`; names in braces are parts that vary."""
    title: str
    """Marked with `N_`; shown in the browser's tab."""
    permission: Permission = Permission.READ
    """Without it the page is refused, and its entry is not shown. If the path has a part `queue`,
    the permission has to extend to it."""
    template: str = ""
    nav: Nav | None = None
    """None: it has no entry of its own; `under` says which entry is marked."""
    under: str | None = None
    """The name of the page whose entry is marked while this one is shown."""
    tab: Tab | None = None
    scripts: tuple[str, ...] = ()
    """Modules in `static/js` beside those of the frame, such as `charts.js`."""
    styles: tuple[str, ...] = ()
    """Files in `static/css` beside those of the frame."""
    said: Mapping[str, str] = field(default_factory=dict)
    """For names of routes: the sentence, marked with `N_`, that is shown once a form has used it.
    It may hold `%(count)s` and the parts of the route's path, such as `%(queue)s`."""
    shows: Show | None = None
    acts: dict[str, Act] = field(default_factory=dict)

    def show(self, function: Show) -> Show:
        """Declare the function that returns what the template is given."""
        self.shows = function
        return function

    def act(self, word: str) -> Callable[[Act], Act]:
        """Declare what is done with a form that is sent to the page with `do=WORD`.

        Most forms need none: `action_form` of `components.html` sends to a REST route. A function
        of this kind is for forms that are to be shown again with what was typed, or that need more
        than one call. It returns a response, such as `visit.back(...)`, or facts for the template.
        """

        def declare(function: Act) -> Act:
            self.acts[word] = function
            return function

        return declare

    @property
    def file(self) -> str:
        """The name of its template."""
        return self.template or f"{self.name}.html"

    @property
    def segments(self) -> tuple[str, ...]:
        """The path, part by part."""
        return tuple(self.path.strip("/").split("/"))


@cache
def pages() -> tuple[Page, ...]:
    """Return all pages: of equal length of path those first whose first parts do not vary."""
    import toril.web.dashboard.pages as folder

    found: list[Page] = []
    for info in pkgutil.iter_modules(folder.__path__):
        module = import_module(f"{folder.__name__}.{info.name}")
        one = getattr(module, "PAGE", None)
        if isinstance(one, Page):
            found.append(one)
    found.sort(key=lambda page: [part.startswith("{") for part in page.segments])
    return tuple(found)


@cache
def page_named(name: str) -> Page:
    """Return a page by its name."""
    return next(page for page in pages() if page.name == name)


def navigation(found: Iterable[Page]) -> list[Page]:
    """Return the pages that have an entry, in their order."""
    entries = [page for page in found if page.nav is not None]
    return sorted(entries, key=lambda page: page.nav.order if page.nav else 0)


def tabs(found: Iterable[Page], group: str) -> list[Page]:
    """Return the pages that are tabs of a group, in their order."""
    inside = [page for page in found if page.tab is not None and page.tab.of == group]
    return sorted(inside, key=lambda page: page.tab.order if page.tab else 0)


def find(segments: list[str]) -> tuple[Page, dict[str, str]] | None:
    """Return the page at a path, and the parts of the path that vary."""
    for page in pages():
        expected = page.segments
        if len(expected) != len(segments):
            continue
        parts: dict[str, str] = {}
        for name, given in zip(expected, segments, strict=True):
            if name.startswith("{"):
                if not given:
                    break
                parts[name[1:-1]] = given
            elif name != given:
                break
        else:
            return page, parts
    return None
