"""Where the server is and who asks: a URL, or a client that the caller has already, as one record.

Knows nothing of sockets: `connecting.py` opens them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from toril.core.checks import require, unknown
from toril.core.errors import InvalidOptionError

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
DEFAULT_PREFIX = "bull"

Place = tuple[str, int]
"""A host and a port."""

_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
_EXAMPLE = "a URL such as 'redis://localhost:6379/0'"


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

    hosts: tuple[Place, ...] = ()
    """The server; with Sentinel the sentinels; with a Cluster some of its nodes."""
    path: str | None = None
    """Path of a Unix socket, in place of hosts."""
    db: int = 0
    """Number of the database. A Cluster has only 0."""
    username: str | None = None
    """None: the server's default user."""
    password: str | None = field(default=None, repr=False)
    """None: none is asked for."""
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
        places = ",".join(show_place(place) for place in self.hosts)
        options = []
        if self.path is not None:
            url = f"unix://{self.path}"
            options.append(f"db={self.db}")
        elif self.cluster:
            url = f"{scheme}+cluster://{places}"
        elif self.sentinel_service is not None:
            url = f"{scheme}+sentinel://{places}/{self.sentinel_service}/{self.db}"
        else:
            url = f"{scheme}://{places}/{self.db}"
        if self.prefix != DEFAULT_PREFIX:
            options.append(f"prefix={self.prefix}")
        return f"{url}?{'&'.join(options)}" if options else url


