"""Several Redis or Valkey servers that belong together: one behind sentinels, or a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tests.support.ports import reserve_port
from tests.support.proxy import Proxy
from tests.support.redis_client import RedisReplyError
from tests.support.redis_server import COMMON, RedisServer, Software
from tests.support.waiting import wait_until_sync

SLOTS = 16_384
SETTLE_S = 120.0
"""How long several servers may take to agree."""


class _Group:
    """Several servers that end together."""

    def __init__(self, software: Software) -> None:
        self.software = software
        self.servers: list[RedisServer] = []

    def _launch(self, folder: Path, options: Sequence[str] = (), *, mode: str = "") -> RedisServer:
        folder.mkdir(parents=True)
        server = RedisServer(folder, reserve_port(), options, mode=mode, software=self.software)
        self.servers.append(server)
        return server

    def stop(self) -> None:
        """End all servers."""
        for server in reversed(self.servers):
            server.stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class Sentinels(_Group):
    """A primary, its replica, and three sentinels that watch them."""

    NAME = "toril"
    """What the sentinels call the primary."""
    DOWN_AFTER_MS = 500
    USER = "sentry"
    """What the sentinels and the replica are let in as."""
    APP = "app"
    """A user for clients, whose password is the same."""

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        options: Sequence[str] = (),
        software: Software = COMMON,
        proxied: bool = False,
    ) -> Sentinels:
        """Start all five and return once they know of each other.

        Parameters:
            folder: Each gets a folder of its own in it.
            options: Of the primary and the replica.
            software: Whose servers.
            proxied: Whether everybody reaches the first primary by `proxy`.
        """
        return _started(cls(software), lambda group: group._start(folder, options, proxied))

    proxy: Proxy | None = None
    """A network in front of the first primary, if it was asked for."""

    def stop(self) -> None:
        """End all servers."""
        if self.proxy is not None:
            self.proxy.close()
        super().stop()

    def __enter__(self) -> Sentinels:
        return self

    @property
    def url(self) -> str:
        """Return the sentinels' URL, without database and options."""
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{places}/{self.NAME}"

    @property
    def primary(self) -> RedisServer:
        """Return the server that the sentinels take for the primary."""
        port = self._primary_port()
        return next(server for server in self._data if server.port == port)

    @property
    def replica(self) -> RedisServer:
        """Return the other server."""
        port = self._primary_port()
        return next(server for server in self._data if server.port != port)

    def copy_all(self) -> None:
        """Return once the replica has everything that was written before this call."""
        written = _offset(self.primary, "master_repl_offset")
        wait_until_sync(
            lambda: _offset(self.replica, "slave_repl_offset") >= written,
            deadline_s=SETTLE_S,
            what="the replica to have it all",
        )

    def failover(self) -> RedisServer:
        """Have the sentinels swap primary and replica; return the new primary."""
        before, after = self.primary, self.replica
        self.sentinels[0].command("SENTINEL", "FAILOVER", self.NAME)
        self._wait_for(after)
        wait_until_sync(
            lambda: _role(before) == "slave",
            deadline_s=SETTLE_S,
            what="the old primary to follow the new one",
        )
        return after

    def named_by(self, sentinel: RedisServer) -> int:
        """Return the port of the server that one sentinel takes for the primary."""
        place = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
        return int(place[1])

    def cut_off(self, server: RedisServer) -> None:
        """Let neither sentinels nor replicas talk to a server. `APP` still may."""
        for user in (self.USER, "default"):
            server.command("ACL", "SETUSER", user, "off")
            server.command("CLIENT", "KILL", "USER", user)

    def add_sentinel_apart(self, folder: Path, server: RedisServer) -> RedisServer:
        """Start a sentinel that takes a server for the primary; nobody else talks to that any more.

        So it does not get to know the others.
        """
        return self._start_sentinel(folder, server.port)

    def kill_primary(self) -> RedisServer:
        """Kill the primary and return the server that took its place."""
        after = self.replica
        self.primary.kill()
        self._wait_for(after)
        return after

    def _start(self, folder: Path, options: Sequence[str], proxied: bool) -> None:
        at_once = [
            *("--repl-diskless-sync-delay", "0"),
            *("--user", self.USER, "on", f">{self.USER}", "~*", "&*", "+@all"),
            *("--user", self.APP, "on", f">{self.APP}", "~*", "&*", "+@all"),
            *("--masteruser", self.USER, "--masterauth", self.USER),
            *options,
        ]
        primary = self._launch(folder / "primary", at_once)
        primary.restart()
        port = primary.port
        if proxied:
            self.proxy = Proxy(port)
            port = self.proxy.url_port
        copy = self._launch(folder / "replica", ["--replicaof", f"127.0.0.1 {port}", *at_once])
        copy.restart()
        self._data = [primary, copy]
        wait_until_sync(
            # Until the primary says so itself it sends the replica nothing of what is written.
            lambda: "state=online" in primary.command("INFO", "replication"),
            deadline_s=SETTLE_S,
            what="the replica to follow",
        )
        self.sentinels = [self._start_sentinel(folder / f"sentinel-{n}", port) for n in range(3)]
        wait_until_sync(
            lambda: all(map(self._knows_all, self.sentinels)),
            deadline_s=SETTLE_S,
            what="the sentinels to find each other",
        )

    def _start_sentinel(self, folder: Path, port: int) -> RedisServer:
        sentinel = self._launch(folder, mode="sentinel")
        (folder / "sentinel.conf").write_text(
            f"sentinel monitor {self.NAME} 127.0.0.1 {port} 2\n"
            f"sentinel down-after-milliseconds {self.NAME} {self.DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {self.NAME} 3000\n"
            f"sentinel auth-user {self.NAME} {self.USER}\n"
            f"sentinel auth-pass {self.NAME} {self.USER}\n"
        )
        sentinel.restart()
        with contextlib.suppress(RedisReplyError):  # before Redis 7 these were fixed
            sentinel.command("SENTINEL", "DEBUG", "INFO-PERIOD", 500, "PUBLISH-PERIOD", 200)
        return sentinel

    def _knows_all(self, sentinel: RedisServer) -> bool:
        found = _pairs(sentinel.command("SENTINEL", "MASTER", self.NAME))
        return (found["num-slaves"], found["num-other-sentinels"]) == ("1", "2")

    def _primary_port(self) -> int:
        for sentinel in self.sentinels:
            if sentinel.is_running:
                place = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
                if self.proxy is not None and int(place[1]) == self.proxy.url_port:
                    return self.proxy.target_port
                return int(place[1])
        raise AssertionError("no sentinel runs")

    def _wait_for(self, primary: RedisServer) -> None:
        def agreed() -> bool:
            places = [
                sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
                for sentinel in self.sentinels
                if sentinel.is_running
            ]
            everywhere = all(int(place[1]) == primary.port for place in places)
            return everywhere and _role(primary) == "master"

        wait_until_sync(agreed, deadline_s=SETTLE_S, what="the sentinels to agree on a primary")


