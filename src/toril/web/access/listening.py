"""Where a server may listen: beyond this machine only with access control.

Without it, on this machine, whoever can connect is an administrator. A browser here can be made to
connect by any site, so that requests of other sites' pages are refused, also of those that have
given their own name this machine's address. A link to a page here may be followed.
"""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

from toril.core.errors import InvalidOptionError
from toril.web.access.origins import refuse_cross_origin
from toril.web.access.port import Access, CrossOrigin, Principal, Role

ANYBODY = Principal("anybody", "host", Role.ADMIN, None, True)


class OpenAccess:
    """No access control: everybody on this machine may do everything."""

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Return an administrator.

        Raises:
            CrossOrigin: A page of another site asks, or of a name that is not this machine's.
        """
        host = connection.headers.get("host", "")
        if not is_loopback(_without_port(host)):
            raise CrossOrigin(
                f"without access control the server answers to localhost only, not to {host[:80]!r}"
            )
        headers = connection.headers
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        followed = headers.get("sec-fetch-mode") == "navigate"
        if foreign and not (followed and headers.get("sec-fetch-dest") == "document"):
            raise CrossOrigin("without access control pages of other sites are not answered")
        refuse_cross_origin(connection, browsers_only=True)
        return ANYBODY


def check_listener(host: str, access: Access | None) -> None:
    """Refuse to listen beyond this machine without access control.

    Parameters:
        host: The address or name that the server is to listen on. A socket in the file system
            needs no check: its permissions say who may connect.
        access: Who may use it. None, or `OpenAccess`: everybody.

    Raises:
        InvalidOptionError: With the way out.
    """
    if access is not None and not isinstance(access, OpenAccess):
        return
    if not is_loopback(host):
        raise InvalidOptionError(
            f"host={host!r}: others could reach the server, and without access control each of them"
            " could do everything; leave access control on, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address. Of names, `localhost` is the only one.

    Any other name may lead elsewhere tomorrow.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
