"""Every kind of Redis that a test may ask for, in one place to import from."""

from __future__ import annotations

from tests.support.proxy import Proxy
from tests.support.redis_client import RedisReplyError
from tests.support.redis_groups import Cluster, Sentinels
from tests.support.redis_server import RedisServer, literal, redis_server_binary

__all__ = [
    "Cluster",
    "Proxy",
    "RedisReplyError",
    "RedisServer",
    "Sentinels",
    "literal",
    "redis_server_binary",
]
