"""What runs beside a worker and works a second store: a fallback store's spool."""

from __future__ import annotations

from typing import Protocol


class Beside(Protocol):
    """Works a second store on the event loop of a worker."""

    async def run(self) -> None:
        """Work until `stop`, or until cancelled: what runs is given back then."""
        ...

    def stop(self, deadline_s: float | None = None) -> None:
        """Take no more jobs; let running ones end, for so many seconds at most."""
        ...

    def pause(self) -> None:
        """Start no jobs until `resume`."""
        ...

    def resume(self) -> None:
        """Start jobs again."""
        ...

    async def finish(self) -> None:
        """Wait until no job runs, after `stop`."""
        ...
