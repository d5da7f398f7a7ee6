"""A messenger for tests: keeps what it is sent."""

from __future__ import annotations

from dataclasses import dataclass

from toril.services.messengers.port import MessengerRefusedError, check_text


@dataclass(frozen=True, slots=True)
class Sent:
    """A text that was sent."""

    to: str
    text: str


class MemoryMessenger:
    """Fulfils `Messenger`. Put receivers that are refused into `refused`."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.refused: dict[str, str] = {}
        """Reasons by receiver."""
        self._ids: dict[str, str] = {}

    async def send(self, to: str, text: str, *, key: str) -> str:
        """Keep a text, once for a key."""
        check_text(text, 4096)
        if to in self.refused:
            raise MessengerRefusedError(self.refused[to])
        if key not in self._ids:
            self.sent.append(Sent(to, text))
            self._ids[key] = f"memory-{len(self.sent)}"
        return self._ids[key]

    async def close(self) -> None:
        """Nothing is open."""
