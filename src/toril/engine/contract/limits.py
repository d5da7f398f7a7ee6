"""What limits a queue: pause, rate, concurrency, hold."""

from __future__ import annotations

from typing import Protocol


class Limits(Protocol):
    """Settings of a queue, kept in the store. They bind all workers."""

    async def pause(self, queue: str, *, moving: bool = False) -> None:
        """Stop claims; running jobs go on. Emits `paused`.

        Parameters:
            queue: Which. The store creates it if it does not exist.
            moving: Mark the pause as part of a migration (`QueueRecord.moving`), until the next
                pause or resume. A queue that is paused already is not marked.
        """
        ...

    async def resume(self, queue: str) -> None:
        """Allow claims again. Emits `resumed`."""
        ...

    async def set_concurrency(self, queue: str, limit: int | None) -> None:
        """Let at most `limit` jobs of the queue run at once over all workers. None: no limit."""
        ...

    async def set_rate(self, queue: str, limit: int | None, window_ms: int) -> None:
        """Let at most `limit` jobs start in a window, over all workers. None: no limit.

        The setting takes effect at once, in the present window too: the window ends as if it had
        begun with this setting, if that is sooner. So correcting a mistaken window of an hour does
        not take an hour.
        """
        ...

    async def hold(self, queue: str, *, duration_ms: int) -> None:
        """Let no job start for a while, as after an HTTP answer 429. 0 ends the hold.

        The present rate window goes on meanwhile, with the starts that it has counted.
        """
        ...
