"""What people do to a store as a whole: mend it, move queues out of it, give a worker up for dead.

Each call is told with who made it and why (`operations.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toril.engine.contract import Backend, Repair
from toril.engine.operator import Progress
from toril.engine.producer import Producer
from toril.engine.sweeper import take_back
from toril.engine.wishes import Wish, about, wish_text

if TYPE_CHECKING:
    from toril.engine.migration import QueueMove


class StoreOperator:
    """The verbs for one store."""

    def __init__(self, producer: Producer) -> None:
        self._open = producer.backend
        self._operations = producer.operations

    async def declare_dead(self, worker_id: str, *, max_stalled: int) -> int:
        """Put the jobs of a worker that is known to be dead back in line; return how many went."""
        backend = self._open()
        given: dict[str, Any] = {"worker_id": worker_id, "max_stalled": max_stalled}
        async with self._operations.doing("declare_dead", **given) as doing:
            await backend.workers.declare_dead(worker_id)
            doing.count = await take_back(backend.dispatch, max_stalled=max_stalled)
        return doing.count

    async def tell_worker(self, worker_id: str, wish: Wish, concurrency: int | None) -> bool:
        """Tell a worker what to do; return whether there is such a one. Nobody is told if not."""
        text = wish_text(wish, concurrency)
        given: dict[str, Any] = {"worker_id": worker_id, "wish": wish}
        if concurrency is not None:
            given["concurrency"] = concurrency
        async with self._operations.doing("tell_worker", **given) as doing:
            doing.changed = await self._open().workers.tell(worker_id, text, about=about(wish))
        return doing.changed

    async def repair(self, repairs: Sequence[Repair], *, max_stalled: int) -> list[Repair]:
        """Mend what a look has found; return what was done. Nobody is told if nothing was."""
        async with self._operations.doing("repair", max_stalled=max_stalled) as doing:
            done = await self._open().lifecycle.repair(repairs, max_stalled=max_stalled)
            doing.arguments["done"] = [repair.text for repair in done]
            doing.changed = done != []
        return done

    async def migrate_to(
        self,
        target: Backend,
        queues: Sequence[str] | None,
        *,
        force: bool,
        progress: Progress | None,
    ) -> list[QueueMove]:
        """Move queues to another store; told once, with the number of jobs of all of them."""
        from toril.engine.migration import move  # here: few programs need it

        names = None if queues is None else list(queues)
        given: dict[str, Any] = {"target": target.url, "queues": names, "force": force}
        async with self._operations.doing("migrate_to", **given) as doing:

            def count(moved: int) -> None:
                doing.count = moved
                if progress is not None:
                    progress(moved)

            doing.count = 0
            return await move(self._open(), target, names, force=force, progress=count)
