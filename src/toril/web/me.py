"""Who asks, as an answer."""

from __future__ import annotations

from toril.rest.answers import Me
from toril.web.access.port import Principal


def me_of(principal: Principal) -> Me:
    """Return a caller as an answer."""
    return Me(
        name=principal.name,
        kind=principal.kind,
        role=str(principal.role),
        queues=None if principal.queues is None else list(principal.queues),
        payloads=principal.payloads,
    )
