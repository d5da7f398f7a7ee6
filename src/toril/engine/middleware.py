"""Code of the app around every attempt: time it, trace it, set a database session up.

Written like a task's own caller:

```python
@app.middleware
async def timed(context, call):
    started = time.perf_counter()
    try:
        return await call()
    finally:
        print(context.task, time.perf_counter() - started)
```

Runs on the worker's loop for all three places where a task can run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from toril.engine.context import Context

Call = Callable[[], Awaitable[Any]]
Middleware = Callable[[Context, Call], Awaitable[Any]]


def wrap(middleware: Sequence[Middleware], context: Context, call: Call) -> Call:
    """Return `call` inside all middleware; the first one given is the outermost."""
    for layer in reversed(middleware):
        call = _Layer(layer, context, call)
    return call


class _Layer:
    __slots__ = ("_call", "_context", "_layer")

    def __init__(self, layer: Middleware, context: Context, call: Call) -> None:
        self._layer = layer
        self._context = context
        self._call = call

    def __call__(self) -> Awaitable[Any]:
        return self._layer(self._context, self._call)
