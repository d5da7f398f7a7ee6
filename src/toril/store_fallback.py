"""The fallback store of an app: which store is live, and what joins the two.

What is needed for it is imported by who uses it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from toril.core.checks import require
from toril.core.clock import Clock
from toril.core.errors import InvalidOptionError
from toril.engine.contract import Backend
from toril.store_looks import StoreLooks

if TYPE_CHECKING:
    from toril.backends import FileOptions
    from toril.fallback.breaker import Switch
    from toril.fallback.info import StoreState
    from toril.fallback.local_work import LocalWork
    from toril.fallback.options import Fallback
    from toril.fallback.store import FallbackStore
    from toril.observability.figures import Figures


class StoreFallback(StoreLooks):
    """The calls of `App` that are about its fallback store."""

    _fallback: Fallback | None
    _joined: FallbackStore | None

    @property
    def has_fallback(self) -> bool:
        """Whether the app has a fallback store."""
        return self._fallback is not None

    async def store_state(self) -> StoreState:
        """Return which store is live, since when, and what is still to move to Redis."""
        from toril.fallback.info import StoreState

        backend = self.backend()
        store = self._joined
        if store is None:
            is_redis = backend.repeats is not None
            return StoreState(live="redis" if is_redis else "sqlite", store=backend.url)
        breaker = store.breaker
        return StoreState(
            live=breaker.live,
            store=store.spool.backend.url if breaker.away else store.primary.url,
            since=breaker.since,
            reason=breaker.reason,
            spool=store.spool.backend.url,
            to_move=await store.spool.left(),
            moving=store.keeper.moving,
            switches=dict(breaker.counts),
            latest=list(breaker.switches),
        )

    async def figures(self, queues: Sequence[str] | None = None) -> Figures:
        """`StoreLooks.figures`, with which store is live."""
        found = await super().figures(queues)
        return found if self._joined is None else replace(found, store=await self.store_state())

    def _readable(self) -> Backend:
        backend, store = self.backend(), self._joined
        return store.spool.backend if store is not None and store.cut_off else backend

    def store_state_sync(self) -> StoreState:
        """`store_state` for plain code."""
        return self._producer.run_sync(self.store_state())

    def _use_fallback(self, url: object, given: str | Fallback | None) -> None:
        """Take note of the fallback store that the app is to have."""
        self._fallback = self._joined = None
        if given is None:
            given = self.settings.fallback_url
            if given is None or is_file(url):
                return
        from toril.fallback.options import Fallback

        require(
            isinstance(given, str | Fallback), "fallback", given, "a URL of a file, or `Fallback`"
        )
        if is_file(url):
            raise InvalidOptionError(
                "fallback: this app's store is a file, which is never away; only one on Redis takes"
                " a fallback store"
            )
        self._fallback = Fallback(given) if isinstance(given, str) else given

    def _join(
        self, primary: Backend, options: Fallback, *, files: FileOptions, clock: Clock | None
    ) -> Backend:
        """Return a store on Redis with its fallback store."""
        from toril.fallback.opening import open_fallback

        store = self._joined = open_fallback(
            primary, options, clock=clock, files=files, max_stalled=self.settings.max_stalled
        )
        store.breaker.tell = lambda switch: self._tell_switch(store, switch)
        store.keeper.make_work = lambda: self._work_alone(store)
        store.keeper.start()
        return store.backend

    def _tell_switch(self, store: FallbackStore, switch: Switch) -> None:
        """Call the hooks of a switch, in the thread that watches."""
        store.keeper.nudge()
        store.keeper.soon(
            lambda: self._hooks.tell(
                "switched", source=switch.source, target=switch.target, reason=switch.reason
            )
        )

    @abstractmethod
    def _work_alone(self, store: FallbackStore) -> LocalWork | None:
        """Return what works the spool in a process that has no worker. None: no task is known."""


def is_file(url: object) -> bool:
    """Return whether a store is a file, by its URL."""
    return isinstance(url, str) and ("://" not in url or url.startswith("sqlite://"))
