"""URLs, and what is refused in them."""

from __future__ import annotations

import pytest
import redis
from tests.support.redis_servers import Proxy

from toril import App, Settings, StoreUnreachableError
from toril.backends.redis.client.address import Address, Tls
from toril.backends.redis.client.urls import parse
from toril.core.errors import InvalidOptionError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", Address(hosts=(("localhost", 6379),))),
        ("redis://cache", Address(hosts=(("cache", 6379),))),
        ("redis://cache:6380/3", Address(hosts=(("cache", 6380),), db=3)),
        ("redis://cache?db=3", Address(hosts=(("cache", 6379),), db=3)),
        ("redis://:pw@cache", Address(hosts=(("cache", 6379),), password="pw")),
        ("redis://jo:pw@cache", Address(hosts=(("cache", 6379),), username="jo", password="pw")),
        (
            "redis://j%40:p%2Fw%3F%25@cache",
            Address(hosts=(("cache", 6379),), username="j@", password="p/w?%"),
        ),
        ("redis://:p@:/w@cache/1", Address(hosts=(("cache", 6379),), db=1, password="p@:/w")),
        ("redis://[::1]:6380", Address(hosts=(("::1", 6380),))),
        ("redis://[fe80::1]/2", Address(hosts=(("fe80::1", 6379),), db=2)),
        ("redis://cache?prefix=my", Address(hosts=(("cache", 6379),), prefix="my")),
        (
            "redis://cache?connect_timeout_s=0.5&answer_timeout_s=3",
            Address(hosts=(("cache", 6379),), connect_timeout_s=0.5, answer_timeout_s=3.0),
        ),
        ("unix:///run/redis.sock", Address(path="/run/redis.sock")),
        ("unix:///run/a@b.sock", Address(path="/run/a@b.sock")),
        (
            "unix://jo:pw@/run/my%20redis.sock?db=2",
            Address(path="/run/my redis.sock", db=2, username="jo", password="pw"),
        ),
        ("rediss://cache", Address(hosts=(("cache", 6379),), tls=Tls())),
        (
            "rediss://cache?ssl_cert_reqs=none",
            Address(hosts=(("cache", 6379),), tls=Tls(verify=False, check_hostname=False)),
        ),
        (
            "rediss://cache?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_check_hostname=false",
            Address(
                hosts=(("cache", 6379),),
                tls=Tls(check_hostname=False, ca_certs="/ca.pem", certfile="/c.pem"),
            ),
        ),
        (
            "redis+sentinel://jo:pw@a,b:7000/primary/4?sentinel_username=s&sentinel_password=spw",
            Address(
                hosts=(("a", 26379), ("b", 7000)),
                db=4,
                username="jo",
                password="pw",
                sentinel_service="primary",
                sentinel_username="s",
                sentinel_password="spw",
            ),
        ),
        (
            "rediss+sentinel://a/primary",
            Address(
                hosts=(("a", 26379),), sentinel_service="primary", tls=Tls(), sentinel_tls=Tls()
            ),
        ),
        (
            "redis+cluster://a:1,[::2]:2,c",
            Address(hosts=(("a", 1), ("::2", 2), ("c", 6379)), cluster=True),
        ),
        ("rediss+cluster://a/0", Address(hosts=(("a", 6379),), cluster=True, tls=Tls())),
    ],
)
def test_url_says_where_and_how(url: str, expected: Address) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "expected a URL such as"),
        ("cache:6379", "expected a URL such as"),
        ("reddis://cache", "unknown scheme 'reddis': did you mean 'redis'?"),
        ("redis://cache?prefx=a", "unknown option 'prefx': did you mean 'prefix'?"),
        ("redis://cache?ssl_cert_reqs=none", "unknown option 'ssl_cert_reqs'"),
        ("redis://cache:0", "a port from 1 to 65535"),
        ("redis://cache:65536", "a port from 1 to 65535"),
        ("redis://cache/zero", "the number of a database"),
        ("redis://a,b", "one host; several need"),
        ("redis://fe80::1", "brackets around an IPv6 address"),
        ("redis://[::1", "a closing bracket"),
        ("redis://[::1]6379", "':port' after an IPv6 address"),
        ("redis://cache?prefix=", "a prefix with at least one character"),
        ("redis://cache?connect_timeout_s=0", "seconds, more than 0"),
        ("redis://cache?connect_timeout_s=soon", "seconds, more than 0"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix:///", "the path of a socket"),
        ("redis+sentinel://a,b", "the name of the service"),
        ("redis+cluster://a/1", "database 0"),
        ("rediss://cache?ssl_cert_reqs=optional", "'none' or 'required'"),
        ("rediss://cache?ssl_check_hostname=maybe", "'true' or 'false'"),
    ],
)
def test_url_without_sense_is_refused_with_what_would_do(url: str, complaint: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        parse(url)

    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@cache:port",
        f"redis://jo:{SECRET}",
        f"redis://:{SECRET}@cache?prefx=1",
        f"redis://:{SECRET}?x@cache",
        f"redis://:x?{SECRET}@cache",
        f"redis://:x#{SECRET}@cache",
        f"redis+sentinel://:{SECRET}@cache",
        f"redis+cluster://:{SECRET}@cache/1",
        f"jo:{SECRET}@cache",
        f"unix://jo:{SECRET}@run/redis.sock",
    ],
)
def test_refusals_do_not_show_the_password(url: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        parse(url)

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://jo:{SECRET}@cache/1?prefix=my", "redis://cache:6379/1?prefix=my"),
        (f"rediss://:{SECRET}@[::1]:7", "rediss://[::1]:7/0"),
        (f"unix://:{SECRET}@/run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        (
            f"redis+sentinel://:{SECRET}@a,b:1/main?sentinel_password={SECRET}",
            "redis+sentinel://a:26379,b:1/main/0",
        ),
        (f"rediss+cluster://:{SECRET}@a,b:1", "rediss+cluster://a:6379,b:1"),
    ],
)
def test_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    address = parse(url)

    assert address.shown == shown
    assert SECRET not in repr(address)


def test_answer_timeout_of_the_settings_holds_unless_the_url_says_it() -> None:
    settings = Settings.load({"TORIL_ANSWER_TIMEOUT": "3s"})

    assert parse("redis://a").answer_timeout_s == 15
    assert parse("redis://a", answer_timeout_s=3).answer_timeout_s == 3
    assert parse("redis://a?answer_timeout_s=2", answer_timeout_s=3).answer_timeout_s == 2
    assert settings.answer_timeout_s == 3


@pytest.mark.parametrize("own_client", [False, True], ids=["url", "client"])
async def test_silent_server_is_given_up_after_the_time_of_the_settings(
    proxy: Proxy, own_client: bool
) -> None:
    """It was an option of URLs only, which no page named."""
    where: object = proxy.url
    if own_client:
        where = redis.Redis(port=proxy.url_port)
    async with App(where, settings=Settings(answer_timeout_s=0.3)) as app:
        await app.queues()
        proxy.freeze()

        with pytest.raises(StoreUnreachableError, match=r"no answer for 0\.3 s"):
            await app.queues()
        proxy.thaw()
