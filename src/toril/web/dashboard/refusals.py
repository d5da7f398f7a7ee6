"""Refusals and failures as pages, in the same frame: what is wrong, and the way out."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from toril.core.redact import without_passwords
from toril.web.dashboard.messages import catalogue
from toril.web.dashboard.page import N_, Page
from toril.web.dashboard.preferences import Preferences
from toril.web.dashboard.rendering import render, render_bare
from toril.web.dashboard.visit import Visit, root_of
from toril.web.problems import Problem

_TITLES = {
    401: N_("Who are you?"),
    403: N_("Not allowed"),
    404: N_("Not found"),
    503: N_("The store does not answer"),
    500: N_("An error of the server"),
}
_WAYS = {
    403: N_("Ask an administrator for a role that may do this, or sign in as somebody else."),
    404: N_("It may have been removed since, or the address has a mistake in it."),
    503: N_("This page comes back by itself as soon as the store answers."),
    500: N_("The server has logged it. Try again; if it stays, the log says why."),
}
_OTHER = N_("That makes no sense")
REFUSAL = Page(name="refusal", path="/refusal", title=_OTHER, template="refusal.html")
"""Not a page that anybody can ask for: it has no function that shows it."""


def refusal(
    connection: HTTPConnection, visit: Visit | None, problem: Problem, preferences: Preferences
) -> str:
    """Return the page of a refusal.

    Parameters:
        connection: The request.
        visit: Who asked. None: nobody is known.
        problem: What is wrong.
        preferences: The reader's.
    """
    texts = catalogue(preferences.language)
    status = problem.status
    facts = {
        "status": status,
        "title": texts.gettext(_TITLES.get(status, _OTHER)),
        "sentence": without_passwords(str(problem)),
        "way": texts.gettext(_WAYS[status]) if status in _WAYS else "",
        "away": status == 503,
    }
    if visit is not None:
        return render(visit, REFUSAL, facts, None)
    bare = {"root": root_of(connection), "preferences": preferences}
    return render_bare(preferences.language, "refusal_bare.html", {**bare, **facts})
