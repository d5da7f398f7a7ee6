"""Background jobs for Python: durable with no server to start with, BullMQ's queues when you grow.

```python
from toril import App, RetryPolicy

app = App()                                   # jobs live in ./toril.db

@app.task(queue="mail", retry=RetryPolicy(max_attempts=3))
async def greet(to: str, name: str) -> str: ...

job = await greet.enqueue(to="jo@example.com", name="Jo")
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from toril.version import VERSION

__version__ = VERSION

# Imported when a name is first asked for: the command line, child processes and pytest start
# without the engine.
if TYPE_CHECKING:
    from toril.public import *  # noqa: F403 - that is where the list is


def __getattr__(name: str) -> object:
    if name.startswith("_") and name != "__all__":  # asked for by tools, which need no engine
        raise AttributeError(f"module 'toril' has no attribute {name!r}")
    public = vars(import_module("toril.public"))
    if name == "__all__":
        value: object = ["__version__", *(each for each in public if each[0].isalpha())]
    elif name in public:
        value = public[name]
    else:
        raise AttributeError(f"module 'toril' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *vars(import_module("toril.public"))})
