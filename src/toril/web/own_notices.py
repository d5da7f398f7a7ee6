"""Shows a caller the notices that the library's `notify.in_app` has stored for its user."""

from __future__ import annotations

from typing import Any

from toril.services.notices.port import Notice, Notices
from toril.web.access.port import Permission
from toril.web.own_routes import Answer, OwnCall, OwnRoutes


def serve_notices(routes: OwnRoutes, notices: Notices, *, path: str = "/notifications") -> None:
    """Add `GET /notifications`: `{"notifications": […]}`, the 50 newest first.

    Parameters:
        routes: Where to add it.
        notices: What is shown.
        path: Where it is.
    """

    async def answer(call: OwnCall) -> Answer:
        found = await notices.of_user(call.user, tenant_id=call.tenant)
        return {"notifications": [_shown(one) for one in found]}

    routes.on("GET", path, Permission.READ)(answer)


def _shown(one: Notice) -> dict[str, Any]:
    return {
        "id": one.id,
        "type": one.type,
        "title": one.title,
        "body": one.body,
        "metadata": one.metadata,
        "createdAt": one.created_at,
        "readAt": one.read_at,
    }
