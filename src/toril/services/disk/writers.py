"""Tells whether some process has a file open for writing, such as a log that is in use.

On Linux the kernel says so: a lease on a file for reading is refused while anybody has it open for
writing, whichever process and user it is. Elsewhere, and on file systems without leases, nobody
says it.
"""

from __future__ import annotations

import errno
import fcntl
from contextlib import suppress


def is_being_written(fd: int) -> bool | None:
    """Return whether a file is open for writing somewhere; None: it cannot be told.

    Parameters:
        fd: The file, open for reading only.
    """
    lease = getattr(fcntl, "F_SETLEASE", None)
    if lease is None:
        return None
    try:
        fcntl.fcntl(fd, lease, fcntl.F_RDLCK)
    except OSError as error:
        # EACCES: the file is another user's, whose files only root may ask about.
        return True if error.errno == errno.EAGAIN else None
    with suppress(OSError):
        fcntl.fcntl(fd, lease, fcntl.F_UNLCK)
    return False
