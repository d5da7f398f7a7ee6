"""Routes about the audit log: who did what."""

from __future__ import annotations

from toril.rest.answers import AuditEntries
from toril.rest.bodies import AuditQuery
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes

routes = Routes("audit")


@routes.get("/audit", Permission.ADMIN)
async def list_audit(call: Call, query: AuditQuery) -> AuditEntries:
    """List what people and programs have done, newest first.

    With a filter there may be fewer than `limit` although `next` is set: one request looks through
    a few thousand entries.
    """
    page = await call.app.audit.page(
        limit=query.limit,
        after=query.after,
        actor=query.actor,
        verb=query.verb,
        queue=query.queue,
        job_id=query.job_id,
        since=query.since,
    )
    shown = [one for entry in page.entries if (one := call.sight.entry(entry)) is not None]
    return AuditEntries(items=shown, next=page.next)
