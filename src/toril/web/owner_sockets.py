"""WebSockets that tell a user what became of the user's jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from toril.web.access.port import Access, Permission, Principal, Throttled, Unauthenticated

POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
MAX_WAITING = 1000
"""Messages that may wait for a client. A slower one is cut off."""

UserOf = Callable[[WebSocket, Principal], str | None]
"""Returns whose messages a caller gets beside those of nobody. None: everybody's."""


def named_user(socket: WebSocket, principal: Principal) -> str | None:
    """Return the user that a caller speaks for: itself; an administrator may name one.

    The name stands in the query, as `?userId=`. An administrator who names nobody gets everything.
    """
    if not principal.may(Permission.ADMIN):
        return principal.name
    return socket.query_params.get("userId")


class OwnerSockets:
    """The sockets that are open. Used on one event loop.

    Parameters:
        access: Says who calls, as for other requests.
        user_of: Whose messages a caller gets.
    """

    def __init__(self, access: Access, *, user_of: UserOf = named_user) -> None:
        self._access = access
        self._user_of = user_of
        self._open: dict[asyncio.Queue[str | None], tuple[str | None, bool]] = {}

    def route(self, path: str) -> WebSocketRoute:
        """Return the route of the sockets."""
        return WebSocketRoute(path, self._serve)

    def send(self, user_id: str | None, message: Mapping[str, Any]) -> int:
        """Send a message to the sockets of a user, and to administrators who listen to all.

        Parameters:
            user_id: Whose message it is. None: administrators alone get it.
            message: As JSON.

        Returns:
            How many sockets get it.
        """
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        count = 0
        for waiting, (user, is_admin) in list(self._open.items()):
            if not (is_admin if user is None or user_id is None else user == user_id):
                continue
            if waiting.full():
                self._open.pop(waiting, None)
                waiting.get_nowait()
                waiting.put_nowait(None)
                continue
            waiting.put_nowait(text)
            count += 1
        return count

    async def _serve(self, socket: WebSocket) -> None:
        try:
            principal = await self._access.identify(socket)
        except (Unauthenticated, Throttled) as error:
            # Before it is accepted: the answer is HTTP 403.
            await socket.close(POLICY_VIOLATION, str(error)[:100])
            return
        waiting: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING)
        user = self._user_of(socket, principal)
        await socket.accept()
        self._open[waiting] = (user, principal.may(Permission.ADMIN))
        writing = asyncio.create_task(_write(socket, waiting))
        reading = asyncio.create_task(_read(socket))
        try:
            await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.pop(waiting, None)
            for task in (writing, reading):
                task.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)


async def _write(socket: WebSocket, waiting: asyncio.Queue[str | None]) -> None:
    while (text := await waiting.get()) is not None:
        await socket.send_text(text)
    await socket.close(POLICY_VIOLATION, "too slow")


async def _read(socket: WebSocket) -> None:
    """Return when the client has gone. What it sends is not asked for."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, KeyError):
        return
