"""From a URL to a backend: the only place that looks at a scheme."""

from __future__ import annotations

from typing import Literal

from toril.core.checks import require, unknown
from toril.core.clock import Clock, SystemClock
from toril.core.errors import InvalidOptionError
from toril.engine.contract import Backend

Durability = Literal["full", "normal"]

_SCHEMES = ("sqlite",)


def open_backend(
    url: str, *, durability: Durability = "full", clock: Clock | None = None, create: bool = True
) -> Backend:
    """Open the store at `url`; its file is made when it is not there.

    Parameters:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://:memory:`, or a plain
            path of a file.
        durability: `full`: what was acknowledged survives a loss of power. `normal`: it survives
            the end of the process, but the last moments may be lost with the power.
        clock: What time it is. Default: the host's.
        create: Make the file when it is not there. Commands that only look say no.

    Raises:
        InvalidOptionError: The URL makes no sense.
        BackendError: The store cannot be opened; the message says why and what to do.
    """
    require(durability in ("full", "normal"), "durability", durability, "'full' or 'normal'")
    require(isinstance(url, str) and url != "", "url", url, "a URL such as 'sqlite:///toril.db'")
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "sqlite", f"/{url}"
    if scheme != "sqlite":
        raise InvalidOptionError(f"url={url!r}: {unknown('scheme', scheme, _SCHEMES)}")
    from toril.backends.sqlite.store import open_sqlite  # late: each store has its own libraries

    path = ":memory:" if rest in (":memory:", "/:memory:") else rest.removeprefix("/")
    require(path != "", "url", url, "a path after 'sqlite:///'")
    return open_sqlite(path, durability=durability, clock=clock or SystemClock(), create=create)
