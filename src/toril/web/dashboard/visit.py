"""One request to a page: who asks, in which language, and the REST interface's functions to ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response

from toril.engine.info import QueueInfo, WorkerInfo
from toril.engine.operations import acting
from toril.engine.queue import Queue
from toril.engine.search.found import SearchPage
from toril.web.access.port import Permission, Principal
from toril.web.call import Call
from toril.web.dashboard import formats
from toril.web.dashboard.flashes import Flash, flash_cookie
from toril.web.dashboard.messages import catalogue
from toril.web.dashboard.preferences import preferences_of
from toril.web.declaring import Route
from toril.web.reading import MOST_PARAMETERS
from toril.web.routes import ROUTES
from toril.web.server import check_caller

if TYPE_CHECKING:
    from toril.web.dashboard.application import Dashboard

T = TypeVar("T")
P = ParamSpec("P")

REFRESH = "x-toril-refresh"
"""A header: a page that is open asks for its own newest state."""


@cache
def _by_function() -> dict[Any, Route]:
    return {route.function: route for route in ROUTES}


@cache
def route_named(name: str) -> Route | None:
    """Return a REST route by the name of its function; None if there is none."""
    return next((route for route in ROUTES if route.name == name), None)


class Visit(Call):
    """A request on its way through a page. It is a `Call`, so routes take it as one."""

    __slots__ = (
        "catalogue", "dashboard", "now", "parts", "path", "preferences", "query", "refreshes",
        "root",
    )  # fmt: skip

    def __init__(
        self,
        dashboard: Dashboard,
        connection: HTTPConnection,
        principal: Principal,
        parts: Mapping[str, str],
    ) -> None:
        super().__init__(dashboard.interface, connection, principal)
        self.dashboard = dashboard
        self.parts = parts
        """The parts of the path that vary."""
        self.root = root_of(connection)
        """Where the dashboard is mounted, without a slash at its end."""
        self.path = path_of(connection)
        """The page's own path as it was asked for, with `root` before it."""
        self.query = query_of(connection)
        self.preferences = preferences_of(connection)
        self.catalogue = catalogue(self.preferences.language)
        self.refreshes = REFRESH in connection.headers
        """A page that is open asks again: figures that all share will do."""
        self.now = datetime.now(UTC)

    # What the pages show.

    async def ask(
        self,
        function: Callable[Concatenate[Call, P], Awaitable[T]],
        *args: P.args,
        **given: P.kwargs,
    ) -> T:
        """Return what a REST route answers to this caller, by its function; all by name.

        Raises:
            Problem: As the route, and if the caller may not use it.
        """
        assert not args, "parts, query and body are given by name"  # noqa: S101 - a mistake of ours
        route = _by_function()[function]
        check_caller(route, self.principal, given)
        body = given.get("body")
        try:
            with acting(self.principal.actor, getattr(body, "reason", None)):
                answer: T = await self.interface.run(route, self, given)
        finally:
            if route.method != "GET":  # also of one that failed: it may have been done
                self.dashboard.shared.forget()
        return answer

    def may_use(self, name: str, parts: Mapping[str, Any]) -> bool:
        """Whether the caller may use a REST route, so that its button is shown."""
        route = route_named(name)
        assert route is not None, name  # noqa: S101 - a mistake of ours
        if route.permission is None:
            return True
        if route.names_queues and "queue" not in parts:
            return self.principal.may_somewhere(route.permission)
        return self.principal.may(route.permission, parts.get("queue", parts.get("letters")))

    def may(self, permission: Permission | str, queue: str | None = None) -> bool:
        """Whether the caller may do something; see `Principal.may`."""
        return self.principal.may(Permission(permission), queue)

    async def queues(self) -> list[QueueInfo]:
        """Return the queues that the caller may see."""
        if not self.refreshes:
            return await super().queues()
        found = await self.share("queues", self.options.tick_s, self.app.queues)
        return [info for info in found if self.sees(info.name)]

    async def workers(self) -> list[WorkerInfo]:
        """Return all workers that are alive, also those that the caller may not see."""
        if not self.refreshes:
            return await super().workers()
        return await self.share("workers", self.options.tick_s, self.app.workers)

    async def served(self) -> Collection[str] | None:
        """Return the queues that a worker of whatever library serves. None: nobody can say."""
        if not self.refreshes:
            return await super().served()
        return await self.share("served", 10.0, super().served)

    async def search(
        self, query: str, *, after: str | None, limit: int, budget_s: float
    ) -> SearchPage:
        """Return jobs that a search finds, also those that the caller may not see as they are."""

        async def read() -> SearchPage:
            return await super(Visit, self).search(
                query, after=after, limit=limit, budget_s=budget_s
            )

        if not self.refreshes:
            return await read()
        return await self.share(("search", query, after, limit), self.options.tick_s, read)

    async def existing(self, name: str) -> tuple[Queue, QueueInfo]:
        """Return a queue that the store knows; errors as `Call.existing`."""
        if self.refreshes:
            found = await self.share("queues", self.options.tick_s, self.app.queues)
            for info in found:
                if info.name == name:
                    return self.queue(name), info
        return await super().existing(name)

    async def share(self, key: Any, keep_s: float, read: Callable[[], Awaitable[T]]) -> T:
        """Return what all pages share; see `Shared.get`. It must not depend on who asks."""
        return await self.dashboard.shared.get(key, keep_s, read)

    # Addresses.

    def url(self, path: str, /, **query: Any) -> str:
        """Return the address of a page.

        Parameters:
            path: Below the dashboard, such as `/queues`; see `at` for parts that vary.
            **query: Parameters; one that is None or empty is left out, a list is repeated.
        """
        kept = [(name, value) for name, value in query.items() if value not in (None, "", [])]
        return self.root + path + (f"?{urlencode(kept, doseq=True)}" if kept else "")

    def at(self, *parts: str, **query: Any) -> str:
        """Return the address of a page by the parts of its path: `at("queues", name)`."""
        return self.url("/" + "/".join(quote(str(part), safe="") for part in parts), **query)

    def here(self, **changed: Any) -> str:
        """Return this page's address with some parameters changed; None takes one away."""
        kept: dict[str, Any] = {name: list(values) for name, values in self.query.items()}
        kept |= changed
        shown = [(name, value) for name, value in kept.items() if value not in (None, "", [])]
        return self.path + (f"?{urlencode(shown, doseq=True)}" if shown else "")

    def param(self, name: str, default: str = "") -> str:
        """Return a parameter of the query, the last if there are several."""
        return (self.query.get(name) or [default])[-1]

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        """Return a parameter that is one of some words; the default if it is another."""
        value = self.param(name, default)
        return value if value in allowed else default

    # Answers.

    def back(self, to: str, text: str = "", *, kind: str = "good") -> Response:
        """Return an answer that leads to another page, where something is said once.

        Parameters:
            to: Where, an address of this dashboard.
            text: What is said there. Empty: nothing.
            kind: `good`, `bad` or `note`.
        """
        to = local(to, self.root)
        shown = urlsplit(self.headers.get("hx-current-url", "")).path
        answer: Response
        if "hx-request" in self.headers and shown != urlsplit(to).path:
            answer = Response(status_code=204, headers={"hx-redirect": to})
        else:
            answer = RedirectResponse(to, status_code=303)
        answer.headers["cache-control"] = "no-store"
        if text:
            answer.headers.append("set-cookie", flash_cookie(Flash(kind, text), self.root))
        return answer

    # Words.

    def t(self, text: str, **values: Any) -> str:
        """Return a text in the reader's language, with values in place of `%(name)s`."""
        found = self.catalogue.gettext(text)
        return found % values if values else found

    def n(self, one: str, many: str, number: float, **values: Any) -> str:
        """Return a text that depends on a number, which is `%(num)s` in it."""
        shown = formats.number(number, self.catalogue.language)
        return self.catalogue.ngettext(one, many, number) % {"num": shown, **values}


def root_of(connection: HTTPConnection) -> str:
    """Return where the dashboard is mounted, without a slash at its end."""
    root: str = connection.scope.get("root_path", "")
    return quote(root.rstrip("/"))


def path_of(connection: HTTPConnection) -> str:
    """Return the path of a request, as it has to be written in an address."""
    scope = connection.scope
    root: str = scope.get("root_path", "").rstrip("/")
    raw: bytes | None = scope.get("raw_path")
    path = (
        quote(scope["path"]) if raw is None else raw.partition(b"?")[0].decode("ascii", "replace")
    )
    return path if not root or path.startswith(quote(root)) else quote(root) + path


def query_of(connection: HTTPConnection) -> dict[str, list[str]]:
    """Return the parameters of a query, whatever they are; too many are none."""
    found: dict[str, list[str]] = {}
    try:
        text = connection.scope.get("query_string", b"").decode("ascii", "replace")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def local(to: str, root: str) -> str:
    """Return an address if it leads to this dashboard, else that of its first page."""
    inside = to == root or to.startswith((f"{root}/", f"{root}?"))
    plain = not to.startswith("//") and "\\" not in to and to.isprintable() and " " not in to
    return to if inside and plain and to else f"{root}/"
