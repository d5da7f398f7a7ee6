"""The servers and the credentials of a store, as one record.

Made from a URL (`urls.py`) or from a client of redis-py (`redis_py.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from toril.backends.redis.client.credentials import CredentialsFunction

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
DEFAULT_PREFIX = "bull"

Endpoint = tuple[str, int]
"""A host and a port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a connection is encrypted, and whom it trusts."""

    verify: bool = True
    """Whether the server has to prove who it is."""
    check_hostname: bool = True
    """Whether its certificate has to be for the name that was asked for."""
    ca_certs: str | None = None
    """Path of the certificates to trust, as PEM. None: those of the system."""
    certfile: str | None = None
    """Path of this side's own certificate, as PEM."""
    keyfile: str | None = None
    """Path of its key. None: it is in `certfile`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server, or a group of them, and how to be let in."""

    hosts: tuple[Endpoint, ...] = ()
    """The server; with Sentinel the sentinels; with a Cluster some of its nodes."""
    path: str | None = None
    """Path of a Unix socket, in place of hosts."""
    db: int = 0
    """Number of the database. A Cluster has only 0."""
    username: str | None = None
    """None: the server's default user."""
    password: str | None = field(default=None, repr=False)
    """None: none is asked for."""
    credentials: CredentialsFunction | None = field(default=None, repr=False)
    """Asked for each new connection, in place of the password, and of the user if it says one."""
    tls: Tls | None = None
    """None: not encrypted."""
    sentinel_service: str | None = None
    """What the sentinels call the primary. None: no Sentinel."""
    sentinel_username: str | None = None
    """The user at the sentinels, which have users of their own."""
    sentinel_password: str | None = field(default=None, repr=False)
    """The password at the sentinels."""
    sentinel_tls: Tls | None = None
    """How the connections to the sentinels are encrypted."""
    cluster: bool = False
    """Whether it is known to be a Cluster. A server that turns out to be a node of one is taken
    for what it is anyway."""
    prefix: str = DEFAULT_PREFIX
    """What all keys begin with."""
    connect_timeout_s: float = 5.0
    """How long a call waits for a connection, in seconds."""
    answer_timeout_s: float = 15.0
    """After how long without a sign of life a connection with calls under way is given up."""

    @property
    def shown(self) -> str:
        """Return the URL without user and password: what tells this store from others."""
        scheme = "redis" if self.tls is None else "rediss"
        endpoints = ",".join(show_endpoint(endpoint) for endpoint in self.hosts)
        options = []
        if self.path is not None:
            url = f"unix://{self.path}"
            options.append(f"db={self.db}")
        elif self.cluster:
            url = f"{scheme}+cluster://{endpoints}"
        elif self.sentinel_service is not None:
            url = f"{scheme}+sentinel://{endpoints}/{self.sentinel_service}/{self.db}"
        else:
            url = f"{scheme}://{endpoints}/{self.db}"
        if self.prefix != DEFAULT_PREFIX:
            options.append(f"prefix={self.prefix}")
        return f"{url}?{'&'.join(options)}" if options else url


def show_endpoint(endpoint: Endpoint) -> str:
    """Return `host:port`, with the brackets that IPv6 needs."""
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
