"""Keys of an application's own, by setting: each with a role, and with the tenant that has it.

```python
keys = TenantKeys.from_environment("API_KEYS")  # s3cr3t…=submitter:acme:jo, t0ken…=operator
access = AccessControl(app, host_users=keys)
```

They are for the application's own routes, which show a tenant its own jobs only. Toril's interface
knows nothing of tenants: give it `keys.operators`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from starlette.requests import HTTPConnection

from toril.core.errors import InvalidSettingError
from toril.web.access.port import Principal, Role

MIN_CHARS = 16
"""Of a key."""


class TenantPrincipal(Principal, frozen=True):
    """A caller who is known by such a key."""

    tenant: str | None = None
    """Whose jobs it sees. None: everybody's."""
    user: str | None = None
    """The user of that tenant that it speaks for."""


class TenantKeys:
    """Says who calls by a bearer key. The keys themselves are not kept, but their SHA-256."""

    def __init__(self, keys: Mapping[str, TenantPrincipal]) -> None:
        """Take keys, each with whom it is for."""
        self._of_digest = {_digest(key): principal for key, principal in keys.items()}

    @classmethod
    def from_environment(
        cls, variable: str = "API_KEYS", environ: Mapping[str, str] | None = None
    ) -> TenantKeys:
        """Return the keys of a variable: `KEY=ROLE`, `KEY=ROLE:TENANT:USER`, with commas between.

        Raises:
            InvalidSettingError: One of them makes no sense. The message holds no key.
        """
        environ = os.environ if environ is None else environ
        keys: dict[str, TenantPrincipal] = {}
        entries = [entry.strip() for entry in environ.get(variable, "").split(",")]
        for number, entry in enumerate(filter(None, entries), 1):
            key, _, rest = entry.partition("=")
            words = [word.strip() for word in rest.split(":")]
            role, tenant, user = (*words, "", "")[:3]
            good = role in [*Role] and len(key) >= MIN_CHARS and len(words) <= 3
            if not good or (role != Role.OPERATOR and role != Role.ADMIN and not tenant):
                raise InvalidSettingError(
                    f"{variable}: entry {number} (not shown): expected KEY=ROLE:TENANT:USER, with a"
                    f" key of {MIN_CHARS} characters or more and a role of {', '.join(Role)};"
                    " operators and admins need no tenant"
                )
            keys[key] = TenantPrincipal(
                name="/".join(filter(None, (tenant, user))) or f"{role} {number}",
                kind="host",
                role=Role(role),
                queues=None,
                payloads=True,
                tenant=tenant or None,
                user=user or None,
            )
        return cls(keys)

    def __call__(self, connection: HTTPConnection) -> TenantPrincipal | None:
        """Return who calls; None if the request has no key of these."""
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self._of_digest.get(_digest(key.strip()))

    def operators(self, connection: HTTPConnection) -> TenantPrincipal | None:
        """Return who calls if it belongs to no tenant."""
        found = self(connection)
        return None if found is None or found.tenant is not None else found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
