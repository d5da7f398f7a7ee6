"""Who may use the servers in front of a store: keys, users, and sessions of browsers.

A store keeps hashes only: with what it holds nobody can sign in. What a role may do is not known
here; to a store it is a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

UserAnswer = Literal["done", "missing", "outdated", "last"]
"""How a change of a user went. `missing`: there is none. `outdated`: it may do something else by
now. `last`: nobody would be left of the role that somebody has to have."""


class Grant(msgspec.Struct, frozen=True):
    """What a key or a user may do."""

    role: str
    queues: tuple[str, ...] | None = None
    """Patterns of queue names. None: all queues."""
    payloads: bool = False
    """Whether it may see what jobs carry."""


class KeyRecord(msgspec.Struct, frozen=True):
    """A key, of which only the digest is kept."""

    name: str
    digest: str
    """SHA-256 of the key, as hexadecimal."""
    grant: Grant
    created_ms: int
    expires_ms: int | None = None
    """Epoch. None: never."""


class UserRecord(msgspec.Struct, frozen=True):
    """A person with a password, of which only the hash is kept."""

    name: str
    password: str
    """The hash, with its parameters and its salt."""
    stamp: str
    """Random, and new with each new password: sessions of an earlier one end."""
    grant: Grant
    created_ms: int


class SessionRecord(msgspec.Struct, frozen=True):
    """A browser that has signed in."""

    digest: str
    """SHA-256 of what the browser's cookie says, as hexadecimal."""
    kind: str
    """`key` or `user`."""
    name: str
    """Of the key or the user."""
    stamp: str
    """The user's when the session began; of a key, its digest."""
    expires_ms: int
    """Epoch."""
    begun_ms: int | None = None
    """Epoch. None: an earlier version began it, which kept no moment."""
    seen_ms: int | None = None
    """When it was last used, to about a minute. Epoch."""
    place: str = ""
    """From where it was last used: an address, or the network of one. Empty: not known."""
    agent: str = ""
    """What the browser called itself then. Empty: not known."""


class AccessRecords(Protocol):
    """Keys, users and sessions. Names are unique among keys, and among users."""

    async def keys(self) -> list[KeyRecord]:
        """Return all keys, by name."""
        ...

    async def find_key(self, digest: str) -> KeyRecord | None:
        """Return the key of a digest."""
        ...

    async def add_key(self, key: KeyRecord, *, only_first: bool = False) -> bool:
        """Keep a key; return whether it was added. It is not if its name or digest is taken.

        Parameters:
            key: The key.
            only_first: Add it only if there is neither a key nor a user. Of several processes that
                do so at once, one adds its key.
        """
        ...

    async def remove_key(self, name: str) -> bool:
        """Forget a key; return whether it was there."""
        ...

    async def users(self) -> list[UserRecord]:
        """Return all users, by name."""
        ...

    async def find_user(self, name: str) -> UserRecord | None:
        """Return a user."""
        ...

    async def add_user(self, user: UserRecord) -> bool:
        """Keep a user; return whether it was added. It is not if its name is taken."""
        ...

    async def set_password(
        self, name: str, *, password: str, stamp: str, expected: str | None = None
    ) -> bool:
        """Give a user another password hash and stamp; return whether it was done.

        Parameters:
            name: The user's.
            password: The hash.
            stamp: As it is in `UserRecord`.
            expected: Only if this is its hash still. None: whatever it is.
        """
        ...

    async def change_user(
        self, name: str, grant: Grant, *, expected: Grant, keep_one: str | None = None
    ) -> UserAnswer:
        """Give a user other rights. Password, stamp and sessions stay.

        Parameters:
            name: The user's.
            grant: What it may do from now on.
            expected: Only if this is what it may do still.
            keep_one: A role that a user has to have for all queues: the last one keeps it. None:
                nobody has to.
        """
        ...

    async def remove_user(self, name: str, *, keep_one: str | None = None) -> UserAnswer:
        """Forget a user; `keep_one` as in `change_user`."""
        ...

    async def find_session(self, digest: str) -> SessionRecord | None:
        """Return a session that has not expired."""
        ...

    async def add_session(self, session: SessionRecord) -> None:
        """Keep a session until it expires; those that have expired are forgotten."""
        ...

    async def remove_session(self, digest: str) -> bool:
        """End a session; return whether it was there."""
        ...

    async def see_session(self, session: SessionRecord) -> bool:
        """Write down when and from where a session was last used; return whether it was there.

        One that was ended meanwhile stays ended.
        """
        ...

    async def sessions(self, people: Sequence[tuple[str, str]]) -> list[SessionRecord]:
        """Return the sessions of some people that have not expired, in no order.

        Parameters:
            people: Kind and name of each, as in `SessionRecord`.
        """
        ...

    async def remove_sessions(self, kind: str, name: str, *, keep: str | None = None) -> int:
        """End all sessions of somebody; return how many they were.

        Parameters:
            kind: As in `SessionRecord`.
            name: Likewise.
            keep: The digest of one that goes on. None: none does.
        """
        ...
