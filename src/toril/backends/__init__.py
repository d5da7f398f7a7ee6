"""Makes the decision durable and atomic. The only room where a key or a table is spelled."""

from toril.backends.opening import open_backend

__all__ = ["open_backend"]
