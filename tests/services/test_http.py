"""HTTP requests: limits of time and size, and where they may not go."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support.http_server import Answer, Request, serving

from toril import InvalidOptionError
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.http.port import (
    EgressRefusedError,
    HttpError,
    HttpLimits,
    HttpTooLargeError,
)

PUBLIC = "93.184.216.34"
INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
    "fe80::1%eth0",
    "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "localhost", "127.1", "2130706433", "0x7f000001", "",
    "[::1",
]  # fmt: skip


class Names:
    """A name server of the test: each name's answers, one after the other; the last one stays."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {name: list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers[host]
        return (answers.pop(0) if len(answers) > 1 else answers[0]).split()


@pytest.fixture
async def clients() -> AsyncIterator[list[AioHttpClient]]:
    """Clients that are closed after the test."""
    made: list[AioHttpClient] = []
    yield made
    for client in made:
        await client.close()


def client_of(
    clients: list[AioHttpClient], *allow: str, names: Names | None = None, **limits: float
) -> AioHttpClient:
    made = AioHttpClient(
        EgressPolicy(allow),
        resolve=names,
        limits=HttpLimits(**limits) if limits else None,  # type: ignore[arg-type]
    )
    clients.append(made)
    return made


@pytest.mark.parametrize("address", INSIDE)
def test_address_inside_is_refused_however_it_is_written(address: str) -> None:
    assert not EgressPolicy().allows(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_address_is_allowed(address: str) -> None:
    assert EgressPolicy().allows(address)


def test_what_is_allowed_is_allowed_and_no_more() -> None:
    policy = EgressPolicy(["10.1.0.0/16", "fd00::/8", "192.168.1.9", "Hooks.Internal."])

    assert policy.allows("10.1.2.3")
    assert not policy.allows("10.2.2.3")
    assert policy.allows("fd12::1")
    assert policy.allows("::ffff:10.1.2.3")
    assert policy.allows("192.168.1.9")
    assert not policy.allows("192.168.1.8")
    assert policy.allows_host("hooks.internal")
    assert not policy.allows_host("more.hooks.internal")


@pytest.mark.parametrize("word", ["10.0.0.0/99", "http://hooks", "a b", "", "10.0.0.1:80"])
def test_what_is_no_network_and_no_host_is_refused(word: str) -> None:
    with pytest.raises(InvalidOptionError, match="TORIL_EGRESS_ALLOW"):
        EgressPolicy([word])


async def test_request_carries_what_was_given(clients: list[AioHttpClient]) -> None:
    async with serving(lambda request: Answer(201, {"X-Word": "y"}, b"done")) as server:
        client = client_of(clients, "127.0.0.1")
        reply = await client.request(
            "post", server.url("/in?a=1"), headers={"X-Mine": "1"}, body=b"{}"
        )

    assert (reply.status, reply.body, reply.headers["x-word"], reply.ok) == (
        201,
        b"done",
        "y",
        True,
    )
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/in?a=1", b"{}")
    assert request.headers["x-mine"] == "1"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
)
async def test_own_machine_is_never_asked(clients: list[AioHttpClient], host: str) -> None:
    async with serving() as server:
        with pytest.raises((EgressRefusedError, HttpError)) as refused:
            await client_of(clients).request("GET", server.url(host=host))

    assert server.connections == 0
    if host in ("127.0.0.1", "localhost"):
        assert "TORIL_EGRESS_ALLOW" in str(refused.value)


async def test_redirect_to_the_own_machine_is_not_followed(clients: list[AioHttpClient]) -> None:
    async with serving() as inside:
        targets = [inside.url("/secret"), f"//127.0.0.1:{inside.port}/", "http://localhost:1/"]

        def lead(request: Request) -> Answer:
            return Answer(302, {"Location": targets[int(request.path[1:])]})

        async with serving(lead, host="127.0.0.2") as outside:
            client = client_of(clients, "127.0.0.2")
            for at in range(len(targets)):
                with pytest.raises(EgressRefusedError):
                    await client.request("GET", outside.url(f"/{at}", host="127.0.0.2"))

    assert inside.connections == 0


async def test_name_is_resolved_once_and_the_checked_address_is_connected_to(
    clients: list[AioHttpClient],
) -> None:
    """A name server that says something else the second time has no effect."""
    names = Names(hooks=["127.0.0.2", "127.0.0.1"])
    async with serving(host="127.0.0.2") as server:
        client = client_of(clients, "127.0.0.2", names=names)
        reply = await client.request("GET", server.url(host="hooks"))

        assert reply.ok
        assert names.asked == ["hooks"]


