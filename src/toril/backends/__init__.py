"""Makes the decision durable and atomic. The only room where a key or a table is spelled."""

from toril.backends.opening import RedisCredentials, check_prefix, open_backend, with_prefix
from toril.backends.sqlite.urls import FileOptions

__all__ = ["FileOptions", "RedisCredentials", "check_prefix", "open_backend", "with_prefix"]
