"""What a caller may search by: what it may not see, it may not search for either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from toril.core.masking import MASK
from toril.engine.bulk.info import OperationInfo
from toril.engine.search.grammar import parse
from toril.engine.search.query import Term
from toril.web.access.port import Permission, Role
from toril.web.call import Call, forbidden
from toril.web.problems import Problem

CARRIED = ("data", "opts", "result", "error", "text")
"""Fields that tell what a job carries."""


def need_fields(call: Call, query: str) -> None:
    """Refuse a search by what is hidden from the caller: the answers would tell of it.

    A text as a whole holds hidden fields as well, so that only administrators search by it.

    Raises:
        QueryError: The text cannot be read.
        Problem: The caller may not search so.
    """
    for term in _terms(query):
        if term.field not in CARRIED:
            continue
        whole = term.path == ()
        if whole:
            good = call.payloads and call.principal.role is Role.ADMIN
        else:
            good = call.sight.may_search(term.path)
        if not good:
            raise Problem(
                403,
                "hidden_field",
                f"{term}: {call.principal.name} may not search by what it may not see",
                field="q",
            )


def need_queues(call: Call, query: str, permission: Permission) -> None:
    """Refuse a search of a caller that is limited to queues, unless it names only those.

    Raises:
        Problem: It names others, or none.
    """
    if call.principal.queues is None:
        return
    for terms in parse(query).alternatives:
        named = [term for term in terms if term.field == "queue" and not term.negated]
        exact = [value.exact for term in named if term.operator == ":" for value in term.values]
        if not exact or None in exact:
            raise Problem(
                403,
                "queues_not_named",
                f"{call.principal.name} is limited to queues: name them, such as queue:mail",
                field="q",
            )
        for queue in exact:
            if queue is None or not call.principal.may(permission, queue):
                raise forbidden(call.principal, permission, queue)


def sees_operation(call: Call, info: OperationInfo) -> bool:
    """Whether an operation is about queues only that the caller may see."""
    if call.principal.queues is None:
        return True
    others = [info.arguments["to"]] if "to" in info.arguments else []
    return bool(info.queues) and all(call.sees(str(queue)) for queue in [*info.queues, *others])


def shown_operation(call: Call, info: OperationInfo) -> OperationInfo:
    """Return an operation as the caller sees it: a search may name what jobs carry."""
    if info.query is None or call.payloads:
        return info
    tells = any(term.field in CARRIED for term in _terms(info.query))
    return replace(info, query=MASK) if tells else info


def _terms(query: str) -> Iterator[Term]:
    for terms in parse(query).alternatives:
        yield from terms
