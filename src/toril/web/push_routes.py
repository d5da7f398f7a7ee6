"""Routes by which browsers subscribe to pushes, for any application of Starlette's kind.

```python
web = Starlette(routes=push_routes(service, user_of=session_user))
```
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toril.library.push.service import PushService
from toril.web.limits import read_body
from toril.web.problems import Problem
from toril.web.user_routes import UserOf, told

MAX_BYTES = 16 * 1024
"""Largest body: a subscription has a few hundred bytes."""

READ_S = 10.0
"""How long a caller may take to send it, in seconds."""


def push_routes(service: PushService, *, user_of: UserOf, path: str = "/api/push") -> list[Route]:
    """Return the routes. Refusals are JSON: `{"error": {"code", "message", "field"?}}`.

    | Route | Body | Answers |
    |---|---|---|
    | `GET {path}/public-key` | | `{publicKey}` |
    | `POST {path}/subscriptions` | what `PushSubscription.toJSON()` gave | 201 `{id}` |
    | `DELETE {path}/subscriptions` | `{endpoint}` | 204 |
    | `GET {path}/vapid-public-key` | | `{publicKey}` |
    | `POST {path}/subscribe` | `{subscription}` | 200 `{success}` |

    The last two are for pages that know these names.

    Parameters:
        service: What stores subscriptions.
        user_of: Returns the id of the user who asks, by the session; raises `Problem(401, …)`, or
            another error of Toril's, if there is none.
        path: Where the routes are.
    """

    async def public_key(_request: Request) -> Response:
        if service.settings.vapid is None:
            raise Problem(503, "no_push_keys", "no VAPID keys are set: `toril vapid` makes a pair")
        return JSONResponse({"publicKey": service.public_key})

    async def add(request: Request) -> Response:
        stored = await service.subscribe(await user_of(request), await _json(request))
        return JSONResponse({"id": stored.id}, 201)

    async def add_in_older_form(request: Request) -> Response:
        await service.subscribe(await user_of(request), await _json(request))
        return JSONResponse({"success": True})

    async def remove(request: Request) -> Response:
        user, body = await user_of(request), await _json(request)
        endpoint = body.get("endpoint") if isinstance(body, dict) else None
        if not isinstance(endpoint, str):
            expected = 'expected {"endpoint": "https://..."}'
            raise Problem(422, "invalid", expected, field="endpoint")
        await service.unsubscribe(user, endpoint)
        return Response(status_code=204)

    return [
        Route(f"{path}/public-key", told(public_key)),
        Route(f"{path}/vapid-public-key", told(public_key)),
        Route(f"{path}/subscriptions", told(add), methods=["POST"]),
        Route(f"{path}/subscriptions", told(remove), methods=["DELETE"]),
        Route(f"{path}/subscribe", told(add_in_older_form), methods=["POST"]),
    ]


async def _json(request: Request) -> Any:
    content = await read_body(request.receive, max_bytes=MAX_BYTES, timeout_s=READ_S)
    try:
        return json.loads(content)
    except ValueError:
        raise Problem(400, "not_json", "the body is not JSON") from None
