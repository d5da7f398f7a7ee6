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

_NOTHING = object()
"""Nothing was provided."""


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
        self._made: dict[type, object] = {}
        """What the app's start has provided, each with what stood there before."""
        self._begun = False

    def add(self, value: object, kind: type | None) -> None:
        """Provide a value for its own type, or for `kind`."""
        kind = kind or type(value)
        if self._begun:
            self._made.setdefault(kind, self._values.get(kind, _NOTHING))
        self._values[kind] = value

    def begin(self) -> None:
        """Note what is provided from here on, until `end`, as made by the app's start."""
        self._begun = True

    def end(self) -> None:
        """What is provided from here on stays."""
        self._begun = False

    def restore(self) -> None:
        """Forget what the app's start has made: it was closed."""
        self._begun = False
        for kind, before in self._made.items():
            if before is _NOTHING:
                del self._values[kind]
            else:
                self._values[kind] = before
        self._made.clear()

    def all(self) -> dict[type, object]:
        """Return all values by type."""
        return dict(self._values)

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
        """Return those values that can go to another process, pickled.

        Not what the app's start has made, which a child process makes itself.
        """
        portable: dict[type, Any] = {}
        for kind, value in {**self._values, **self._made}.items():
            if value is _NOTHING:
                continue
            try:
                pickle.dumps(value)
            except Exception:  # noqa: S112 - missed, with its name, where it is asked for
                continue
            portable[kind] = value
        return pickle.dumps(portable)
