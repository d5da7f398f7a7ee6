"""What a server says about itself (`INFO`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """A server's `INFO`, as far as somebody here needs it. Empty where it may not be asked."""

    shown: str
    """The server, as it may be shown."""
    software: str = "redis"
    """`redis` or `valkey`."""
    version: str = ""
    """Of the software, such as `7.0.15`."""
    compatible_version: str = ""
    """The version of Redis whose commands it understands."""
    role: str = ""
    """`master` or `slave`, in the server's words."""
    maxmemory_bytes: int = 0
    """0: as much as there is."""
    maxmemory_policy: str = ""
    """What happens when that is used up. For queues anything but `noeviction` loses jobs."""
    cluster_enabled: bool = False
    loading: bool = False
    """It has not read its data yet and answers next to nothing."""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Everything it said."""

    @property
    def title(self) -> str:
        """Return software and version in words."""
        name = "Valkey" if self.software == "valkey" else "Redis"
        return f"{name} {self.version or 'of unknown version'}"

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """Return `compatible_version` as numbers that compare; empty when it is unknown."""
        parts = self.compatible_version.split(".")
        return tuple(int(part) for part in parts) if all(map(str.isdigit, parts)) else ()


def parse_info(text: str, shown: str) -> ServerInfo:
    """Return what the answer to `INFO` says."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    fields = {name: value for name, colon, value in pairs if colon}
    software = fields.get("server_name", "redis")
    compatible = fields.get("redis_version", "")
    maxmemory = fields.get("maxmemory", "0")
    return ServerInfo(
        shown=shown,
        software=software,
        version=fields.get(f"{software}_version", compatible),
        compatible_version=compatible,
        role=fields.get("role", ""),
        maxmemory_bytes=int(maxmemory) if maxmemory.isdigit() else 0,
        maxmemory_policy=fields.get("maxmemory_policy", ""),
        cluster_enabled=fields.get("cluster_enabled") == "1",
        loading=fields.get("loading") == "1",
        fields=fields,
    )
