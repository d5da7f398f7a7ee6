"""Parses URLs of servers. Errors never show the password."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

from toril.backends.redis.client.address import (
    DEFAULT_PORT,
    DEFAULT_PREFIX,
    SENTINEL_PORT,
    Address,
    Endpoint,
    Tls,
)
from toril.core.checks import require, unknown
from toril.core.errors import InvalidOptionError

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


def parse(url: str, *, answer_timeout_s: float = 15.0) -> Address:
    """Return the address that a URL stands for.

    Parameters:
        url: `redis://user:password@host:6379/0`, `rediss://…` for TLS,
            `unix://user:password@/path.sock?db=0`, `redis+sentinel://host,host/service/0` or
            `redis+cluster://host,host`, each with options after a `?`.
        answer_timeout_s: What holds unless the URL says it.

    Raises:
        InvalidOptionError: It makes no sense. The message never holds the password.
    """
    require(isinstance(url, str) and url != "", "url", url, _EXAMPLE)
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        # What stands before :// holds no password; all of a URL without it may.
        wrong = unknown("scheme", scheme, _SCHEMES) if separator else f"expected {_EXAMPLE}"
        raise InvalidOptionError(f"url: {wrong}")
    return _Parts(scheme, rest).address(answer_timeout_s)


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
        self.endpoints, slash, self.path = rest.partition("/")
        if self.scheme == "unix":
            self.path = unquote(slash + self.path)
        username, colon, password = userinfo.partition(":")
        self.username = unquote(username) or None
        self.password = unquote(password) if at and colon and password else None
        self.options = self._read_options(query)

    def address(self, answer_timeout_s: float) -> Address:
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
        hosts: tuple[Endpoint, ...] = ()
        if self.scheme == "unix":
            self._check(self.endpoints == "", "three slashes: 'unix:///path/of/redis.sock'")
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
            answer_timeout_s=self._seconds("answer_timeout_s", answer_timeout_s),
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

    def _hosts(self, default_port: int) -> tuple[Endpoint, ...]:
        several = self.kind != ""
        texts = self.endpoints.split(",")
        self._check(several or len(texts) == 1, "one host; several need '+sentinel' or '+cluster'")
        return tuple(self._host(text, default_port) for text in texts)

    def _host(self, text: str, default_port: int) -> Endpoint:
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
