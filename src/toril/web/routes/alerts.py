"""Routes about alerts: what is raised, and of what nobody is told for a while."""

from __future__ import annotations

from toril.alerts.handle import RULES, AlertInfo
from toril.core.masking import MASK
from toril.rest.answers import AlertFacts, AlertLine, Done, MuteLine, UnsentLine
from toril.rest.bodies import MuteBody, UnmuteBody
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.problems import Problem

routes = Routes("alerts")

REPEATS_ERRORS = ("dead_letter", "stuck_flow")
"""Rules whose texts say what a task has raised."""


@routes.get("/alerts")
async def list_alerts(call: Call) -> AlertFacts:
    """List alerts that are raised, pending, or have recovered lately; what is muted and unsent.

    Workers of an app that declares alerts watch for them. A key for some queues is shown alerts of
    those queues only.
    """
    handle = call.app.alerts
    found = [_line(call, one) for one in await handle.list() if call.sees(one.queue)]
    everything = call.principal.queues is None
    mutes = await handle.mutes() if everything else ()
    unsent = await handle.unsent() if everything else ()
    return AlertFacts(
        watched=handle.watched,
        rules=list(RULES),
        alerts=found,
        mutes=[
            MuteLine(rule=one.rule, queue=one.queue, until=one.until, by=one.by, reason=one.reason)
            for one in mutes
        ],
        unsent=[
            UnsentLine(
                channel=one.channel, title=one.title, at=one.at, tries=one.tries, error=one.error
            )
            for one in unsent
        ],
    )


@routes.post("/alerts/mute")
async def mute_alerts(call: Call, body: MuteBody) -> MuteLine:
    """Tell nobody of some alerts for a while. What is still raised then is told."""
    made = await call.app.alerts.mute(
        body.rule,
        body.queue,
        duration=body.duration_s,
        by=call.principal.actor,
        reason=body.reason or "",
    )
    return MuteLine(
        rule=made.rule, queue=made.queue, until=made.until, by=made.by, reason=made.reason
    )


@routes.post("/alerts/unmute", errors=(404,))
async def unmute_alerts(call: Call, body: UnmuteBody) -> Done:
    """End a mute, given in the words in which it was made."""
    if not await call.app.alerts.unmute(body.rule, body.queue):
        raise Problem(
            404, "mute_not_found", f"rule {body.rule!r} of queue {body.queue!r} is not muted in"
            " these words: GET /alerts lists what is",
        )  # fmt: skip
    return Done(count=1)


def _line(call: Call, one: AlertInfo) -> AlertLine:
    hidden = one.rule in REPEATS_ERRORS and not call.payloads
    return AlertLine(
        rule=one.rule,
        queue=one.queue,
        state=one.state,
        since=one.since,
        seen=one.seen,
        value=one.value,
        threshold=one.threshold,
        text=MASK if hidden else one.text,
        told_at=one.told_at,
        muted=one.muted,
    )
