"""Routes about what happens: the events of a queue, and live streams of them."""

from __future__ import annotations

from starlette.responses import StreamingResponse

from toril.rest.answers import Event, Page
from toril.rest.bodies import EventQuery, StreamQuery
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Raw, Routes
from toril.web.listing import event_list
from toril.web.live import parse_topics

routes = Routes("events")


@routes.get("/queues/{queue}/events")
async def list_events(call: Call, queue: str, query: EventQuery) -> Page[Event]:
    """List events of a queue, oldest first: the newest, or those after a position."""
    await call.existing(queue)
    events = call.app.backend().events
    if query.after is None:
        found = await events.newest(queue, limit=query.limit)
    else:
        found = await events.read(queue, after=query.after, limit=query.limit, wait_s=0.0)
    return Page(event_list(call, queue, found))


@routes.get("/stream")
async def stream(call: Call, query: StreamQuery) -> Raw:
    """Follow what happens, as Server-Sent Events.

    `overview` brings the queues whose figures have changed, `workers` the workers, `store` which
    store is live, with `switched` for each switch, and `event` the events of queues that are
    topics. A request with `Last-Event-ID` gets the events that it missed. A comment comes every
    15 s, so that proxies keep the connection.
    """
    topics = parse_topics(query.topics)
    for queue in topics.queues:
        call.need(Permission.READ, queue)
    call.live.check_room()
    body = call.live.stream(topics, call)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(body, headers=headers, media_type="text/event-stream")  # type: ignore[return-value] # an answer in parts
