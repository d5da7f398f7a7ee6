"""Finds the primary through the sentinels, and connects to it.

A frozen server still accepts connections, as its kernel answers for it. So the sentinels are polled
while a connection is being made, and the attempt ends once they name another server.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from toril.backends.redis.client.address import Address, Endpoint, show_endpoint
from toril.backends.redis.client.connecting import (
    CLIENT_NAME,
    Opened,
    ask_all,
    away,
    connect,
    follow,
    login,
    open_connection,
    unsaid,
)
from toril.backends.redis.client.protocol import Argument, ReplyError
from toril.backends.redis.client.refusals import translate
from toril.core.errors import BackendError, StoreUnreachableError

SENTINEL_S = 1.0
"""Time limit for the answers of all sentinels together, in seconds."""


class SentinelDiscovery:
    """Asks the sentinels of one address."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def primary(self) -> Endpoint:
        """Return the primary that the sentinels name.

        Asks all of them at once. In a partition those on the small side still name the old primary.
        So this waits until more than half have answered, or the time is up, and takes the answer
        with the newest failover.

        Raises:
            StoreUnreachableError: None of them knows.
        """
        address = self._address
        asked = [asyncio.ensure_future(self._ask(sentinel)) for sentinel in address.hosts]
        found: list[tuple[int, Endpoint]] = []
        reasons = []
        try:
            limit_s = min(SENTINEL_S, address.connect_timeout_s)
            for answer in asyncio.as_completed(asked, timeout=limit_s):
                try:
                    found.append(await answer)
                except BackendError as error:
                    reasons.append(str(error))
                if len(found) > len(asked) // 2:
                    break
        except TimeoutError:
            for endpoint, one in zip(address.hosts, asked, strict=True):
                if not one.done():
                    reasons.append(f"{show_endpoint(endpoint)} does not answer")
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if not found:
            raise away(address.shown, "no sentinel names a primary: " + "; ".join(reasons))
        return max(found, key=lambda one: one[0])[1]

    async def open_primary(self, *, name: str = CLIENT_NAME, answers_late: bool = False) -> Opened:
        """Connect to the primary as `open_connection` does. Follow it if it moves meanwhile."""
        opener = partial(
            open_connection, self._address, name=name, answers_late=answers_late, as_primary=True
        )
        return await follow(await self.primary(), opener, self._look)

    async def _look(self) -> Endpoint | None:
        try:
            return await self.primary()
        except StoreUnreachableError:
            return None

    async def _ask(self, sentinel: Endpoint) -> tuple[int, Endpoint]:
        """Return the number of the last failover, and the primary that one sentinel names."""
        address = self._address
        service = address.sentinel_service or ""
        connection = await connect(
            address,
            sentinel,
            tls=address.sentinel_tls,
            user=address.sentinel_username,
            answer_timeout_s=address.answer_timeout_s,
        )
        try:
            commands: list[tuple[Argument, ...]] = []
            if address.sentinel_password is not None:
                commands.append(login(address.sentinel_username, address.sentinel_password))
            commands.append(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service))
            commands.append(("SENTINEL", "MASTER", service))
            *needed, said = await ask_all(connection, commands)
            for reply in needed:
                if isinstance(reply, ReplyError):
                    text = unsaid(str(reply), address.sentinel_password)
                    raise translate(text, connection.shown, user=connection.user)
        finally:
            connection.abort("it is not needed any more")
        if needed[-1] is None:
            raise away(address.shown, f"{show_endpoint(sentinel)} knows no service {service!r}")
        host, port = needed[-1]
        return _epoch(said), (str(host), int(port))


def _epoch(said: Any) -> int:
    """Return the number of the last failover. 0 if the user may not ask."""
    if isinstance(said, list) and "config-epoch" in said:
        return int(said[said.index("config-epoch") + 1])
    return 0