class Cluster(_Group):
    """Three primaries that share the slots, without replicas."""

    @classmethod
    def start(
        cls, folder: Path, *, options: Sequence[str] = (), software: Software = COMMON
    ) -> Cluster:
        """Start the nodes and return once each says that the cluster is well.

        Parameters:
            folder: Each node gets a folder of its own in it.
            options: Of every node.
            software: Whose servers.
        """
        return _started(cls(software), lambda group: group._start(folder, options))

    def __enter__(self) -> Cluster:
        return self

    @property
    def url(self) -> str:
        """Return the cluster's URL, without options."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.servers)

    def slot_of(self, key: str) -> int:
        """Return the slot of a key."""
        return int(self.servers[0].command("CLUSTER", "KEYSLOT", key))

    def owner(self, slot: int) -> RedisServer:
        """Return the node that has a slot."""
        for first, last, place, *_ in self.servers[0].command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.servers if node.port == place[1])
        raise AssertionError(f"nobody has slot {slot}")

    def node_for(self, key: str) -> RedisServer:
        """Return the node that has a key."""
        return self.owner(self.slot_of(key))

    def add_replica(self, folder: Path, of: RedisServer) -> RedisServer:
        """Start a node that follows another one, and takes over when that dies."""
        node = self._launch(folder, self._options(self._more))
        node.restart()
        node.command("CLUSTER", "MEET", "127.0.0.1", of.port)
        name = self._id(of)
        wait_until_sync(
            lambda: name in node.command("CLUSTER", "NODES"),
            deadline_s=SETTLE_S,
            what="the nodes to meet",
        )
        node.command("CLUSTER", "REPLICATE", name)
        mine = self._id(node)
        wait_until_sync(
            lambda: (
                "master_link_status:up" in node.command("INFO", "replication")
                and all(f"{mine} " in one.command("CLUSTER", "NODES") for one in self.servers)
            ),
            deadline_s=SETTLE_S,
            what="the replica to follow",
        )
        return node

    def move_slot(self, slot: int, to: RedisServer) -> None:
        """Move a slot with all its keys to another node."""
        source = self.owner(slot)
        if source is not to:
            self.begin_move(slot, to)
            self.move_keys(slot, to)
            self.end_move(slot, to)

    def begin_move(self, slot: int, to: RedisServer) -> None:
        """Open a slot for its move: keys that are not at the old node are asked for at the new."""
        source = self.owner(slot)
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self._id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self._id(to))

    def move_keys(self, slot: int, to: RedisServer, *, at_most: int | None = None) -> int:
        """Move keys of an open slot and return how many went."""
        source = self.owner(slot)
        moved = 0
        while at_most is None or moved < at_most:
            want = 100 if at_most is None else min(100, at_most - moved)
            keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, want)
            if not keys:
                break
            place = ("127.0.0.1", to.port, "", 0, 5000)
            source.command("MIGRATE", *place, "KEYS", *keys)
            moved += len(keys)
        return moved

    def end_move(self, slot: int, to: RedisServer) -> None:
        """Give an open slot, all of whose keys have moved, to its new node."""
        name = self._id(to)
        # The new owner first: until it knows, the others would send everybody in circles.
        for node in sorted(self.servers, key=lambda node: node is not to):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", name)

    @staticmethod
    def _options(more: Sequence[str]) -> list[str]:
        return [
            *("--cluster-enabled", "yes"),
            *("--cluster-config-file", "nodes.conf"),
            *("--cluster-node-timeout", "2000"),
            *more,
        ]

    def _start(self, folder: Path, options: Sequence[str]) -> None:
        self._more = options
        nodes = [
            self._launch(folder / f"node-{number}", self._options(options)) for number in range(3)
        ]
        bounds = [SLOTS * number // 3 for number in range(4)]
        for number, node in enumerate(nodes):
            node.restart()
            slots = range(bounds[number], bounds[number + 1])
            try:
                node.command("CLUSTER", "ADDSLOTSRANGE", slots[0], slots[-1])
            except RedisReplyError:  # before Redis 7
                node.command("CLUSTER", "ADDSLOTS", *slots)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port)
        wait_until_sync(
            lambda: all(map(self._is_well, nodes)), deadline_s=SETTLE_S, what="the cluster"
        )

    @staticmethod
    def _is_well(node: RedisServer) -> bool:
        said = node.command("CLUSTER", "INFO").splitlines()
        return {"cluster_state:ok", "cluster_known_nodes:3", "cluster_slots_ok:16384"} <= set(said)

    @staticmethod
    def _id(node: RedisServer) -> str:
        return str(node.command("CLUSTER", "MYID"))


G = TypeVar("G", bound=_Group)


def _started(group: G, start: Callable[[G], None]) -> G:
    """Start a group; if that fails, nothing of it stays."""
    try:
        start(group)
    except BaseException:
        group.stop()
        raise
    return group


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _offset(server: RedisServer, name: str) -> int:
    """Return how far a server has come in what is copied, in bytes."""
    lines = server.command("INFO", "replication").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).partition(":")[2])


def _role(server: RedisServer) -> str | None:
    """Return `master` or `slave`; None if it hung up, as one does whose role changes."""
    try:
        return str(server.command("ROLE")[0])
    except OSError:
        return None
