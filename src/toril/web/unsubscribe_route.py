"""Answers the link by which a receiver of bulk mail unsubscribes: add it to your routes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from toril.library.email.service import EmailService
from toril.library.email.unsubscribing import read_token


def unsubscribe_route(mail: EmailService, path: str = "/unsubscribe") -> Route:
    """Return the route. `EMAIL_UNSUBSCRIBE_URL` has to lead to it, with `?t={token}`.

    Parameters:
        mail: Whose list of those who want no bulk mail it adds to.
        path: Where it is.
    """

    async def unsubscribe(request: Request) -> Response:
        key = mail.settings.unsubscribe_key
        token = request.query_params.get("t", "")
        address = None if key is None else read_token(token, key=key)
        if address is None:
            return PlainTextResponse("This link is damaged: copy it whole from the mail.", 404)
        if request.method == "GET":  # programs that look at links must not unsubscribe anybody
            return Response(_PAGE, media_type="text/html", headers=_HEADERS)
        await mail.suppressions.add(address, "unsubscribed")
        return PlainTextResponse("You will get no more news from us.")

    return Route(path, unsubscribe, methods=["GET", "POST"])


_HEADERS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Unsubscribe</title>
<style>body { font: 18px/1.5 system-ui; max-width: 30em; margin: 15vh auto; padding: 0 1em }</style>
<h1>No more news?</h1>
<form method="post"><button style="font: inherit; padding: .5em 1em">Unsubscribe</button></form>
</html>
"""
