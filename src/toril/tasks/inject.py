"""Parameters that the app provides, such as settings or clients. They are not in the payload.

```python
@app.task()
def resize(path: str, *, settings: MediaSettings = provided(MediaSettings)) -> None: ...

app.provide(MediaSettings(...))
```
"""

from __future__ import annotations

import pickle
from typing import Any, TypeVar, cast

from toril.core.errors import InvalidOptionError

T = TypeVar("T")


class Provided:
    """The mark that `provided()` leaves as a parameter's default."""

    __slots__ = ("kind",)

    def __init__(self, kind: type) -> None:
        self.kind = kind


def provided(kind: type[T]) -> T:
    """Mark a parameter: the app gives it the value of this type that `app.provide` was given."""
    return cast("T", Provided(kind))


class Provisions:
    """The values that an app provides, by type."""

    def __init__(self, values: dict[type, object] | None = None) -> None:
        self._values = values or {}

    def add(self, value: object, kind: type | None) -> None:
        """Provide a value for its own type, or for `kind`."""
        self._values[kind or type(value)] = value

    def get(self, kind: type) -> object:
        """Return the value for a type.

        Raises:
            InvalidOptionError: There is none.
        """
        try:
            return self._values[kind]
        except KeyError:
            raise InvalidOptionError(
                f"provided={kind.__qualname__}: the app provides none; call"
                f" app.provide({kind.__qualname__}(...)) before its workers start"
            ) from None

    def pickled(self) -> bytes:
        """Return those values that can go to another process, pickled."""
        portable: dict[type, Any] = {}
        for kind, value in self._values.items():
            try:
                pickle.dumps(value)
            except Exception:  # noqa: S112 - missed, with its name, where it is asked for
                continue
            portable[kind] = value
        return pickle.dumps(portable)
