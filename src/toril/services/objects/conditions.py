"""What has to hold for an object to be stored: none there, or a known version."""

from __future__ import annotations

from toril.core.checks import require
from toril.services.objects.describing import Description
from toril.services.objects.errors import ObjectChangedError, ObjectExistsError
from toril.services.objects.port import ObjectInfo


def check_conditions(if_absent: bool, if_etag: str | None) -> None:
    """Refuse two conditions of which one can hold only.

    Raises:
        InvalidOptionError: Both are given.
    """
    good = not (if_absent and if_etag is not None)
    require(good, "if_etag", if_etag, "one of if_absent and if_etag")


def check_there(key: str, there_etag: str | None, *, if_absent: bool, if_etag: str | None) -> None:
    """Compare the conditions with what is there.

    Parameters:
        key: Of the object.
        there_etag: Of the object that is there; None if there is none.
        if_absent: See `ObjectStore.put`.
        if_etag: As well.

    Raises:
        ObjectExistsError: There is one and must not be.
        ObjectChangedError: Another version is there, or none.
    """
    if if_absent and there_etag is not None:
        raise exists(key)
    if if_etag is not None and there_etag != if_etag:
        raise changed(key)


def exists(key: str) -> ObjectExistsError:
    """Return the error of an object that must not be there."""
    return ObjectExistsError(f"object {key!r} is there already, and was left as it is (if_absent)")


def changed(key: str) -> ObjectChangedError:
    """Return the error of an object that is another version, or is not there."""
    return ObjectChangedError(
        f"object {key!r} is not the version of if_etag any more, and was left as it is: read it"
        " again"
    )


def same(there: ObjectInfo, description: Description, sha256: str, size_bytes: int | None) -> bool:
    """Whether an object that is there is the one that would be stored."""
    return (
        there.sha256 == sha256
        and size_bytes in (None, there.size_bytes)
        and there.content_type == description.content_type
        and there.filename == description.filename
        and dict(there.metadata) == dict(description.metadata)
    )
