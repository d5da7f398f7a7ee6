"""The latest operations on many jobs, as far as they can be read."""

from __future__ import annotations

from collections.abc import Sequence

from toril.core.errors import StoreUnreachableError
from toril.engine.bulk.info import OperationInfo
from toril.rest.bodies import OperationsQuery
from toril.web.dashboard.visit import Visit
from toril.web.routes.search import list_operations


async def recent_operations(visit: Visit, limit: int) -> Sequence[OperationInfo]:
    """Return the latest operations.

    None while Redis is away and a fallback store stands in: only Redis knows them, and the rest of
    a page can be shown without.
    """
    try:
        found = await visit.ask(list_operations, query=OperationsQuery(limit=limit))
    except StoreUnreachableError:
        return ()
    return found.items
