"""Which keys objects may have: the same on every storage, so that they can be moved.

A key is a path without a root: parts with `/` between them, such as `avatars/7/large.webp`.
"""

from __future__ import annotations

from toril.services.unusable import UnusableInputError, named

MAX_KEY_BYTES = 1024
"""Longest key, in bytes of UTF-8: what S3 allows."""
MAX_PART_BYTES = 255
"""Longest part between two slashes, in bytes of UTF-8: what file systems allow."""
OWN_FOLDER = ".toril"
"""The first part of no key: the folder storage keeps its own files there."""


def check_key(key: str) -> str:
    """Return the key if an object may have it.

    Raises:
        UnusableInputError: It may not; the message says why.
    """
    return _checked(key, "object")


def check_prefix(prefix: str) -> str:
    """Return a prefix of keys without a slash at its end. Empty: all keys.

    Raises:
        UnusableInputError: No key can begin so.
    """
    return _checked(prefix.removesuffix("/"), "prefix") if prefix else ""


def key_of(path: str) -> str:
    """Return the key that a path from outside means: a slash in front stands for the storage.

    Raises:
        UnusableInputError: It is no key, such as a path with `..`.
    """
    return check_key(path.lstrip("/") if isinstance(path, str) else path)


def _checked(key: str, kind: str) -> str:
    if not isinstance(key, str):
        raise UnusableInputError(f"{kind} {key!r}", "its key has to be text")
    reason = _fault(key)
    if reason is not None:
        raise UnusableInputError(named(kind, key), f"key not allowed: {reason}")
    return key


def _fault(key: str) -> str | None:
    """Return what is wrong with a key; None if it is good."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "it cannot be written as UTF-8"
    if not key:
        return "it is empty"
    if size > MAX_KEY_BYTES:
        return f"it has {size:,} bytes, over {MAX_KEY_BYTES:,}"
    if any(ord(char) < 32 or ord(char) == 127 for char in key):
        return "it holds a control character"
    if "\\" in key:
        return "it holds a backslash; parts are separated by /"
    parts = key.split("/")
    if "" in parts:
        return "it begins or ends with / or holds //"
    if "." in parts or ".." in parts:
        return "it holds '.' or '..' as a part"
    if parts[0] == OWN_FOLDER:
        return f"{OWN_FOLDER}/ is kept for the storage's own files"
    longest = max(len(part.encode()) for part in parts)
    if longest > MAX_PART_BYTES:
        return f"a part between two / has {longest:,} bytes, over {MAX_PART_BYTES}"
    return None
