"""Takes the settings of a redis-py client. Its connections are not used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from toril.backends.redis.client.address import DEFAULT_PORT, SENTINEL_PORT, Address, Endpoint, Tls
from toril.backends.redis.client.credentials import CredentialsFunction
from toril.core.errors import InvalidOptionError


def from_client(client: object) -> Address:
    """Return the address that a client of redis-py talks to: the caller's own, left as it is.

    Parameters:
        client: A `Redis`, a `RedisCluster`, or what a `Sentinel` returned; plain or asyncio. It is
            only looked at: Toril opens connections of its own.

    Raises:
        InvalidOptionError: It is none of these, or uses what Toril cannot do the same way.
    """
    pool = getattr(client, "connection_pool", None)
    nodes = getattr(client, "nodes_manager", None)
    if nodes is not None:
        return _from_cluster(client, nodes)
    settings = getattr(pool, "connection_kwargs", None)
    if not isinstance(settings, Mapping):
        raise InvalidOptionError(
            f"client={type(client).__name__}: expected a client of redis-py, or a URL"
        )
    kind = getattr(getattr(pool, "connection_class", None), "__name__", "")
    login = _login(settings)
    service = getattr(pool, "service_name", None)
    if service is not None:
        return _from_sentinel(pool, str(service), settings, login, kind)
    if "path" in settings:
        return Address(path=str(settings["path"]), db=_number(settings, "db", 0), **login)
    return Address(
        hosts=(_endpoint(settings),),
        db=_number(settings, "db", 0),
        tls=_tls_of(settings, kind),
        **login,
    )


def _from_cluster(client: object, nodes: Any) -> Address:
    settings = getattr(client, "connection_kwargs", None) or nodes.connection_kwargs
    kind = getattr(settings.get("connection_class"), "__name__", "")
    endpoints = ((str(node.host), int(node.port)) for node in nodes.startup_nodes.values())
    return Address(
        hosts=tuple(dict.fromkeys(endpoints)),
        cluster=True,
        tls=_tls_of(settings, kind),
        **_login(settings),
    )


def _from_sentinel(
    pool: Any, service: str, settings: Mapping[str, Any], login: Mapping[str, Any], kind: str
) -> Address:
    sentinels = [one.connection_pool for one in pool.sentinel_manager.sentinels]
    first = sentinels[0]
    theirs = _login(first.connection_kwargs)
    if theirs["credentials"] is not None:
        raise InvalidOptionError(
            "client: its sentinels take their password from a credential provider, which Toril"
            " asks for servers only. Give the sentinels a user and a password."
        )
    return Address(
        hosts=tuple(_endpoint(one.connection_kwargs, SENTINEL_PORT) for one in sentinels),
        db=_number(settings, "db", 0),
        tls=_tls_of(settings, kind),
        sentinel_service=service,
        sentinel_username=theirs["username"],
        sentinel_password=theirs["password"],
        sentinel_tls=_tls_of(first.connection_kwargs, first.connection_class.__name__),
        **login,
    )


def _login(settings: Mapping[str, Any]) -> dict[str, Any]:
    provider = settings.get("credential_provider")
    return {
        "username": settings.get("username") or None,
        "password": settings.get("password") or None,
        "credentials": None if provider is None else _asking(provider),
    }


def _asking(provider: Any) -> CredentialsFunction:
    """Return a function that asks a credential provider of redis-py."""

    async def ask() -> object:
        # A plain provider has only the plain method; that may block.
        asked = getattr(provider, "get_credentials_async", None)
        said = await (asked() if asked else asyncio.to_thread(provider.get_credentials))
        return said[0] if len(said) == 1 else tuple(said)

    return ask


def _endpoint(settings: Mapping[str, Any], default_port: int = DEFAULT_PORT) -> Endpoint:
    host = settings.get("host") or "localhost"
    return str(host), _number(settings, "port", default_port)


def _number(settings: Mapping[str, Any], name: str, default: int) -> int:
    value = settings.get(name)
    return default if value is None else int(value)


def _tls_of(settings: Mapping[str, Any], kind: str) -> Tls | None:
    if "SSL" not in kind and not settings.get("ssl"):
        return None
    refused = [
        name for name in ("ssl_ca_data", "ssl_password", "ssl_ca_path") if settings.get(name)
    ]
    if refused:
        raise InvalidOptionError(
            f"client: {_listing(refused)} cannot be taken over. Give a 'rediss://' URL with"
            " ssl_ca_certs, ssl_certfile and ssl_keyfile."
        )
    text: Callable[[str], str | None] = lambda name: settings.get(name) or None  # noqa: E731 - short
    # `ssl.CERT_NONE` is 0, and redis-py takes its name as well.
    verify = not str(settings.get("ssl_cert_reqs", "required")).lower().endswith(("none", "0"))
    return Tls(
        verify=verify,
        check_hostname=verify and bool(settings.get("ssl_check_hostname", True)),
        ca_certs=text("ssl_ca_certs"),
        certfile=text("ssl_certfile"),
        keyfile=text("ssl_keyfile"),
    )


def _listing(words: Iterable[str]) -> str:
    return ", ".join(words)
