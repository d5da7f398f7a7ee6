"""User and password of a new connection: from the URL, or from a function of the user's."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toril.core.errors import InvalidOptionError, StoreUnreachableError

if TYPE_CHECKING:
    from toril.backends.redis.client.address import Address

CredentialsFunction = Callable[[], object]
"""Returns a password, or a user and a password; plain or async."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `AUTH` is given."""

    username: str | None
    """None: the server's default user."""
    password: str | None = field(repr=False)
    """None: none is given."""

    @property
    def given(self) -> bool:
        """Whether there is anything to say."""
        return self.username is not None or self.password is not None


async def credentials_of(address: Address) -> Credentials:
    """Return the credentials for a new connection. A function is called each time.

    A plain function is called in a thread, so it may block.

    Raises:
        StoreUnreachableError: The function raised an error; another attempt may go better.
        InvalidOptionError: It returned something else.
    """
    function = address.credentials
    if function is None:
        return Credentials(address.username, address.password)
    try:
        if inspect.iscoroutinefunction(function):
            said = await function()
        else:
            said = await asyncio.to_thread(function)
            if inspect.isawaitable(said):
                said = await said
    except Exception as error:
        # Its words are left out: they may hold a token.
        raise StoreUnreachableError(
            f"{address.shown}: cannot be reached: redis_credentials raised"
            f" {type(error).__name__}. Nothing was sent.",
            sent=False,
        ) from error
    match said:
        case str(password) if password:
            return Credentials(address.username, password)
        case (str(user), str(password)) if user and password:
            return Credentials(user, password)
    raise InvalidOptionError(
        f"redis_credentials: it returned {_kind(said)}; expected a password, or a user and a"
        " password as a tuple"
    )


def _kind(said: object) -> str:
    """Say what was returned, and nothing of its contents."""
    if isinstance(said, tuple):
        return f"a tuple of ({', '.join(type(one).__name__ for one in said)})"
    return "an empty text" if said == "" else type(said).__name__
