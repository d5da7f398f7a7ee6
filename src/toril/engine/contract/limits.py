"""What holds a queue back: pause, rate, concurrency."""

from __future__ import annotations

from typing import Protocol


class Limits(Protocol):
    """Settings that live in the store and hold for all workers at once."""

    async def pause(self, queue: str, *, moving: bool = False) -> None:
        """Stop claims; running jobs go on. Event `paused`.

        Parameters:
            queue: Which. It comes to be if it is not there.
            moving: Because it moves to another store. One that is paused already stays as it is;
                another one says why (`QueueRecord.moving`) until it is paused or resumed again.
        """
        ...

    async def resume(self, queue: str) -> None:
        """Allow claims again. Event `resumed`."""
        ...

    async def set_concurrency(self, queue: str, limit: int | None) -> None:
        """Let at most `limit` jobs of the queue run at once over all workers. None: no limit."""
        ...

    async def set_rate(self, queue: str, limit: int | None, window_ms: int) -> None:
        """Let at most `limit` jobs start in a window, over all workers. None: no limit.

        It holds at once. A window that has begun ends as if this setting had begun it, if that is
        sooner, so that a mistake of an hour does not outlive its correction.
        """
        ...

    async def hold(self, queue: str, *, duration_ms: int) -> None:
        """Let no job start for a while, as after an answer 429. 0 ends it.

        A rate window goes on meanwhile, and counts what has started in it.
        """
        ...
