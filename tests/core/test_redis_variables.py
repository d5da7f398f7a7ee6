"""Where a Redis server is, by the variables that many programs share."""

from __future__ import annotations

import pytest

from toril import InvalidSettingError
from toril.core.redis_variables import redis_url_from_environment


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"REDIS_URL": "", "REDIS_HOST": " "}, None),
        ({"REDIS_URL": "redis://a:1/2", "REDIS_HOST": "b"}, "redis://a:1/2"),
        ({"REDIS_HOST": "b"}, "redis://b:6379/0"),
        ({"REDIS_URL": "redis://a:1/2", "REDIS_PASSWORD": "p@"}, "redis://:p%40@a:1/2"),
        ({"REDIS_URL": "redis://u:q@a:1/2", "REDIS_PASSWORD": "p"}, "redis://u:q@a:1/2"),
        ({"REDIS_URL": "unix:///run/redis.sock", "REDIS_PASSWORD": "p"}, "unix:///run/redis.sock"),
        ({"REDIS_PORT": "7000"}, "redis://localhost:7000/0"),
        ({"REDIS_HOST": "b", "REDIS_DB": "3"}, "redis://b:6379/3"),
        ({"REDIS_PASSWORD": "p/w@"}, "redis://:p%2Fw%40@localhost:6379/0"),
        ({"REDIS_USERNAME": "u", "REDIS_PASSWORD": "p"}, "redis://u:p@localhost:6379/0"),
        ({"REDIS_HOST": "::1"}, "redis://[::1]:6379/0"),
        ({"REDIS_PORT": "65535"}, "redis://localhost:65535/0"),
    ],
)
def test_url_of_variables(environ: dict[str, str], url: str | None) -> None:
    assert redis_url_from_environment(environ) == url


@pytest.mark.parametrize(
    ("environ", "name"),
    [({"REDIS_URL": "localhost:6379"}, "REDIS_URL"), ({"REDIS_PORT": "x"}, "REDIS_PORT"),
     ({"REDIS_PORT": "65536"}, "REDIS_PORT"), ({"REDIS_DB": "-1"}, "REDIS_DB")],
)  # fmt: skip
def test_nonsense_is_named(environ: dict[str, str], name: str) -> None:
    with pytest.raises(InvalidSettingError, match=name):
        redis_url_from_environment(environ)
