"""Passwords: hashed with Argon2id, off the event loop, and only a few at a time.

A hash takes 64 MB and a fraction of a second by design. So as many run at once as the machine can
bear, and a few more wait; the others are told to come back.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from toril.core.errors import InvalidOptionError
from toril.web.access.port import Throttled

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

MIN_CHARS = 12
MAX_BYTES = 1024
AT_ONCE = 2
WAITING = 8


class Passwords:
    """Makes hashes and checks passwords against them. For one event loop."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Prepare.

        Parameters:
            hasher: Other costs than argon2-cffi's defaults, which are those of RFC 9106.
        """
        self._hasher = hasher
        self._decoy: str | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._inside = 0

    async def hash(self, password: str) -> str:
        """Return the hash of a new password, with its parameters and a salt.

        Raises:
            InvalidOptionError: It is too short, too long, or no text.
            MissingExtraError: argon2-cffi is not installed.
        """
        text = check_password(password)
        hasher = self._made()
        return await self._apart(lambda: hasher.hash(text))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether a password is the one of a hash.

        Parameters:
            kept: The hash. None: there is no such user, which takes as long to find out.
            password: What somebody has typed.

        Raises:
            Throttled: Too many are being checked.
        """
        hasher = self._made()
        text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
        if len(text) > MAX_BYTES:
            text = b""  # the same work, and no user has it
        if self._decoy is None:
            self._decoy = await self._apart(lambda: hasher.hash("nobody's password"))
        against = kept or self._decoy
        fits = await self._apart(lambda: _fits(hasher, against, text))
        return fits and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made with other costs than today's."""
        return self._made().check_needs_rehash(kept)

    def _made(self) -> PasswordHasher:
        if self._hasher is None:
            try:
                from argon2 import PasswordHasher
            except ImportError as error:
                from toril.core.extras import missing_extra

                raise missing_extra("passwords need argon2-cffi", "web") from error
            self._hasher = PasswordHasher()
        return self._hasher

    async def _apart(self, call: Callable[[], T]) -> T:
        """Run a call in a thread, with as few beside it as there are slots."""
        if self._inside >= AT_ONCE + WAITING:
            raise Throttled(1.0)
        self._inside += 1
        try:
            await self._slots.acquire()
        except BaseException:
            self._inside -= 1
            raise
        future = asyncio.get_running_loop().run_in_executor(None, call)
        # A caller that goes away does not end the thread, whose slot stays taken until it ends.
        future.add_done_callback(self._free)
        return await asyncio.shield(future)

    def _free(self, _: asyncio.Future[T]) -> None:
        self._inside -= 1
        self._slots.release()


def check_password(password: str) -> str:
    """Return a password that may be a new one, in Unicode's composed form.

    Raises:
        InvalidOptionError: It may not. The message does not repeat it.
    """
    text = unicodedata.normalize("NFC", password) if isinstance(password, str) else ""
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidOptionError("password: expected text that can be written as UTF-8") from None
    if len(text) < MIN_CHARS or length > MAX_BYTES:
        raise InvalidOptionError(
            f"password: expected {MIN_CHARS} characters or more, and at most {MAX_BYTES} bytes"
        )
    return text


def _fits(hasher: PasswordHasher, kept: str, text: bytes) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return hasher.verify(kept, text)
    except (Argon2Error, InvalidHashError):
        return False
