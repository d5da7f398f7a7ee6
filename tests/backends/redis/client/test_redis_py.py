"""A client of redis-py in place of a URL: the real one, of every kind that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis import sentinel
from redis.cluster import RedisCluster
from redis.credentials import CredentialProvider, UsernamePasswordCredentialProvider
from tests.support.redis_servers import Cluster, RedisServer, Sentinels

from toril import App
from toril.backends.redis.client.address import Address, Tls
from toril.backends.redis.client.credentials import credentials_of
from toril.backends.redis.client.redis_py import from_client
from toril.core.errors import InvalidOptionError

Sentinel: Any = sentinel.Sentinel  # without types
AsyncSentinel: Any = redis.asyncio.Sentinel


async def one_job_runs(client: object, prefix: str = "bull") -> None:
    """Have a job done on the store that a client talks to."""
    async with App(client) as app:

        @app.task(queue="{mail}", name="greet")
        async def greet(name: str) -> str:
            return f"Dear {name}"

        async with app.worker(queues=["{mail}"]):
            job = await greet.enqueue(name="Jo")
            assert await job.result(timeout_s=60) == "Dear Jo"


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
async def test_client_of_one_server_leads_to_its_database(kind: Any, server: RedisServer) -> None:
    client = kind(host="127.0.0.1", port=server.port, db=2)

    await one_job_runs(client)

    assert redis.Redis(port=server.port, db=2).exists("bull:{mail}:meta") == 1
    assert server.command("DBSIZE") == 0


async def test_client_of_a_socket_leads_there(server: RedisServer) -> None:
    await one_job_runs(redis.asyncio.Redis(unix_socket_path=server.socket_path))


async def test_client_behind_sentinels_leads_to_the_primary(tmp_path: Path) -> None:
    with Sentinels.start(tmp_path) as group:
        places = [("127.0.0.1", sentinel.port) for sentinel in group.sentinels]
        client = Sentinel(places).master_for(group.NAME)

        await one_job_runs(client)

        assert group.primary.command("EXISTS", "bull:{mail}:meta") == 1
        address = from_client(AsyncSentinel(places).master_for(group.NAME, db=3))
        assert (address.hosts, address.db) == (tuple(places), 3)
        assert address.sentinel_service == group.NAME


def test_logins_of_sentinels_and_servers_are_told_apart() -> None:
    sentinels = Sentinel([("a", 1), ("b", 2)], sentinel_kwargs={"password": "spw"})

    address = from_client(sentinels.master_for("main", password="pw", ssl=True))

    assert address == Address(
        hosts=(("a", 1), ("b", 2)),
        password="pw",
        tls=Tls(),
        sentinel_service="main",
        sentinel_password="spw",
    )


async def test_client_of_a_cluster_leads_to_its_nodes(tmp_path: Path) -> None:
    with Cluster.start(tmp_path) as cluster:
        client = RedisCluster(host="127.0.0.1", port=cluster.servers[0].port)
        try:
            await one_job_runs(client)
        finally:
            client.close()

        assert cluster.node_for("bull:{mail}:meta").command("EXISTS", "bull:{mail}:meta") == 1
        theirs = redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster.servers[1].port)
        assert from_client(theirs).cluster


async def test_client_is_left_as_it_is(server: RedisServer) -> None:
    client = redis.asyncio.Redis(port=server.port)

    await one_job_runs(client)

    assert await client.get("nothing") is None
    await client.aclose()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", Address(hosts=(("localhost", 6379),))),
        (
            "redis://jo:pw@cache:6380/2",
            Address(hosts=(("cache", 6380),), db=2, username="jo", password="pw"),
        ),
        (
            "rediss://cache:6380?ssl_ca_certs=/ca.pem",
            Address(hosts=(("cache", 6380),), tls=Tls(ca_certs="/ca.pem")),
        ),
        (
            "rediss://cache?ssl_cert_reqs=none",
            Address(hosts=(("cache", 6379),), tls=Tls(verify=False, check_hostname=False)),
        ),
    ],
)
@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
def test_settings_of_a_client_are_taken_over(kind: Any, url: str, expected: Address) -> None:
    assert from_client(kind.from_url(url)) == expected


def test_other_things_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="client=dict: expected a client of redis-py"):
        from_client({})


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"ssl": True, "ssl_ca_data": "PEM"}, "ssl_ca_data cannot be taken over"),
    ],
)
def test_client_that_does_what_we_cannot_is_refused(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidOptionError, match=complaint):
        from_client(redis.Redis(**settings))


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
@pytest.mark.parametrize(
    ("said", "expected"), [(("jo", "pw"), ("jo", "pw")), (("pw",), (None, "pw"))]
)
async def test_credential_provider_is_asked(
    kind: Any, said: tuple[str, ...], expected: tuple[str | None, str]
) -> None:
    class Provider(CredentialProvider):
        def get_credentials(self) -> Any:
            return said

    address = from_client(kind(credential_provider=Provider()))

    found = await credentials_of(address)

    assert (found.username, found.password) == expected


async def test_job_runs_as_the_user_of_a_credential_provider(own_server: RedisServer) -> None:
    own_server.command("ACL", "SETUSER", "jo", "on", ">pw", "~*", "+@all")
    own_server.command("ACL", "SETUSER", "default", "off")
    provider = UsernamePasswordCredentialProvider("jo", "pw")

    await one_job_runs(redis.asyncio.Redis(port=own_server.port, credential_provider=provider))


def test_credential_provider_of_sentinels_is_refused() -> None:
    provider = UsernamePasswordCredentialProvider("jo", "pw")
    sentinels = Sentinel([("a", 1)], sentinel_kwargs={"credential_provider": provider})

    with pytest.raises(InvalidOptionError, match="credential provider"):
        from_client(sentinels.master_for("main"))
