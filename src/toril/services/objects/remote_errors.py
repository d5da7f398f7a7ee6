"""Turns the errors of obstore into ours, in a sentence and without secrets."""

from __future__ import annotations

import re

from toril.services.objects.errors import (
    ObjectError,
    ObjectMissingError,
    StorageDeniedError,
    StorageFullError,
    StorageUnavailableError,
)

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]{1,80})</Code>")
_SAID = re.compile(r"<Message>([^<]{1,300})</Message>")
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_FULL = ("QuotaExceeded", "StorageFull", "InsufficientStorage", "AccountBeingDisabledQuota")
_SECRET_CHARS = 4
"""Shorter ones are no secrets, and parts of many words."""
_BUSY = frozenset({408, 425, 429})


def told(error: Exception, *, key: str, place: str, secrets: tuple[str, ...]) -> ObjectError:
    """Return an error of obstore's as ours.

    Parameters:
        error: What it raised.
        key: The object; empty if it was about none.
        place: The storage, for people.
        secrets: What must not be in the sentence.
    """
    kind = type(error).__name__
    text = str(error).split("\n\nDebug source", 1)[0]
    where = f"object {key!r} on {place}" if key else place
    if kind in ("NotFoundError", "FileNotFoundError") and not any(w in text for w in _NO_BUCKET):
        return ObjectMissingError(f"{where} is not there")
    sentence = f"{where}: {_said(text, secrets)}"
    status = _STATUS.search(text)
    if kind in ("PermissionDeniedError", "UnauthenticatedError", "NotFoundError"):
        return StorageFullError(sentence) if _is_full(text) else StorageDeniedError(sentence)
    if kind == "FileNotFoundError":
        return StorageDeniedError(sentence)
    return by_status(int(status[1]) if status is not None else 0, text, sentence)


def by_status(status: int, text: str, sentence: str) -> ObjectError:
    """Return the error that an answer's status means.

    Parameters:
        status: Of HTTP; 0 without an answer.
        text: What the server said.
        sentence: For people.
    """
    if status == 507 or _is_full(text):
        return StorageFullError(sentence)
    if 400 <= status < 500 and status not in _BUSY:
        return StorageDeniedError(sentence)
    return StorageUnavailableError(sentence)


def _is_full(text: str) -> bool:
    return any(word in text for word in _FULL)


def _said(text: str, secrets: tuple[str, ...]) -> str:
    """Return what the server said, or what went wrong on the way to it, in one line."""
    code, said = _CODE.search(text), _SAID.search(text)
    if code is not None:
        shown = code[1] + (f": {said[1]}" if said is not None else "")
    else:
        first = text.splitlines()[0] if text else "no answer"
        # What stands before the dash tells how often and how long it was tried.
        shown = first.rpartition(" - ")[2].strip()
    return without_secrets(shown, secrets)


def without_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """Return what may be shown of a text: no secret, no query of a URL, 400 characters."""
    shown = _QUERY.sub(r"\1", text)
    for secret in secrets:
        if len(secret) >= _SECRET_CHARS:
            shown = shown.replace(secret, "***")
    return shown[:400]
