"""Routes for an application's own users: JSON in, JSON out, each for a user who is known.

```python
routes = UserRoutes(user_of(access, find, queue="orders"))

@routes.post("/api/orders", NewOrder, status=201)
async def order(user: str, new: NewOrder) -> dict[str, Any]:
    return {"order": await orders.add(user, new)}

web = site(app, routes.made, access=access)
```
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toril.core.errors import TorilError
from toril.rest.bodies import Body
from toril.web.access.port import Access, Permission
from toril.web.limits import read_body
from toril.web.own_pace import CallerPace
from toril.web.own_routes import Refusal
from toril.web.problems import Problem, of_error
from toril.web.reading import read_json

B = TypeVar("B", bound=Body)

MAX_BYTES = 256 * 1024
"""Largest body."""
READ_S = 10.0
"""How long a caller may take to send it, in seconds."""
HEADER = "X-User-Id"
"""For which user a program calls."""

UserOf = Callable[[Request], Awaitable[str]]
Answers = Callable[[Request], Awaitable[Response]]
Handler = Callable[[str, B], Awaitable[dict[str, Any]]]


def user_of(access: Access, find: Callable[[str], Awaitable[str | None]], *, queue: str) -> UserOf:
    """Return what says which user makes a request: by a session, or by a program's key.

    A session's token comes as `Authorization: Bearer TOKEN`. A program sends a submitter's key
    in its place, and the user's id as `X-User-Id`.

    Parameters:
        access: Knows the keys.
        find: Returns the id of the user whose token it is; None: nobody's.
        queue: Which queue a key has to be allowed to submit to.

    Raises (what is returned):
        Unauthenticated: Nobody is known by it.
        Problem: 403: the key may not submit, or names no user.
    """

    async def found(request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            user = await find(token.strip())
            if user is not None:
                return user
        caller = await access.identify(request)
        if not caller.may(Permission.SUBMIT, queue):
            needs = "this needs a session's token, or a submitter's key: this one has the role"
            raise Problem(403, "forbidden", f"{needs} {caller.role.value}")
        named = request.headers.get(HEADER, "")
        if not named:
            expected = "a program says by the header X-User-Id for which user it calls"
            raise Problem(403, "forbidden", f"X-User-Id: {expected}", field=HEADER)
        return named

    return found


class UserRoutes:
    """Routes that read a body of a known type. Refusals are JSON, as those of `site`.

    Parameters:
        user: Says who asks; raises an error of Toril's if nobody is known.
    """

    def __init__(self, user: UserOf) -> None:
        self._user = user
        self.made: list[Route] = []
        """The routes, for Starlette and its kin."""

    def post(
        self,
        path: str,
        kind: type[B],
        *,
        status: int = 200,
        anybody: bool = False,
        pace: str | None = None,
    ) -> Callable[[Handler[B]], Handler[B]]:
        """Answer `POST` by a function of the user's id and the body; it returns the answer's body.

        Parameters:
            path: Such as `/api/orders`.
            kind: Of the body. What does not fit is answered with 422, which names the field.
            status: Of the answer.
            anybody: Also for callers of whom nothing is known; the user's id is "" then.
            pace: How often a user may call, in each process: `20/min`. More is answered with 429.
                Default, or empty: as often as they like.

        Raises:
            InvalidOptionError: `pace` says none.
        """
        paced = CallerPace.of(pace) if pace else None

        def decorate(handler: Handler[B]) -> Handler[B]:
            async def answer(request: Request) -> Response:
                user = "" if anybody else await self._user(request)
                if paced is not None:
                    paced.take(user)
                content = await read_body(request.receive, max_bytes=MAX_BYTES, timeout_s=READ_S)
                return JSONResponse(await handler(user, read_json(kind, content)), status)

            self.made.append(Route(path, told(answer), methods=["POST"]))
            return handler

        return decorate


def told(answer: Answers) -> Answers:
    """Return a function that answers errors of Toril's with their status."""

    async def telling(request: Request) -> Response:
        try:
            return await answer(request)
        except Refusal as error:
            known: dict[str, Any] = {"field": error.field, "allowed": error.allowed}
            problem = Problem(error.status, error.code, str(error), headers=error.headers, **known)
            return problem.response()
        except TorilError as error:
            return of_error(error).response()

    return telling
