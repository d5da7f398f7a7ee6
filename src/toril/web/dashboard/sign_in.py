"""Signing in and out: a form, a link that works once, and the way back to where one was."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response

from toril.core.errors import TorilError
from toril.web.access.control import AccessControl
from toril.web.access.port import Throttled, Unauthenticated
from toril.web.access.sessions import SignedIn
from toril.web.dashboard.headers import HTML
from toril.web.dashboard.messages import catalogue
from toril.web.dashboard.page import N_, Form
from toril.web.dashboard.preferences import preferences_of
from toril.web.dashboard.rendering import render_bare
from toril.web.dashboard.visit import local, query_of, root_of

_NOTES = {
    "ended": N_("Your session has ended. Sign in, and go on where you were."),
    "undone": N_("Your session had ended, so nothing was changed. Sign in, and do it again."),
    "out": N_("You are signed out."),
}


class SignIn:
    """The pages for somebody who is not known yet."""

    def __init__(self, control: AccessControl) -> None:
        self._control = control

    def ask(self, connection: HTTPConnection, *, error: str = "", name: str = "") -> Response:
        """Return the form.

        Parameters:
            connection: The request.
            error: What was wrong with what was sent.
            name: What was typed as the name.
        """
        query = query_of(connection)
        preferences = preferences_of(connection)
        texts = catalogue(preferences.language)
        root = root_of(connection)
        note = _NOTES.get((query.get("why") or [""])[-1], "")
        html = render_bare(
            preferences.language,
            "login.html",
            {
                "root": root,
                "preferences": preferences,
                "to": local((query.get("next") or [""])[-1], root),
                "error": error,
                "note": texts.gettext(note) if note else "",
                "name": name,
                "link": (query.get("link") or [""])[-1][:200],
            },
        )
        return HTMLResponse(html, 401 if error else 200, headers=dict(HTML))

    async def take(self, connection: HTTPConnection, form: Form) -> Response:
        """Sign somebody in, and lead to where they wanted to go."""
        sessions = self._control.sessions
        name, password = _one(form, "name"), _one(form, "password")
        key, link = _one(form, "key").strip(), _one(form, "link")
        begun: SignedIn
        try:
            if link:
                begun = await self._control.links.use(connection, link)
            elif key:
                begun = await sessions.sign_in_with_key(connection, key)
            else:
                begun = await sessions.sign_in(connection, name, password)
        except (Unauthenticated, Throttled) as error:
            return self.ask(connection, error=_plain(error, connection), name=name)
        answer = _lead(local(_one(form, "next"), root_of(connection)))
        answer.headers.append("set-cookie", begun.set_cookie)
        return answer

    async def leave(self, connection: HTTPConnection) -> Response:
        """Sign somebody out."""
        cookie = await self._control.sessions.sign_out(connection)
        answer = _lead(f"{root_of(connection)}/login?why=out")
        answer.headers.append("set-cookie", cookie)
        answer.headers["clear-site-data"] = '"cache"'
        return answer


def send_to_sign_in(connection: HTTPConnection, back: str, *, lost: bool) -> Response:
    """Return an answer that leads to the form, and from there back.

    Parameters:
        connection: The request.
        back: The page to come back to.
        lost: Something was to be changed, and was not.
    """
    root = root_of(connection)
    query = {"next": back}
    if lost:
        query["why"] = "undone"
    elif connection.cookies.get("toril") or connection.cookies.get("__Host-toril"):
        query["why"] = "ended"
    to = f"{root}/login?{urlencode(query)}"
    if "hx-request" in connection.headers:  # the whole page has to go, not the part that is swapped
        headers = {"hx-redirect": to, "cache-control": "no-store"}
        return Response(status_code=204, headers=headers)
    return _lead(to)


def _plain(error: TorilError, connection: HTTPConnection) -> str:
    texts = catalogue(preferences_of(connection).language)
    if isinstance(error, Throttled):
        return texts.gettext(
            "Too many wrong passwords or keys from here. Try again in %(seconds)s s."
        ) % {"seconds": error.retry_after_s}
    if error.status == 403:  # type: ignore[attr-defined]  # a page of another site asks
        return str(error)
    return texts.gettext(
        "That did not work: the name, the password or the key is not known, or has expired."
    )


def _lead(to: str) -> Response:
    return RedirectResponse(to, 303, headers={"cache-control": "no-store"})


def _one(form: Form, name: str) -> str:
    return (form.get(name) or [""])[-1]
