"""The dashboard as an ASGI application, with the REST interface beside it; to serve or to mount."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from toril.app import App
from toril.core.checks import require
from toril.core.extras import missing_extra
from toril.web.access.control import AccessControl
from toril.web.access.origins import refuse_cross_origin
from toril.web.access.port import Access, Principal
from toril.web.call import forbidden
from toril.web.limits import read_body
from toril.web.loopback import LoopbackOnly
from toril.web.options import ServerOptions
from toril.web.problems import Problem, of_error
from toril.web.reading import segments_of
from toril.web.routes import ROUTES
from toril.web.server import METRICS, PATH, Interface

try:
    from toril.web.dashboard import static_files
    from toril.web.dashboard.flashes import flash_of, forget_cookie
    from toril.web.dashboard.forms import act, read_form
    from toril.web.dashboard.headers import HTML
    from toril.web.dashboard.page import Facts, Form, Page, find
    from toril.web.dashboard.preferences import cookies_for, preferences_of
    from toril.web.dashboard.refusals import refusal
    from toril.web.dashboard.rendering import render
    from toril.web.dashboard.shared import Shared
    from toril.web.dashboard.sign_in import SignIn, send_to_sign_in
    from toril.web.dashboard.visit import REFRESH, Visit, local, path_of, root_of
except ImportError as error:  # Jinja2 or what it needs
    if error.name is None or error.name.partition(".")[0] == "toril":
        raise
    raise missing_extra(f"the dashboard needs {error.name}", "dashboard") from None

MAX_FORM_BYTES = 4 * 1024 * 1024
"""Largest form: 10,000 chosen jobs fit, or a payload as large as the interface takes."""
SHOW_S = 20.0
"""How long a page may take to read what it shows, in seconds; each route has its own limit."""
ACT_S = 90.0
"""How long an action of a page may take, in seconds."""
SMALL_BYTES = 1_000
"""Pages that are smaller are not compressed."""


class Dashboard(Starlette):
    """Pages for a browser, and the REST interface below `/api/v1`."""

    def __init__(
        self,
        app: App,
        *,
        access: Access | None = None,
        options: ServerOptions | None = None,
        path: str = PATH,
        environment: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Make it: an ASGI application, to be served, or mounted in another one at any path.

        Parameters:
            app: Whose jobs. It is not closed with the dashboard.
            access: Who may do what. None: only callers on this machine are answered, and those may
                do everything.
            options: What requests may cost.
            path: Where the REST interface is, below where the dashboard is mounted.
            environment: Shown beside the name, such as `production`. None: nothing is.
            labels: What queues are called beside their names, by name, such as a class's name.

        Raises:
            InvalidOptionError: `path` is none, or where the pages are.
            MissingExtraError: The extra `dashboard` is not installed.
        """
        good = path.startswith("/") and not path.endswith("/")
        require(good, "path", path, "a path such as '/api/v1', below which the interface is")
        self.access = access or LoopbackOnly()
        self.interface = Interface(app, ROUTES, self.access, options or ServerOptions(), path)
        self.shared = Shared()
        """What all open pages share."""
        self.environment = environment
        self.labels = dict(labels or {})
        self.api_path = path

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            self.interface.operations.keep()
            yield
            await self.interface.close()

        super().__init__(lifespan=lifespan)
        # No pattern of Starlette's: it would not find a path with the end of a line in it.
        self.router.default = self._from_outside
        self.state.toril = self.interface

    @property
    def sign_in(self) -> SignIn | None:
        """The pages to sign in. None: nobody is asked who it is, or the host application knows."""
        return SignIn(self.access) if isinstance(self.access, AccessControl) else None

    async def _from_outside(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        segments = segments_of(scope)
        prefix = self.api_path.strip("/").split("/")
        # One that is no text in UTF-8 is read as far as it goes: programs are answered as programs.
        known = segments_of(scope, errors="replace") if segments is None else segments
        if known is not None and (
            known[: len(prefix)] == prefix or known in ([METRICS[1:]], ["openapi.json"])
        ):
            await self.interface.from_outside(scope, receive, send)
            return
        answer = await self._answer(scope, receive, segments)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, segments: list[str] | None) -> Response:
        connection = HTTPConnection(scope, receive)
        principal: Principal | None = None
        form: Form | None = None
        try:
            if segments is None:
                raise Problem(400, "path_unreadable", "the path is no text in UTF-8")
            if scope["method"] not in ("GET", "HEAD", "POST"):
                raise Problem(
                    405, "method_not_allowed", "pages are read and forms are sent here",
                    headers={"allow": "GET, HEAD, POST"},
                )  # fmt: skip
            if segments[:1] == ["static"] and scope["method"] != "POST":
                accepted = connection.headers.get("accept-encoding", "")
                if (found := static_files.answer(segments[1:], accepted)) is not None:
                    return found
            if scope["method"] == "POST":
                form = await self._form(receive)
            if (early := await self._early(connection, segments, form)) is not None:
                return early
            principal = await self.interface.identify(connection)
            return await self._page(connection, principal, segments, form)
        except Exception as error:
            return self._refusal(connection, principal, form, error)

    async def _early(
        self, connection: HTTPConnection, segments: list[str], form: Form | None
    ) -> Response | None:
        """Answer what may be asked by anybody: signing in and out, and preferences."""
        if segments == ["login"] and self.sign_in is not None:
            if form is None:
                return self.sign_in.ask(connection)
            return await self.sign_in.take(connection, form)
        if segments == ["logout"] and form is not None and self.sign_in is not None:
            return await self.sign_in.leave(connection)
        if segments == ["preferences"] and form is not None:
            refuse_cross_origin(connection, browsers_only=True)
            root = root_of(connection)
            answer = RedirectResponse(local((form.get("next") or [""])[-1], root), 303)
            for cookie in cookies_for(form, root):
                answer.headers.append("set-cookie", cookie)
            return answer
        return None

    async def _page(
        self,
        connection: HTTPConnection,
        principal: Principal,
        segments: list[str],
        form: Form | None,
    ) -> Response:
        if len(segments) == 2 and segments[0] == "act" and form is not None:
            return await act(Visit(self, connection, principal, {}), segments[1], form)
        if segments and segments[-1] == "" and len(segments) > 1:  # a slash at the end
            return RedirectResponse(path_of(connection).rstrip("/"), 308)
        found = find(segments)
        if found is None:
            raise Problem(404, "not_found", "there is no page here")
        page, parts = found
        queue = parts.get("queue")
        if not principal.may(page.permission, queue):
            raise forbidden(principal, page.permission, queue)
        visit = Visit(self, connection, principal, parts)
        answer: Facts | Response
        if form is not None:
            word = (form.get("do") or [""])[-1]
            if word not in page.acts:
                raise Problem(404, "not_found", f"this page has no action {word[:100]!r}")
            answer = await self.interface.within(ACT_S, page.acts[word](visit, form))
        else:
            assert page.shows is not None, page.name  # noqa: S101 - a mistake of ours
            answer = await self.interface.within(SHOW_S, page.shows(visit))
        if isinstance(answer, Response):
            return answer
        return self._html(visit, page, answer)

    def _html(
        self, visit: Visit, page: Page, facts: Mapping[str, Any], status: int = 200
    ) -> Response:
        flash = None if visit.refreshes else flash_of(visit.connection)
        html = render(visit, page, facts, flash)
        answer = html_answer(html, visit.headers.get("accept-encoding", ""), status)
        if flash is not None:
            answer.headers.append("set-cookie", forget_cookie(visit.root))
        return answer

    def _refusal(
        self,
        connection: HTTPConnection,
        principal: Principal | None,
        form: Form | None,
        error: Exception,
    ) -> Response:
        problem = of_error(error)
        if problem.status == 401 and self.sign_in is not None:
            if REFRESH in connection.headers:
                return Response(status_code=204, headers={"x-toril-session": "ended"})
            root = root_of(connection)
            back = path_of(connection)
            if form is not None:
                back = local((form.get("next") or [""])[-1], root)
            elif connection.scope.get("query_string"):
                back += "?" + connection.scope["query_string"].decode("ascii", "replace")
            return send_to_sign_in(connection, back, lost=form is not None)
        visit = Visit(self, connection, principal, {}) if principal is not None else None
        html = refusal(connection, visit, problem, preferences_of(connection))
        answer = html_answer(html, connection.headers.get("accept-encoding", ""), problem.status)
        for name, value in problem.headers.items():
            if name != "www-authenticate":
                answer.headers[name] = value
        return answer

    async def _form(self, receive: Receive) -> Form:
        body = await read_body(
            receive,
            max_bytes=MAX_FORM_BYTES,
            timeout_s=self.interface.options.body_timeout_s,
        )
        return read_form(body)


def html_answer(html: str, accepted: str, status: int = 200) -> Response:
    """Return a page, compressed if the browser takes that.

    Parameters:
        html: The page.
        accepted: The header `Accept-Encoding`.
        status: Of the answer.
    """
    body = html.encode("utf-8", "replace")
    headers = dict(HTML)
    if "gzip" in accepted and len(body) > SMALL_BYTES:
        body = gzip.compress(body, 5, mtime=0)
        headers["content-encoding"] = "gzip"
    return HTMLResponse(body, status, headers=headers)
