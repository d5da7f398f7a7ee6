"""Every route of the REST interface, one module for each kind of thing."""

from __future__ import annotations

from toril.web.routes import (
    access,
    alerts,
    audit,
    dead_letters,
    errors,
    events,
    flows,
    history,
    job_changes,
    jobs,
    queue_changes,
    queues,
    schedules,
    search,
    server,
    sessions,
    store,
    system,
    workers,
)

ROUTES = (
    *server.routes.routes,
    *store.routes.routes,
    *queues.routes.routes,
    *queue_changes.routes.routes,
    *history.routes.routes,
    *jobs.routes.routes,
    *job_changes.routes.routes,
    *events.routes.routes,
    *errors.routes.routes,
    *flows.routes.routes,
    *schedules.routes.routes,
    *dead_letters.routes.routes,
    *workers.routes.routes,
    *search.routes.routes,
    *access.routes.routes,
    *sessions.routes.routes,
    *audit.routes.routes,
    *alerts.routes.routes,
    *system.routes.routes,
)
"""All of them, in the order of the document."""
