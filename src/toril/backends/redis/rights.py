"""The rights that Toril needs on the server, and what is missing without the optional ones.

`docs/operate/redis.md` has them as an ACL line to copy. A test runs everything as a user with
exactly that line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from toril.backends.redis.client import Script
from toril.backends.redis.scripts import script
from toril.core.errors import StoreDeniedError
from toril.engine.contract.lifecycle import Finding

NEEDED = (
    "BZPOPMIN KEY 1", "DEL KEY", "EVALSHA x 1 KEY", "EXISTS KEY", "GET KEY", "HDEL KEY f",
    "HEXISTS KEY f", "HGET KEY f", "HGETALL KEY", "HINCRBY KEY f 1", "HKEYS KEY", "HMGET KEY f",
    "HSET KEY f v", "HSETNX KEY f v", "HSTRLEN KEY f", "INCR KEY", "INCRBY KEY 1", "LINDEX KEY 0",
    "LLEN KEY", "LPOS KEY v", "LPUSH KEY v", "LRANGE KEY 0 0", "LREM KEY 0 v", "LTRIM KEY 0 0",
    "MGET KEY", "PERSIST KEY", "PEXPIRE KEY 1", "PEXPIREAT KEY 1", "PING", "PTTL KEY",
    "RENAME KEY KEY", "RPOP KEY", "RPUSH KEY v", "SADD KEY v", "SCARD KEY", "SCRIPT LOAD x",
    "SET KEY v", "SMEMBERS KEY", "SREM KEY v", "TIME", "TYPE KEY", "XADD KEY * f v",
    "XREAD STREAMS KEY 0", "XREVRANGE KEY + -", "XTRIM KEY MAXLEN 1", "ZADD KEY 0 v", "ZCARD KEY",
    "ZCOUNT KEY 0 0", "ZPOPMIN KEY", "ZRANGE KEY 0 0", "ZRANGEBYSCORE KEY 0 0", "ZRANK KEY v",
    "ZREM KEY v", "ZREMRANGEBYRANK KEY 0 0", "ZREVRANGE KEY 0 0", "ZREVRANGEBYSCORE KEY 0 0",
    "ZREVRANK KEY v", "ZSCORE KEY v",
)  # fmt: skip
"""Required commands. `KEY` stands for a key of a queue."""
OTHER_DATABASE = ("SELECT 0",)
"""Also required for a database other than 0."""
IN_A_CLUSTER = ("ASKING", "CLUSTER INFO", "CLUSTER NODES", "CLUSTER SLOTS")
"""Also required in a Cluster; some only during failovers and while slots move."""
COMFORT = {
    "CLIENT SETNAME x": "BullMQ's tools do not show the workers",
    "CLIENT ID": "idle workers ask once a second in place of being told",
    "CLIENT UNBLOCK 1": "idle workers ask once a second in place of being told",
    "HLEN KEY": "children of flows are not found",
    "HSCAN KEY 0": "children of flows are not found",
    "SSCAN KEY 0": "children of flows are not found",
    "ZSCAN KEY 0": "children of flows are not found",
    "CLIENT LIST": "doctor and explain do not see the workers of BullMQ",
    "INFO": "an old server, a replica and a wrong maxmemory-policy are not noticed",
    "ROLE": "a replica is noticed by the first write only",
    "PEXPIRETIME KEY": "jobs that a dead worker had claimed and not begun count as lost",
    "SCAN 0": "queues that only BullMQ has used, and jobs in no state, are not found",
}
"""Optional commands, and what is missing without each."""
WHERE = "The whole list is in docs/operate/redis.md, under Rights"

Run = Callable[[Script, Sequence[str], Sequence[str]], Awaitable[Any]]
"""Runs a script with keys and arguments."""


async def refused(run: Run, key: str, commands: Sequence[str]) -> list[str] | None:
    """Return which of some commands the user may not run; None if the server cannot say.

    Parameters:
        key: A key of the kind that the commands are for.
        commands: Some of the above.

    Raises:
        BackendError: Not even that could be asked.
    """
    found = await run(script("rights"), [key], commands)
    return None if found is None else [commands[number - 1] for number in found]


async def lacking(run: Run, key: str) -> str:
    """Return the needed rights that the user lacks, as an ACL line has them; empty if unknown.

    Raises:
        BackendError: Not even that could be asked.
    """
    return names(await refused(run, key, NEEDED) or ())


def names(commands: Sequence[str]) -> str:
    """Return commands as an ACL line has them: `+zadd +client|id`."""
    return " ".join(f"+{name_of(command)}" for command in commands)


def name_of(command: str) -> str:
    """Return the name of a command as an ACL line has it: `zadd`, `client|id`."""
    name, *rest = command.split(" ")
    if name in ("CLIENT", "CLUSTER", "SCRIPT"):
        name = f"{name}|{rest[0]}"
    return name.lower()


async def findings(
    run: Run,
    key: str,
    *,
    clustered: bool,
    db: int,
    user: str | None,
) -> list[Finding]:
    """Say whether the user may do all that is needed, and what goes missing if not."""
    needed = (*NEEDED, *(IN_A_CLUSTER if clustered else ()), *(OTHER_DATABASE if db else ()))
    try:
        missing = await refused(run, key, (*needed, *COMFORT))
    except StoreDeniedError as error:
        return [Finding("rights", "error", str(error))]
    who = f"user {user or 'default'!r}"
    if missing is None:
        text = "this server cannot say what a user may do; Redis 7 and Valkey can"
        return [Finding("rights", "ok", text)]
    badly = [command for command in missing if command in needed]
    texts = []
    if badly:
        texts.append(f"{who} lacks {names(badly)}: work fails. Give it with ACL SETUSER. {WHERE}")
    for lost in dict.fromkeys(COMFORT[command] for command in missing if command in COMFORT):
        without = [one for one in missing if COMFORT.get(one) == lost]
        texts.append(f"{who} lacks {names(without)}: {lost}")
    if not texts:
        return [Finding("rights", "ok", f"{who} may do all that is needed")]
    return [Finding("rights", "error" if badly else "warning", "; ".join(texts))]
