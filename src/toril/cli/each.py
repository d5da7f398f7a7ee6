"""Does something to each thing that a command names, and tells for which of them it failed.

After one that is refused the next is tried; after a store that is away none is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from toril.cli.codes import ERROR, STATE, USAGE, RefusedError, SeveralRefusedError, code_of
from toril.core.errors import TorilError


class Tried:
    """What became of each thing, such as the jobs of `toril jobs retry`."""

    def __init__(self) -> None:
        self.done: list[str] = []
        """The ids of what it was done to."""
        self._failed: dict[str, str] = {}
        self._code = ERROR

    @property
    def facts(self) -> dict[str, Any]:
        """What could not be done, for JSON; nothing if all was."""
        failed = [{"id": one, "reason": reason} for one, reason in self._failed.items()]
        return {"failed": failed} if failed else {}

    async def each(self, ids: Iterable[str], act: Callable[[str], Awaitable[object]]) -> None:
        """Act on each id once, in order. Errors are kept for `end`."""
        left = list(dict.fromkeys(ids))
        while left:
            one = left.pop(0)
            try:
                await act(one)
            except (TorilError, RefusedError) as error:
                refused = _refused(error)
                self._fail(one, refused.message, refused.code)
                if refused.code not in (STATE, USAGE):
                    for other in left:
                        self._fail(other, f"{other} was not tried", refused.code)
                    return
            else:
                self.done.append(one)

    def end(self) -> None:
        """Say what could not be done.

        Raises:
            SeveralRefusedError: With a sentence for each.
        """
        if self._failed:
            raise SeveralRefusedError(list(self._failed.values()), self._code)

    def _fail(self, one: str, reason: str, code: int) -> None:
        self._code = self._code if self._failed else code
        self._failed[one] = reason


def _refused(error: TorilError | RefusedError) -> RefusedError:
    if isinstance(error, RefusedError):
        return error
    from toril.client import ApiError

    if isinstance(error, ApiError):
        from toril.cli.remote import refusal

        return refusal(error)
    return RefusedError(str(error), code_of(error) or ERROR)
