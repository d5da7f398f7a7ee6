"""Turns error replies of the server into our errors: what, which server, what to do."""

from __future__ import annotations

import re

from toril.core.errors import (
    BackendError,
    InvalidOptionError,
    StoreBusyError,
    StoreDeniedError,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnreachableError,
    TorilError,
)

_INNER = re.compile(r"-([A-Z]+) ")
"""Up to Redis 6.2, a command's refusal inside a script stands somewhere in the script's own."""


def code(text: str) -> str:
    """Return the word that says what kind of refusal this is, such as `OOM`."""
    first = text.partition(" ")[0]
    if first == "ERR" and "Error running script" in text:
        inner = _INNER.search(text)
        if inner is not None:
            return inner[1]
    return first


def is_denied_inside(text: str) -> bool:
    """Whether a script was refused one of its commands or keys; Redis 7.0 does not say which."""
    return "user executing the script can't" in text or "ACL failure in script" in text


def is_read_only(text: str) -> bool:
    """Whether the server is no primary any more, so that another one has to be found."""
    kind = code(text)
    return kind == "READONLY" or (kind == "UNBLOCKED" and "instance state changed" in text)


def translate(text: str, where: str, *, user: str | None = None) -> TorilError:
    """Return the error that a caller should see for a refusal.

    Parameters:
        text: What the server said.
        where: The server, as it may be shown.
        user: Who asked. None: the default user.
    """
    if text.startswith("UNBLOCKED") and is_read_only(text):
        return StoreReadOnlyError(
            f"{where}: the server became a replica while it was waited for. Nothing was done;"
            " the next call looks for the new primary."
        )
    if is_denied_inside(text):
        return denied(text, where, user)
    match code(text):
        case "LOADING":
            return _unreachable(f"{where}: the server is still loading its data")
        case "MASTERDOWN":
            return _unreachable(f"{where}: this replica has lost its primary")
        case "CLUSTERDOWN":
            return _unreachable(f"{where}: the cluster does not serve this key now ({text})")
        case "TRYAGAIN":
            return _unreachable(f"{where}: these keys are being moved to another node")
        case "MOVED" | "ASK":
            return _unreachable(f"{where}: the nodes do not agree on who has this key ({text})")
        case "BUSY":
            return StoreBusyError(
                f"{where}: a script has been running for too long, and the server does nothing"
                " else meanwhile. `SCRIPT KILL` ends it if it has not written yet."
            )
        case "OOM":
            return StoreFullError(
                f"{where}: the server has used all of its maxmemory. Nothing was written; raise"
                " maxmemory or make room, and it goes on."
            )
        case "READONLY":
            return StoreReadOnlyError(
                f"{where}: this server is a replica and cannot be written. The next call looks for"
                " the primary; if this stays, the URL names a replica."
            )
        case "MISCONF":
            return StoreReadOnlyError(
                f"{where}: the server refuses to write, since its last snapshot failed. Look into"
                " its log and its disk (stop-writes-on-bgsave-error)."
            )
        case "NOREPLICAS":
            return StoreReadOnlyError(
                f"{where}: the server refuses to write, since too few replicas follow it"
                " (min-replicas-to-write)."
            )
        case "NOAUTH":
            return BackendError(
                f"{where}: the server asks for a password. Put it into the URL:"
                " 'redis://:password@host' or 'redis://user:password@host'."
            )
        case "WRONGPASS":
            return BackendError(
                f"{where}: user {user or 'default'!r} was not let in: wrong name or password, or"
                " the user is switched off. Check them in the URL."
            )
        case "DENIED":
            return BackendError(
                f"{where}: the server is in protected mode: it has no password and lets in only"
                " its own machine. Give it a password, or set `bind` and `protected-mode no`."
            )
        case "NOPERM":
            return denied(text, where, user)
        case "CROSSSLOT":
            return InvalidOptionError(
                f"{where}: the keys of one call lie on different nodes of the cluster. What is"
                " used together needs one hash tag: the same text in braces, as in '{mail}:a' and"
                " '{mail}:b'."
            )
    if code(text) == "WRONGTYPE" or "value is not an integer" in text:
        return BackendError(
            f"{where}: a key holds what does not belong there ({text.partition(' script: ')[0]})."
            " `toril doctor` names it, and says how to mend it."
        )
    if "AUTH <password> called without any password" in text:
        return BackendError(
            f"{where}: the URL has a password, but the server has none for its default user."
            " Remove it, or set `requirepass` there."
        )
    if "max number of clients reached" in text:
        return _unreachable(f"{where}: the server has too many connections (maxclients)")
    return BackendError(f"{where}: {text}")


def denied(text: str, where: str, user: str | None, lacking: str = "") -> StoreDeniedError:
    """Return the error of a refusal for want of a right.

    Parameters:
        text: What the server said.
        where: The server, as it may be shown.
        user: Who asked. None: the default user.
        lacking: The rights, as an ACL line has them, if they are known.
    """
    which = f"lacks {lacking}" if lacking else f"lacks a right: {text}"
    return StoreDeniedError(
        f"{where}: user {user or 'default'!r} {which}. Give it with `ACL SETUSER`; the whole list"
        " is in docs/operate/redis.md, under Rights."
    )


def _unreachable(text: str) -> StoreUnreachableError:
    return StoreUnreachableError(f"{text}. Nothing was done; try again.", sent=False)
