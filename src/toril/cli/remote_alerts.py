"""The alerts of a store behind a server, with the methods that commands use."""

from __future__ import annotations

from collections.abc import Sequence

from toril.client import ApiError, AsyncClient
from toril.rest.answers import AlertLine, MuteLine, UnsentLine


class RemoteAlerts:
    """Alerts behind a server."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self) -> Sequence[AlertLine]:
        """Return what is raised, pending or has recovered, of the queues that the key may see."""
        return (await self._client.list_alerts()).alerts

    async def mutes(self) -> Sequence[MuteLine]:
        """Return what nobody is told of."""
        return (await self._client.list_alerts()).mutes

    async def unsent(self) -> Sequence[UnsentLine]:
        """Return the messages that could not be sent yet."""
        return (await self._client.list_alerts()).unsent

    async def mute(
        self, rule: str, queue: str, *, duration: float, by: str, reason: str
    ) -> MuteLine:
        """Tell nobody for a while. By whom, the server knows itself."""
        return await self._client.mute_alerts(
            duration, reason=reason or None, rule=rule, queue=queue
        )

    async def unmute(self, rule: str, queue: str) -> bool:
        """End a mute; return whether there was one."""
        try:
            await self._client.unmute_alerts(rule=rule, queue=queue)
        except ApiError as error:
            if error.code == "mute_not_found":
                return False
            raise
        return True
