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
    code = int(status[1]) if status is not None else 0
    if code == 507 or any(word in text for word in _FULL):
        return StorageFullError(sentence)
    if kind in ("PermissionDeniedError", "UnauthenticatedError", "NotFoundError"):
        return StorageDeniedError(sentence)
    if kind == "FileNotFoundError" or (400 <= code < 500 and code not in _BUSY):
        return StorageDeniedError(sentence)
    return StorageUnavailableError(sentence)


def _said(text: str, secrets: tuple[str, ...]) -> str:
    """Return what the server said, or what went wrong on the way to it, in one line."""
    code, said = _CODE.search(text), _SAID.search(text)
    if code is not None:
        shown = code[1] + (f": {said[1]}" if said is not None else "")
    else:
        shown = _QUERY.sub(r"\1", text.splitlines()[0] if text else "no answer")[:400]
    for secret in secrets:
        shown = shown.replace(secret, "***")
    return shown
