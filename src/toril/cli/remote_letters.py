"""A dead-letter queue behind a server, with the methods that commands use."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from toril.cli.codes import USAGE, RefusedError
from toril.cli.remote_queue import RemoteJob
from toril.cli.remote_records import letter_of_line
from toril.client import AsyncClient
from toril.engine.letter_info import LetterInfo, LetterPage
from toril.engine.operator import Progress
from toril.rest.answers import Done


class RemoteLetters:
    """A dead-letter queue behind a server."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self._client = client
        self.name = name

    async def list(self, **wanted: Any) -> LetterPage:
        """Return a page of letters."""
        page = await self._client.list_letters(self.name, **wanted)
        return LetterPage([letter_of_line(line) for line in page.items], page.next)

    async def get(self, letter_id: str) -> LetterInfo:
        """Return one letter."""
        return await self._client.get_letter(self.name, letter_id)

    async def redrive(self, letter_id: str, data: Any = None) -> RemoteJob:
        """Bring the job of a letter back."""
        payload = UNSET if data is None else data
        back = await self._client.redrive_letter(self.name, letter_id, payload)
        return RemoteJob(self._client, back.queue, back.id)

    async def redrive_all(
        self, *, max_per_s: float | None = None, progress: Progress, **chosen: Any
    ) -> int:
        """Bring back the jobs of letters."""
        if max_per_s is not None:
            raise RefusedError("--rate needs the store itself: leave out --server", USAGE)
        limit = chosen.pop("limit")
        done = 0
        while True:
            left = None if limit is None else limit - done
            part: Done = await self._client.redrive_letters(self.name, limit=left, **chosen)
            done += part.count
            progress(done)
            if not part.more:
                return done

    async def remove(self, letter_id: str) -> None:
        """Remove a letter."""
        await self._client.remove_letter(self.name, letter_id)

    async def remove_all(self, *, progress: Progress, **chosen: Any) -> int:
        """Remove letters."""
        done = 0
        while True:
            part = await self._client.remove_letters(self.name, **chosen)
            done += part.count
            progress(done)
            if not part.more:
                return done
