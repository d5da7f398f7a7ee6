"""Checks a server: versions, replicas and settings with which jobs would be lost."""

from __future__ import annotations

import re

from toril.backends.redis.client.server_info import ServerInfo
from toril.core.errors import StoreForeignError, StoreReadOnlyError
from toril.core.loggers import logger
from toril.engine.contract.lifecycle import EVICTION, Finding

log = logger("toril.redis")

OLDEST = (6, 2)
"""Older ones lack `SET … PXAT`, `LPOS` and `RPOP` of several."""
LAG_BYTES = 16 * 2**20
"""A replica that is further behind is warned of."""

_REPLICA = re.compile(r"slave\d+")


def admit(info: ServerInfo) -> None:
    """Refuse a server on which jobs would be lost; warn of one on which they may be.

    Raises:
        StoreForeignError: It is too old.
        StoreReadOnlyError: It is a replica.
    """
    if info.version_numbers and info.version_numbers < OLDEST:
        raise StoreForeignError(
            f"{info.shown}: {info.title} is too old; jobs need 6.2 or newer, or Valkey."
            " Upgrade the server."
        )
    if info.role == "slave":
        raise StoreReadOnlyError(
            f"{info.shown}: this is a replica, which cannot be written. Give the address of its"
            " primary, or of the sentinels: redis+sentinel://host1,host2/service"
        )
    for finding in findings(info):
        if finding.grade != "ok":
            log.warning("%s: %s", info.shown, finding.text)


def findings(info: ServerInfo) -> list[Finding]:
    """Return what is to be said of a server."""
    found = [Finding("server", "ok", info.title)]
    if info.maxmemory_policy not in ("", "noeviction"):
        found.append(
            Finding(
                EVICTION,
                "error",
                f"maxmemory-policy is {info.maxmemory_policy}: when memory is used up, jobs are"
                " silently lost. Run: CONFIG SET maxmemory-policy noeviction",
            )
        )
    return found


def persistence(info: ServerInfo) -> Finding:
    """Say what survives a restart of the server."""
    if info.fields.get("aof_enabled") == "1":
        if info.fields.get("aof_last_write_status", "ok") != "ok":
            text = "the append-only file could not be written; look at the server's log and disk"
            return Finding("persistence", "error", text)
        return Finding("persistence", "ok", "append-only file: at most a second is lost")
    if info.fields.get("rdb_last_bgsave_status", "ok") != "ok":
        text = "the last snapshot failed; look at the server's log and disk"
        return Finding("persistence", "error", text)
    text = "snapshots at most: a crash loses what came since the last. Set: appendonly yes"
    return Finding("persistence", "warning", text)


def replication(info: ServerInfo) -> list[Finding]:
    """Return what is to be said of its replicas: how far each is behind."""
    found = []
    for field, text in info.fields.items():
        if not _REPLICA.fullmatch(field):
            continue
        replica = dict(part.partition("=")[::2] for part in text.split(","))
        try:
            behind = int(info.fields["master_repl_offset"]) - int(replica["offset"])
        except (KeyError, ValueError):
            continue
        subject = f"replica {replica.get('ip', '?')}:{replica.get('port', '?')}"
        if replica.get("state") != "online" or behind > LAG_BYTES:
            text = f"{behind} bytes behind: a failover now would lose that. Look at its network"
            found.append(Finding(subject, "warning", text))
        else:
            found.append(Finding(subject, "ok", f"{behind} bytes behind"))
    return found
