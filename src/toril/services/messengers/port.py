"""What a messenger promises: one short text to one receiver, and what became of it."""

from __future__ import annotations

import re
from typing import Protocol

from toril.core.errors import TorilError
from toril.services.unusable import UnusableInputError, named

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class MessengerError(TorilError):
    """The text was not taken. It may be later, unless the error is of a kind below.

    Parameters:
        message: What happened, and what to do.
        retry_after_s: How long the provider asks to wait, in seconds. None: it says nothing.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class MessengerUnknownError(MessengerError):
    """The text was handed over and the answer was lost: it may have been taken."""


class MessengerRefusedError(MessengerError):
    """This receiver, or this text, is refused for good."""


class MessengerSetupError(MessengerError):
    """The provider takes nothing of us, or none is set: nothing will get better by itself."""


class Messenger(Protocol):
    """Sends short texts. Made anywhere; used on one event loop."""

    async def send(self, to: str, text: str, *, key: str) -> str:
        """Send a text, and return the id that the provider gave it.

        Parameters:
            to: Who gets it, in the provider's words.
            text: The whole text.
            key: The same for each attempt at this text to this receiver, of 1 to 64 letters and
                digits. A provider that knows such keys sends it once.

        Raises:
            MessengerRefusedError: The receiver or the text is refused for good.
            MessengerSetupError: Nothing can be sent: a wrong key, or no provider.
            MessengerUnknownError: The answer was lost.
            MessengerError: It was not taken, and may be later.
            UnusableInputError: `to` or `text` cannot be sent.
        """
        ...

    async def close(self) -> None:
        """Let go of what it opened. Twice is fine."""
        ...


class NoMessenger:
    """Fulfils `Messenger` where none is set: each text fails, and the error says what to set.

    Parameters:
        why: The sentence.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    def __repr__(self) -> str:
        return "NoMessenger()"

    async def send(self, to: str, text: str, *, key: str) -> str:
        """Refuse."""
        raise MessengerSetupError(self._why)

    async def close(self) -> None:
        """Nothing is open."""


def check_number(number: str) -> str:
    """Return a phone number in the international form (ITU-T E.164).

    Raises:
        UnusableInputError: It is none.
    """
    if not _E164.fullmatch(number):
        raise UnusableInputError(named("to", number), "expected a number such as +491701234567")
    return number


def check_text(text: str, most_chars: int) -> str:
    """Return a text that can be sent.

    Raises:
        UnusableInputError: It is empty or too long.
    """
    if not text.strip():
        raise UnusableInputError("text", "it is empty")
    if len(text) > most_chars:
        reason = f"{len(text):,} characters, and {most_chars:,} can be sent; make it shorter"
        raise UnusableInputError("text", reason)
    return text
