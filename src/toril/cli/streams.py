"""Opens the null device for standard streams that were closed before the start (`2>&-`).

Otherwise the next file or socket to be opened gets the number of a closed stream, and a library or
a child process that writes to stderr would write into it. Python has None in place of such a
stream, for which no code is prepared.
"""

from __future__ import annotations

import os
import sys


def open_closed_streams() -> None:
    """See to it that descriptors 0 to 2 are open, and the streams on them are there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
            os.set_inheritable(number, True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # On a descriptor of its own: something else may have been opened on the stream's.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="replace"))
            setattr(sys, f"__{name}__", getattr(sys, name))
