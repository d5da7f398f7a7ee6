"""Connections to Django's databases around a job, as Django itself sees to them around a request.

A connection that the server has closed meanwhile, or that is older than `CONN_MAX_AGE`, would fail
the next job of its thread. One inside a transaction, as in a test, is left alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def refresh_connections() -> None:
    """Close this thread's connections that are broken or too old; forget their logged queries."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        if not connection.force_debug_cursor:  # else a test counts queries
            connection.queries_log.clear()
        connection.close_if_unusable_or_obsolete()


def refreshed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function with fresh connections: they are its thread's."""

    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        refresh_connections()
        try:
            return function(*args, **kwargs)
        finally:
            refresh_connections()

    return around


def refreshed_async(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an async function with fresh connections.

    They are those of the thread in which Django makes the queries of async code.
    """
    from asgiref.sync import sync_to_async

    refresh = sync_to_async(refresh_connections, thread_sensitive=True)

    @functools.wraps(function)
    async def around(*args: Any, **kwargs: Any) -> Any:
        await refresh()
        try:
            return await function(*args, **kwargs)
        finally:
            await refresh()

    return around
