"""What a server says of itself, and what is to be said of that."""

from __future__ import annotations

import pytest

from toril.backends.redis.client.server_info import parse_info
from toril.backends.redis.servers import LAG_BYTES, admit, findings, persistence, replication
from toril.core.errors import StoreForeignError


@pytest.mark.parametrize(
    ("info", "title"),
    [
        ("redis_version:7.0.15\r\n", "Redis 7.0.15"),
        (
            "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n",
            "Valkey 9.1.2",
        ),
        ("", "Redis of unknown version"),
    ],
)
def test_server_is_called_by_its_name(info: str, title: str) -> None:
    (found,) = findings(parse_info(info, "here"))

    assert (found.grade, found.text) == ("ok", title)


def test_valkey_is_measured_by_the_redis_that_it_is_compatible_with() -> None:
    admit(parse_info("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:1.0\r\n", ""))
    with pytest.raises(StoreForeignError, match=r"here: Redis 6\.0\.9 is too old"):
        admit(parse_info("redis_version:6.0.9\r\n", "here"))


@pytest.mark.parametrize(
    ("info", "grade"),
    [
        ("aof_enabled:1\r\n", "ok"),
        ("aof_enabled:1\r\naof_last_write_status:err\r\n", "error"),
        ("aof_enabled:0\r\n", "warning"),
        ("aof_enabled:0\r\nrdb_last_bgsave_status:err\r\n", "error"),
    ],
)
def test_what_survives_a_restart_is_said(info: str, grade: str) -> None:
    assert persistence(parse_info(info, "here")).grade == grade


@pytest.mark.parametrize(
    ("state", "behind", "grade"),
    [("online", 10, "ok"), ("online", LAG_BYTES + 1, "warning"), ("wait_bgsave", 0, "warning")],
)
def test_replicas_that_are_behind_are_warned_of(state: str, behind: int, grade: str) -> None:
    info = parse_info(
        f"master_repl_offset:99999999\r\n"
        f"slave0:ip=10.0.0.2,port=6379,state={state},offset={99999999 - behind},lag=0\r\n",
        "here",
    )

    (found,) = replication(info)

    assert (found.subject, found.grade) == ("replica 10.0.0.2:6379", grade)
    assert f"{behind} bytes behind" in found.text
