"""Sealed fields of a task: sealed in every text that goes to the store, opened for the task only.

Payloads and results keep all other fields as they were written. Where a sealed value stands in a
text that cannot be sealed in part (an error, a log line, progress), it is replaced by `[sealed]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import msgspec

from toril.core.checks import require
from toril.core.codec import decode, encode_text
from toril.core.errors import InvalidOptionError, SealedFieldError
from toril.core.sealing import CannotOpenError, KeyRing, is_sealed

SHOWN = "[sealed]"
"""What stands in texts in place of a sealed value."""
SHORTEST = 3
"""Characters of the shortest value that is looked for in texts: a shorter one is in every text."""
WORD = 6
"""Characters below which a value is looked for as a word of its own."""
RESULT = "(result)"
"""The path of a result that is sealed whole."""

_RAW_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
Path = tuple[str, ...]


class Seals:
    """The sealed fields of one task."""

    def __init__(self, task: str, paths: Iterable[str], keys: Callable[[], Sequence[str]]) -> None:
        """Make them.

        Parameters:
            task: The task's name, for messages.
            paths: The fields as they are named on the wire: `card`, or `card.number` for a field
                of an object.
            keys: Returns the keys of the app, the first one to write with.
        """
        self._task = task
        self._paths: list[Path] = [tuple(path.split(".")) for path in paths]
        self._keys = keys
        self._ring: KeyRing | None = None
        self._secrets_of = lru_cache(maxsize=64)(self._find_secrets)
        # An attempt asks for its payload several times.
        self._opened = lru_cache(maxsize=64)(self._open)

    def with_keys(self, keys: Callable[[], Sequence[str]]) -> Seals:
        """Return the same fields with the keys of another app."""
        return Seals(self._task, [".".join(path) for path in self._paths], keys)

    def ring(self) -> KeyRing:
        """Return the keys.

        Raises:
            SealedFieldError: There is none.
            MissingExtraError: `cryptography` is not installed.
        """
        if self._ring is None:
            keys = self._keys()
            if not keys:
                raise SealedFieldError(
                    self._task,
                    ".".join(self._paths[0]),
                    "it is sealed, and there is no key: set TORIL_ENCRYPTION_KEYS (`toril"
                    " encryption-key` makes one)",
                )
            self._ring = KeyRing(keys)
        return self._ring

    def seal(self, text: str) -> str:
        """Return a payload (JSON text) with its fields sealed. What is sealed stays as it is."""
        return self._each(text, self._seal_value)

    def open(self, text: str) -> str:
        """Return a payload (JSON text) with its fields opened. What is not sealed stays as it is.

        Raises:
            SealedFieldError: No key here opens one.
        """
        return self._opened(text)

    def seal_result(self, text: str, payload: str) -> str:
        """Return a result (JSON text) with fields of the same names sealed.

        If the value of a sealed field of the payload stands elsewhere in it, all of it is sealed.
        """
        sealed = self.seal(text)
        if self.scrub(sealed, payload) == sealed:
            return sealed
        return encode_text(self.ring().seal(text.encode(), RESULT))

    def open_result(self, text: str) -> str:
        """Return a result (JSON text) as the task returned it."""
        if '"$sealed"' not in text:
            return text
        value = decode(text)
        return self._open_value(text, RESULT) if is_sealed(value) else self.open(text)

    def scrub(self, text: str, payload: str) -> str:
        """Return a text without the values of a payload's sealed fields.

        Parameters:
            text: An error, a log line, JSON text of progress.
            payload: The payload as it is stored.
        """
        pattern = self._secrets_of(payload)
        return text if pattern is None else pattern.sub(SHOWN, text)

    def _open(self, text: str) -> str:
        return self._each(text, self._open_value) if '"$sealed"' in text else text

    def _each(self, text: str, change: Callable[[str, str], str]) -> str:
        for path in self._paths:
            text = _changed(text, path, path, change)
        return text

    def _seal_value(self, text: str, path: str) -> str:
        if text == "null" or is_sealed(decode(text)):
            return text
        return encode_text(self.ring().seal(text.encode(), path))

    def _open_value(self, text: str, path: str) -> str:
        value = decode(text)
        if not is_sealed(value):
            return text
        try:
            return self.ring().open(value, path).decode()
        except CannotOpenError as error:
            raise SealedFieldError(
                self._task,
                path,
                f"it cannot be opened: {error}. Give TORIL_ENCRYPTION_KEYS the key that sealed it,"
                " behind the first, and retry the job",
            ) from None

    def _find_secrets(self, payload: str) -> re.Pattern[str] | None:
        """Return what matches the values of the sealed fields; None: there is none to look for."""
        found: set[str] = set()

        def note(text: str, path: str) -> str:
            try:
                found.update(_texts(self._open_value(text, path)))
            except SealedFieldError:
                pass  # the task has not seen it either
            return text

        self._each(payload, note)
        words = sorted(found, key=len, reverse=True)  # the longer one first: it may hold another
        return re.compile("|".join(map(_pattern, words))) if words else None


def check_paths(task: str, sealed: object, fields: Sequence[str] | None) -> tuple[str, ...]:
    """Return the sealed fields that a task names.

    Parameters:
        task: Its name.
        sealed: What it says: names, or paths with dots.
        fields: Its parameters. None: it takes the payload whole, so any field may be there.

    Raises:
        InvalidOptionError: There is no such parameter, or it is no list of names.
    """
    good = isinstance(sealed, tuple | list) and all(
        isinstance(path, str) and path and all(path.split(".")) for path in sealed
    )
    require(good, "sealed", sealed, 'names of fields, such as ("card", "owner.iban")')
    assert isinstance(sealed, tuple | list)  # noqa: S101 - it was just checked
    for path in sealed:
        name = path.split(".")[0]
        if fields is not None and name not in fields:
            known = ", ".join(fields) or "none"
            raise InvalidOptionError(
                f"task {task!r}, sealed={path!r}: it has no parameter {name!r}; it has: {known}"
            )
    return tuple(sealed)


def _changed(text: str, path: Path, whole: Path, change: Callable[[str, str], str]) -> str:
    """Return JSON text with the value at a path changed; everything else stays as it is."""
    try:
        fields = _RAW_OBJECT.decode(text)
    except msgspec.DecodeError:
        return text  # no object has this field
    name = path[0]
    if name not in fields:
        return text
    value = bytes(fields[name]).decode()
    if len(path) > 1:
        after = _changed(value, path[1:], whole, change)
    else:
        after = change(value, ".".join(whole))
    if after == value:
        return text
    fields[name] = msgspec.Raw(after.encode())
    return msgspec.json.encode(fields).decode()


def _texts(value: str) -> Iterator[str]:
    """Return the forms in which a value, given as JSON, may stand in a text."""
    for leaf in _leaves(decode(value)):
        shown = leaf if isinstance(leaf, str) else encode_text(leaf)
        if len(shown) >= SHORTEST:
            yield shown
            yield repr(shown)[1:-1]
            yield encode_text(shown)[1:-1]


def _leaves(value: object) -> Iterator[str | int | float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield value


def _pattern(word: str) -> str:
    escaped = re.escape(word)
    return escaped if len(word) >= WORD else rf"(?<!\w){escaped}(?!\w)"
