"""Names of media and of their files: safe as a path, the same in every attempt."""

from __future__ import annotations

import hashlib
import re
import secrets

from toril.services.unusable import UnusableInputError, named

MEDIA_FILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\.[0-9a-f]{12}\.webp")
"""What `file_name` makes."""

_MEDIA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def media_id_for(idempotency_key: str) -> str:
    """Return the media id of a new upload: the same for the same key, and for no other.

    Parameters:
        idempotency_key: A text that all attempts of a job share, such as the context's.
    """
    return "m-" + hashlib.blake2b(idempotency_key.encode(), digest_size=12).hexdigest()


def new_media_id() -> str:
    """Return a media id that nobody else has."""
    return "m-" + secrets.token_hex(12)


def check_media_id(media_id: str) -> str:
    """Return `media_id` if it can name a folder.

    Raises:
        UnusableInputError: It is empty, over 128 characters, or has others than letters, digits,
            `_` and `-`.
    """
    if not _MEDIA_ID.fullmatch(media_id):
        reason = "expected 1 to 128 letters, digits, '_' and '-', beginning with a letter or digit"
        raise UnusableInputError(named("mediaId", media_id), reason)
    return media_id


def folder_name(entity_type: str, media_id: str) -> str:
    """Return the folder of a media from the media root.

    One folder per media, so that what belongs to it can be listed without reading the others.
    """
    return f"{entity_type}/{media_id}"


def file_name(variant: str, content: bytes) -> str:
    """Return a variant's file name: its name and a digest of its content.

    Another content has another name. So a media that is made again appears at once, when its
    record changes, and no cache in between shows the old picture under a new address.
    """
    return f"{variant}.{hashlib.blake2b(content, digest_size=6).hexdigest()}.webp"