def show_place(place: Place) -> str:
    """Return `host:port`, with the brackets that IPv6 needs."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse(url: str) -> Address:
    """Return the address that a URL stands for.

    Parameters:
        url: `redis://user:password@host:6379/0`, `rediss://…` for TLS,
            `unix://user:password@/path.sock?db=0`, `redis+sentinel://host,host/service/0` or
            `redis+cluster://host,host`, each with options after a `?`.

    Raises:
        InvalidOptionError: It makes no sense. The message never holds the password.
    """
    require(isinstance(url, str) and url != "", "url", url, _EXAMPLE)
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        # What stands before :// holds no password; all of a URL without it may.
        wrong = unknown("scheme", scheme, _SCHEMES) if separator else f"expected {_EXAMPLE}"
        raise InvalidOptionError(f"url: {wrong}")
    return _Parts(scheme, rest).address()


class _Parts:
    """A URL taken apart. `urllib` knows neither several hosts nor our schemes."""

    def __init__(self, scheme: str, rest: str) -> None:
        self.scheme, _, self.kind = scheme.partition("+")
        # Nothing behind the scheme is ever shown: in a URL with a mistake, any part of it may be
        # the password.
        self.shown = f"{scheme}://…"
        rest, _, query = rest.partition("?")
        self._check(
            "@" not in query and "#" not in rest + query,
            "'?', '#' and '@' in a password or an option as %3F, %23 and %40",
        )
        userinfo, at = "", ""
        if self.scheme != "unix" or not rest.startswith("/"):
            userinfo, at, rest = rest.rpartition("@")  # an @ or / in a password does no harm
        self.places, slash, self.path = rest.partition("/")
        if self.scheme == "unix":
            self.path = unquote(slash + self.path)
        username, colon, password = userinfo.partition(":")
        self.username = unquote(username) or None
        self.password = unquote(password) if at and colon and password else None
        self.options = self._read_options(query)

    def address(self) -> Address:
        """Return what the parts say."""
        tls = self._tls()
        service = None
        default_port = DEFAULT_PORT
        if self.kind == "sentinel":
            service, _, self.path = self.path.partition("/")
            service = unquote(service)
            self._check(service != "", "the name of the service: 'redis+sentinel://host/service'")
            default_port = SENTINEL_PORT
        socket_path = None
        hosts: tuple[Place, ...] = ()
        if self.scheme == "unix":
            self._check(self.places == "", "three slashes: 'unix:///path/of/redis.sock'")
            self._check(self.path != "/", "the path of a socket: 'unix:///path/of/redis.sock'")
            socket_path, self.path = self.path, ""
        else:
            hosts = self._hosts(default_port)
        db = self._db()
        if self.kind == "cluster":
            self._check(db == 0, "database 0: a Cluster has no other")
        prefix = self.options.get("prefix", DEFAULT_PREFIX)
        self._check(prefix != "", "a prefix with at least one character")
        return Address(
            hosts=hosts,
            path=socket_path,
            db=db,
            username=self.username,
            password=self.password,
            tls=tls,
            sentinel_service=service,
            sentinel_username=self.options.get("sentinel_username"),
            sentinel_password=self.options.get("sentinel_password"),
            sentinel_tls=tls if service is not None else None,
            cluster=self.kind == "cluster",
            prefix=prefix,
            connect_timeout_s=self._seconds("connect_timeout_s", 5.0),
            answer_timeout_s=self._seconds("answer_timeout_s", 15.0),
        )

    def _read_options(self, query: str) -> dict[str, str]:
        known = {"prefix", "connect_timeout_s", "answer_timeout_s"}
        if self.kind != "cluster":
            known.add("db")
        if self.kind == "sentinel":
            known |= {"sentinel_username", "sentinel_password"}
        if self.scheme == "rediss":
            known |= {
                "ssl_cert_reqs",
                "ssl_ca_certs",
                "ssl_certfile",
                "ssl_keyfile",
                "ssl_check_hostname",
            }
        options: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                raise InvalidOptionError(f"url={self.shown!r}: {unknown('option', name, known)}")
            options[name] = value
        return options

    def _hosts(self, default_port: int) -> tuple[Place, ...]:
        several = self.kind != ""
        texts = self.places.split(",")
        self._check(several or len(texts) == 1, "one host; several need '+sentinel' or '+cluster'")
        return tuple(self._host(text, default_port) for text in texts)

    def _host(self, text: str, default_port: int) -> Place:
        if text.startswith("["):
            host, bracket, port = text[1:].partition("]")
            self._check(bracket != "", "a closing bracket after an IPv6 address")
            self._check(port == "" or port.startswith(":"), "':port' after an IPv6 address")
            port = port[1:]
        else:
            host, _, port = text.partition(":")
            self._check(":" not in port, "brackets around an IPv6 address: '[::1]:6379'")
        self._check(port == "" or _is_number(port, 65535), "a port from 1 to 65535")
        return unquote(host) or "localhost", int(port) if port else default_port

    def _db(self) -> int:
        path = self.path.strip("/")
        text = self.options.get("db", path) if path == "" else path
        self._check(text == "" or _is_number(text, None), "the number of a database, from 0")
        return int(text) if text else 0

    def _tls(self) -> Tls | None:
        if self.scheme != "rediss":
            return None
        verify = self._choice("ssl_cert_reqs", {"none": False, "required": True})
        check = self._choice("ssl_check_hostname", {"true": True, "false": False})
        return Tls(
            verify=verify,
            check_hostname=verify and check,
            ca_certs=self.options.get("ssl_ca_certs"),
            certfile=self.options.get("ssl_certfile"),
            keyfile=self.options.get("ssl_keyfile"),
        )

    def _choice(self, name: str, choices: Mapping[str, bool]) -> bool:
        value = self.options.get(name)
        if value is None:
            return True
        found = choices.get(value.lower())
        require(found is not None, f"url option {name}", value, " or ".join(map(repr, choices)))
        return bool(found)

    def _seconds(self, name: str, default: float) -> float:
        text = self.options.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        require(0 < value < 3600, f"url option {name}", text, "seconds, more than 0")
        return value

    def _check(self, holds: bool, expected: str) -> None:
        require(holds, "url", self.shown, expected)


def _is_number(text: str, largest: int | None) -> bool:
    if not (text.isascii() and text.isdigit()):
        return False
    return largest is None or 1 <= int(text) <= largest


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
        hosts=(_place(settings),),
        db=_number(settings, "db", 0),
        tls=_tls_of(settings, kind),
        **login,
    )


def _from_cluster(client: object, nodes: Any) -> Address:
    settings = getattr(client, "connection_kwargs", None) or nodes.connection_kwargs
    kind = getattr(settings.get("connection_class"), "__name__", "")
    places = ((str(node.host), int(node.port)) for node in nodes.startup_nodes.values())
    return Address(
        hosts=tuple(dict.fromkeys(places)),
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
    return Address(
        hosts=tuple(_place(one.connection_kwargs, SENTINEL_PORT) for one in sentinels),
        db=_number(settings, "db", 0),
        tls=_tls_of(settings, kind),
        sentinel_service=service,
        sentinel_username=theirs["username"],
        sentinel_password=theirs["password"],
        sentinel_tls=_tls_of(first.connection_kwargs, first.connection_class.__name__),
        **login,
    )


def _login(settings: Mapping[str, Any]) -> dict[str, Any]:
    if settings.get("credential_provider") is not None:
        raise InvalidOptionError(
            "client: it takes its password from a credential provider, which Toril cannot ask."
            " Give a URL with a user and a password."
        )
    return {
        "username": settings.get("username") or None,
        "password": settings.get("password") or None,
    }


def _place(settings: Mapping[str, Any], default_port: int = DEFAULT_PORT) -> Place:
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
