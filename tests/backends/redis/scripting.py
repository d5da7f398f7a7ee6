"""Scripts of the tests' own."""

from __future__ import annotations

import hashlib

from toril.backends.redis.scripts import Script


def lua(text: str, *, keys: tuple[str, ...] = ("key",), args: tuple[str, ...] = ()) -> Script:
    """Return a script as the loader would."""
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name="test", text=text, sha=sha, keys=keys, args=args)


INCREMENT = lua("return redis.call('INCR', KEYS[1])")
