"""Exchanges whose reply was lost. Their jobs may have been claimed.

The next exchange names the token of the lost one. The store then returns the jobs that were claimed
with it, and accepts outcomes that it has already applied.
"""

from __future__ import annotations

from collections.abc import Iterable


class LostExchanges:
    """The tokens of lost exchanges, by worker and queue, until their claims were found again."""

    def __init__(self) -> None:
        self._tokens: dict[str, dict[str, list[str]]] = {}

    def __contains__(self, worker_id: object) -> bool:
        """Whether a worker has lost any."""
        return worker_id in self._tokens

    def add(self, worker_id: str, queues: Iterable[str], token: str) -> None:
        """Remember an exchange that may have claimed jobs of these queues."""
        mine = self._tokens.setdefault(worker_id, {})
        for queue in queues:
            mine.setdefault(queue, []).append(token)

    def of(self, worker_id: str, queues: Iterable[str]) -> list[str]:
        """Return the tokens of the lost exchanges with any of these queues, oldest first."""
        mine = self._tokens.get(worker_id)
        if mine is None:
            return []
        return list(dict.fromkeys(token for queue in queues for token in mine.get(queue, ())))

    def found(self, worker_id: str, queues: Iterable[str], tokens: Iterable[str]) -> None:
        """Forget some: what was claimed with them of these queues is in the worker's hands."""
        mine = self._tokens.get(worker_id)
        if mine is None:
            return
        known = set(tokens)
        for queue in queues:
            left = [token for token in mine.pop(queue, ()) if token not in known]
            if left:
                mine[queue] = left
        if not mine:
            del self._tokens[worker_id]

    def forget(self, worker_id: str) -> bool:
        """Forget all of a worker that ends; return whether there were any."""
        return self._tokens.pop(worker_id, None) is not None
