"""The REST interface as an ASGI application: finds the route of a request and answers it.

`api` makes it, to be mounted in any ASGI application. What a route does is not known here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from toril.app import App
from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.core.loggers import logger
from toril.engine.operations import acting
from toril.web.access.port import Access, Principal, Role
from toril.web.answering import response, wanted_fields
from toril.web.call import Call, forbidden
from toril.web.declaring import Route
from toril.web.limits import Submissions, read_body, too_large
from toril.web.live import Live
from toril.web.loopback import LoopbackOnly
from toril.web.openapi import document
from toril.web.operations import Operations
from toril.web.options import ServerOptions
from toril.web.outage import StoreWatch
from toril.web.problems import Problem, of_error
from toril.web.reading import read_json, read_query, refuse_query, segments_of
from toril.web.routes import ROUTES
from toril.web.sent_names import as_sent

log = logger("toril.web")

T = TypeVar("T")

PATH = "/api/v1"
"""Where the interface is, below where it is mounted."""
METRICS = "/metrics"
"""Also answered beside the interface: where Prometheus looks unless it is told otherwise."""
NOBODY = Principal("nobody", "host", Role.VIEWER, (), False)
"""Who asks where nobody need say."""


_PATH = re.compile(r"/|(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
"""Characters that mean the same in a URL and in a path."""


def check_path(path: object, name: str = "path") -> None:
    """Refuse what cannot be where an interface is.

    Parameters:
        path: Where it is to be.
        name: The option, for the error.

    Raises:
        InvalidOptionError: It is no path, or would be written otherwise in a URL.
    """
    good = isinstance(path, str) and _PATH.fullmatch(path) is not None
    require(good, name, path, "a path such as /api/v1, of letters, digits and -._~ between slashes")


def api(
    app: App,
    *,
    path: str = PATH,
    access: Access | None = None,
    options: ServerOptions | None = None,
) -> Starlette:
    """Return the REST interface of an app: an ASGI application, to be served or mounted.

    It answers below `path`, under `/openapi.json` with its description, and under `/metrics` what
    it answers there below `path`, for Prometheus.

    Parameters:
        app: Whose jobs. It is not closed with the interface.
        path: Where the interface is, below where it is mounted.
        access: Who may do what. None: only callers on this machine are answered, and those may do
            everything.
        options: What requests may cost.

    Raises:
        InvalidOptionError: `path` is none.
    """
    interface = Interface(app, ROUTES, access or LoopbackOnly(), options or ServerOptions(), path)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        interface.operations.keep()
        yield
        await interface.close()

    made = Starlette(lifespan=lifespan)
    # No pattern of Starlette's: it would not find a path with the end of a line in it.
    made.router.default = interface.from_outside
    made.state.toril = interface
    return made


class Interface:
    """Answers requests to the routes."""

    def __init__(
        self,
        app: App,
        routes: Sequence[Route],
        access: Access,
        options: ServerOptions,
        path: str,
    ) -> None:
        check_path(path)
        self.app = app
        self.access = access
        self.options = options
        self.submissions = Submissions(options.submissions_per_s)
        self.operations = Operations(app)
        self.started_at = datetime.now(UTC)
        self._path = path
        self._watch = StoreWatch(app)
        self._described: dict[str, bytes] = {}
        self._routes = routes
        self._by_length: dict[int, list[Route]] = {}
        for route in routes:
            self._by_length.setdefault(len(route.segments), []).append(route)
        for found in self._by_length.values():  # words before parts that vary
            found.sort(key=lambda route: [part.startswith("{") for part in route.segments])
        self.live = Live(app, options)
        """The streams of live events."""

    async def close(self) -> None:
        """End all streams, and let others go on with operations."""
        await self.live.close()
        await self.operations.close()

    async def from_outside(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to the application as a whole."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        prefix = self._path.rstrip("/")
        root, path = scope.get("root_path", ""), scope["path"]
        within = path.removeprefix(root) if root and path.startswith(f"{root}/") else path
        if within == prefix or within.startswith(f"{prefix}/"):
            await self({**scope, "root_path": f"{root}{prefix}"}, receive, send)
        elif within == METRICS:
            await self(scope, receive, send)
        else:
            await self.describe(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request below the interface's own path."""
        try:
            answer = await self._answer(scope, receive)
        except Exception as error:
            answer = of_error(error).response()
        await answer(scope, receive, send)

    async def describe(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the OpenAPI document, whoever asks."""
        answer: Response
        if segments_of(scope) == ["openapi.json"] and scope["method"] in ("GET", "HEAD"):
            answer = self._description(scope)
        else:
            where = f"{scope.get('root_path', '')}{self._path}"
            answer = Problem(404, "not_found", f"nothing here: see {where}/openapi.json").response()
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        segments = segments_of(scope)
        if segments is None:
            raise Problem(400, "path_unreadable", "the path is no text in UTF-8")
        if segments == ["openapi.json"]:
            return self._description(scope)
        route, parts = self._find(scope["method"], segments)
        if isinstance(route, Response):
            return route
        connection = HTTPConnection(scope, receive)
        principal = NOBODY
        if route.permission is not None:
            principal = await self.identify(connection)
            check_caller(route, principal, parts)
        headers = connection.headers
        given: dict[str, Any] = dict(parts)
        query: bytes = scope.get("query_string", b"")
        if route.query is not None:
            given["query"] = read_query(route.query, query)
        else:
            refuse_query(query)
        fields = wanted_fields(route, given.get("query"))
        reason: str | None = None
        if route.body is not None:
            given["body"] = body = read_json(route.body, await self._body(headers, receive))
            reason = getattr(body, "reason", None)
        call = Call(self, connection, principal)
        with acting(principal.actor, reason):
            answer = await self.run(route, call, given)
        if isinstance(answer, Response):
            return answer
        return response(route, answer, fields, headers.get("if-none-match"))

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Return who calls; errors as `Access.identify`, and `StoreUnreachableError`."""
        return await self._watch.run(self.access.identify(connection))

    async def run(self, route: Route, call: Call, given: Mapping[str, Any]) -> Any:
        """Return what a route answers, if it does so in time.

        Parameters:
            route: Which. Whether the caller may use it was checked.
            call: Who asks.
            given: The parts of its path, its query and its body.

        Raises:
            Problem: It is not done in time.
            StoreUnreachableError: The store does not answer.
            InvalidOptionError: An option makes no sense; it is named as it was sent.
        """
        timeout_s = route.timeout_s or self.options.request_timeout_s
        try:
            return await self.within(timeout_s, route.function(call, **given))
        except InvalidOptionError as error:
            if type(error) is not InvalidOptionError:  # others know what they are about
                raise
            raise as_sent(error, given.values()) from None

    async def within(self, timeout_s: float, work: Awaitable[T]) -> T:
        """Return what some work returns, if it does so in time and the store answers.

        Raises:
            Problem: It is not done in time.
            StoreUnreachableError: The store does not answer.
        """
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await self._watch.run(work)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Problem(
                503,
                "timeout",
                f"not done within {timeout_s:g} s: the store is slow or does not answer. What was"
                " asked may have been done",
                headers={"retry-after": "1"},
            ) from None

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        most = self.options.max_body_bytes
        length = headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 15 or int(length) > most):
            raise too_large(most)
        body = await read_body(receive, max_bytes=most, timeout_s=self.options.body_timeout_s)
        if not body:
            return b"{}"
        if kind != "application/json":
            raise Problem(
                415, "not_json", f"content-type {kind[:100]!r}: expected application/json"
            )
        return body

    def _find(self, method: str, segments: list[str]) -> tuple[Route | Response, dict[str, str]]:
        """Return the route of a request, and the parts of its path that vary; or an answer."""
        methods: list[str] = []
        asked = "GET" if method == "HEAD" else method
        for route in self._by_length.get(len(segments), ()):
            parts = match(route, segments)
            if parts is None:
                continue
            if route.method == asked:
                return route, parts
            methods.append(route.method)
        if not methods:
            raise Problem(404, "not_found", f"nothing here: see {self._path}/openapi.json")
        allow = ", ".join(sorted({*methods, "OPTIONS"}))
        if method == "OPTIONS":
            return Response(status_code=204, headers={"allow": allow}), {}
        raise Problem(
            405, "method_not_allowed", f"{method[:20]} is not possible here: {allow} is",
            headers={"allow": allow},
        )  # fmt: skip

    def _description(self, scope: Scope) -> Response:
        root = scope.get("root_path", "").removesuffix(self._path)
        if root not in self._described:
            self._described = {root: document(self._routes, root, self._path)}
        return Response(
            self._described[root],
            media_type="application/json",
            headers={"cache-control": "no-cache"},
        )


def check_caller(route: Route, principal: Principal, parts: Mapping[str, Any]) -> None:
    """Refuse a caller that may not use a route.

    Parameters:
        route: Which.
        principal: Who calls.
        parts: Of the path, with the queue if it names one.

    Raises:
        Problem: It may not.
    """
    if route.permission is None:
        return
    queue = parts.get("queue", parts.get("letters"))
    if route.names_queues:
        good = principal.may_somewhere(route.permission)
    else:
        good = principal.may(route.permission, queue)
    if not good:
        raise forbidden(principal, route.permission, queue)


def match(route: Route, segments: Sequence[str]) -> dict[str, str] | None:
    """Return the parts of a path that vary, if the route answers there."""
    parts: dict[str, str] = {}
    for expected, given in zip(route.segments, segments, strict=True):
        if expected.startswith("{"):
            if not given:
                return None
            parts[expected[1:-1]] = given
        elif expected != given:
            return None
    return parts
