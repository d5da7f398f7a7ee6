"""Finds the primary through the sentinels, and connects to it.

A frozen server still accepts connections, as its kernel answers for it. So the sentinels are polled
while a connection is being made, and the attempt ends once they name another server.
"""

from __future__ import annotations

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
from toril.backends.redis.client.consensus import Answer, ask_at_once
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
        best, errors, silent = await ask_at_once(
            [self._ask(sentinel) for sentinel in address.hosts],
            timeout_s=min(SENTINEL_S, address.connect_timeout_s),
            enough=len(address.hosts) // 2 + 1,
        )
        if best is not None:
            return best.value
        for error in errors:
            if not isinstance(error, BackendError):  # the address is wrong, not the sentinel
                raise error
        reasons = [str(error) for error in errors]
        reasons += [f"{show_endpoint(address.hosts[index])} does not answer" for index in silent]
        raise away(address.shown, "no sentinel names a primary: " + "; ".join(reasons))

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

    async def _ask(self, sentinel: Endpoint) -> Answer[Endpoint]:
        """Return the primary that one sentinel names. The last failover's number is its rank."""
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
        return Answer((_epoch(said),), (str(host), int(port)))


def _epoch(said: Any) -> int:
    """Return the number of the last failover. 0 if the user may not ask."""
    if isinstance(said, list) and "config-epoch" in said:
        return int(said[said.index("config-epoch") + 1])
    return 0
