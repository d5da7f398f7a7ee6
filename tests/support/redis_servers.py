"""Every kind of Redis and Valkey that a test may ask for, in one place to import from."""

from __future__ import annotations

from tests.support.proxy import Proxy
from tests.support.redis_client import RedisReplyError
from tests.support.redis_groups import Cluster, Sentinels
from tests.support.redis_server import (
    COMMON,
    SOFTWARE,
    RedisServer,
    Software,
    literal,
    redis_server_binary,
)

__all__ = [
    "COMMON",
    "SOFTWARE",
    "Cluster",
    "Proxy",
    "RedisReplyError",
    "RedisServer",
    "Sentinels",
    "Software",
    "literal",
    "redis_server_binary",
]
