"""What goes wrong with objects. Each class says whether trying again can help."""

from __future__ import annotations

from toril.core.errors import TorilError


class ObjectError(TorilError):
    """Something about one object or its storage. Errors never hold a password or a key's secret."""


class ObjectMissingError(ObjectError, LookupError):
    """There is no object under this key. Trying again does not help."""


class ObjectExistsError(ObjectError):
    """`if_absent` was asked for, and there is an object under this key. It was left as it is."""


class ObjectChangedError(ObjectError):
    """`if_etag` names another version than the one that is there, or none is there any more.

    Nothing was written: read the object again, and decide anew.
    """


class WrongChecksumError(ObjectError):
    """The content is not the one whose SHA-256 was given or stored.

    An upload has left no object. A download has given damaged content: drop what came.
    """


class StorageDeniedError(ObjectError):
    """The storage refuses: wrong credentials, a missing right, a bucket that is not there.

    Trying again does not help until somebody changes the settings.
    """


class StorageUnavailableError(ObjectError):
    """The storage did not answer, or only with errors of its own. Try again later."""


class StorageFullError(ObjectError):
    """There is no room, or a quota is used up. Try again once there is room."""