async def test_name_that_turns_inside_later_is_refused_then(clients: list[AioHttpClient]) -> None:
    names = Names(hooks=["127.0.0.2", "127.0.0.1"])

    def close(request: Request) -> Answer:
        return Answer(headers={"Connection": "close"})

    async with serving(host="127.0.0.2") as server:
        server.answer = close
        client = client_of(clients, "127.0.0.2", names=names)
        assert (await client.request("GET", server.url(host="hooks"))).ok
        with pytest.raises(EgressRefusedError, match=r"hooks \(127.0.0.1\) is private, loopback"):
            await client.request("GET", server.url(host="hooks"))

    assert server.connections == 1


async def test_name_with_one_address_inside_is_refused(clients: list[AioHttpClient]) -> None:
    names = Names(hooks=[f"{PUBLIC} 127.0.0.1"])
    with pytest.raises(EgressRefusedError):
        await client_of(clients, names=names).request("GET", "http://hooks:9/")


async def test_allowed_host_may_be_anywhere(clients: list[AioHttpClient]) -> None:
    async with serving() as server:
        client = client_of(clients, "hooks", names=Names(hooks=["127.0.0.1"]))
        assert (await client.request("GET", server.url(host="hooks"))).ok


async def test_redirects_are_followed_up_to_a_number(clients: list[AioHttpClient]) -> None:
    def lead(request: Request) -> Answer:
        left = int(request.path[1:])
        return Answer(307, {"Location": f"/{left - 1}"}) if left else Answer(body=request.body)

    async with serving(lead) as server:
        client = client_of(clients, "127.0.0.1", max_redirects=3)
        reply = await client.request("POST", server.url("/3"), body=b"kept")
        assert (reply.body, reply.url) == (b"kept", server.url("/0"))
        with pytest.raises(HttpError, match="more than 3 redirects"):
            await client.request("GET", server.url("/4"))
        none = HttpLimits(max_redirects=0)
        assert (await client.request("GET", server.url("/1"), limits=none)).status == 307


async def test_secrets_do_not_go_to_another_origin(clients: list[AioHttpClient]) -> None:
    async with serving() as other:
        async with serving(lambda _: Answer(302, {"Location": other.url("/there")})) as first:
            headers = {"Authorization": "Bearer x", "X-Other": "1", "Content-Type": "text/plain"}
            client = client_of(clients, "127.0.0.1")
            await client.request("POST", first.url(), headers=headers, body=b"text")

    assert first.requests[0].headers["authorization"] == "Bearer x"
    (got,) = other.requests
    assert got.method == "GET"
    assert got.headers["x-other"] == "1"
    assert not {"authorization", "content-type"} & got.headers.keys()
    assert got.body == b""


async def test_answer_that_is_too_large_is_cut_off(clients: list[AioHttpClient]) -> None:
    """Also one that is small only while it is packed."""
    packed = gzip.compress(b"0" * 5_000_000)
    answers = {
        "/plain": Answer(body=b"0" * 5_000),
        "/packed": Answer(headers={"Content-Encoding": "gzip"}, body=packed),
        "/fits": Answer(body=b"0" * 4_000),
    }
    async with serving(lambda request: answers[request.path]) as server:
        client = client_of(clients, "127.0.0.1", max_bytes=4_000)
        for path in ("/plain", "/packed"):
            with pytest.raises(HttpTooLargeError, match="larger than 4,000 bytes"):
                await client.request("GET", server.url(path))
        assert len((await client.request("GET", server.url("/fits"))).body) == 4_000


async def test_answer_that_does_not_come_is_given_up(clients: list[AioHttpClient]) -> None:
    async with serving(lambda _: Answer(hangs=True)) as server:
        client = client_of(clients, "127.0.0.1", total_s=0.3)
        with pytest.raises(HttpError, match=r"no answer within 0.3 s"):
            await client.request("GET", server.url("/x?key=hunter2"))


async def test_errors_say_where_without_secrets(clients: list[AioHttpClient]) -> None:
    client = client_of(clients, "127.0.0.1")
    async with serving() as server:
        pass
    with pytest.raises(HttpError) as failed:
        await client.request("GET", f"http://jo:hunter2@127.0.0.1:{server.port}/x?key=hunter2")
    assert "127.0.0.1" in str(failed.value)
    assert "hunter2" not in str(failed.value)


@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/passwd", "x", "http://", "gopher://x"])
async def test_other_than_http_is_refused(clients: list[AioHttpClient], url: str) -> None:
    with pytest.raises(InvalidOptionError, match="http:// or https://"):
        await client_of(clients).request("GET", url)


async def test_many_at_once_share_a_client(clients: list[AioHttpClient]) -> None:
    async with serving() as server:
        client = client_of(clients, "127.0.0.1")
        replies = await asyncio.gather(
            *(client.request("GET", server.url(f"/{at}")) for at in range(20))
        )
    assert all(reply.ok for reply in replies)
