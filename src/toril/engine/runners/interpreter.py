"""Which program a child process is: a Python interpreter, or a frozen program that plays one.

`sys.executable` need not be Python: in a frozen program (PyInstaller, cx_Freeze, Nuitka) or an
embedded one it is the program. Started as a child it would start a worker again, which starts a
child, without end. So a frozen program has to say that it can play the child, as it does for
`multiprocessing`; and a program that finds itself in a child's place ends at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from toril.core.errors import InvalidOptionError
from toril.engine.runners.references import main_source

CHILD_FLAG = "--toril-child"
"""First argument of a frozen program that is to play the child."""
CHILD_VARIABLE = "TORIL_CHILD"
"""Set for a child, whose first step removes it. So a program that finds it set is no child."""
EXIT_RESTARTED = 77
"""The exit code of a program that found itself in a child's place. EX_NOPERM of sysexits(3)."""

# sys.path comes first: Toril itself may be on a path that only the worker's program added.
_CODE = (
    f"import os, sys; os.environ.pop({CHILD_VARIABLE!r}, None); sys.path[:] = sys.argv[3:];"
    " from toril.engine.runners.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_AT_FIRST = sys.executable
_WAY_OUT = (
    'under if __name__ == "__main__":, before anything else, call toril.freeze_support();'
    ' or give its tasks run_in="thread"'
)


class NoChildError(InvalidOptionError):
    """This program can have no child processes, or a task cannot run in one. Final."""


class Freezing:
    """Whether this program can play the child. One a process: `FREEZING`."""

    __slots__ = ("supported",)

    def __init__(self) -> None:
        self.supported = False
        """`freeze_support` was called."""


FREEZING = Freezing()


def freeze_support() -> None:
    """Let a frozen program run tasks in processes: call it first in its main part.

    ```python
    if __name__ == "__main__":
        toril.freeze_support()
        main()
    ```

    Such a program is its own interpreter, so its child processes are itself, started once more:
    there this runs tasks, and does not return. Elsewhere it does nothing.
    """
    FREEZING.supported = True
    if sys.argv[1:2] == [CHILD_FLAG] and len(sys.argv) > 3:
        from toril.engine.runners.child import main

        os.environ.pop(CHILD_VARIABLE, None)
        channel_fd, lifeline_fd = map(int, sys.argv[2:4])
        sys.path[:] = sys.argv[4:]
        main(channel_fd, lifeline_fd)
        sys.exit()


def check_target(target: str) -> None:
    """Refuse a task that no child process of this program could run.

    Parameters:
        target: `module:qualname`.

    Raises:
        NoChildError: The message says why, and what to do.
    """
    command_for((), ())
    if target.startswith("__main__:") and not is_frozen():
        try:
            main_source()
        except InvalidOptionError as error:
            raise NoChildError(str(error)) from None


def command_for(fds: Sequence[int], path: Sequence[str]) -> list[str]:
    """Return the command that starts a child.

    Parameters:
        fds: Its ends of the channel and the lifeline.
        path: Its `sys.path`.

    Raises:
        NoChildError: There can be none; the message says why, and what to do.
    """
    executable = _executable()
    if is_frozen():
        if not FREEZING.supported:
            raise NoChildError(
                "run_in='process': this program is frozen, so a child process would be the whole"
                f" program once more: {_WAY_OUT}"
            )
        return [executable, CHILD_FLAG, *map(str, fds), *path]
    if not executable:
        raise NoChildError(
            "run_in='process': this Python is embedded in another program and names no interpreter"
            " (sys.executable is empty): multiprocessing.set_executable() tells where one is; or"
            ' give the task run_in="thread"'
        )
    return [executable, *_interpreter_flags(), "-c", _CODE, *map(str, fds), *path]


def restarted(executable: str | None = None) -> str:
    """Return why a program that found itself in a child's place has ended."""
    return (
        f"run_in='process': {executable or _executable()!r} is no Python interpreter, but this"
        " program, or one that starts it: multiprocessing.set_executable() tells where an"
        f" interpreter is. If the program is frozen: {_WAY_OUT}"
    )


def refuse_restart() -> None:
    """End this process if it was started as a child and is the whole program instead."""
    if CHILD_VARIABLE in os.environ and sys.argv[1:2] != [CHILD_FLAG]:
        sys.stderr.write(f"{restarted()}\n")
        sys.exit(EXIT_RESTARTED)


def is_frozen() -> bool:
    """Return whether this program is its own interpreter."""
    # Nuitka sets no `sys.frozen`, but marks each module that it has compiled.
    return bool(getattr(sys, "frozen", False)) or hasattr(sys.modules["__main__"], "__compiled__")


def _executable() -> str:
    # Whoever has told multiprocessing where Python is has told us. What nobody told it is what
    # `sys.executable` was, which may have been mended since.
    spawn = sys.modules.get("multiprocessing.spawn")
    told = "" if spawn is None else os.fsdecode(spawn.get_executable() or "")
    return told if told and told != _AT_FIRST else sys.executable or ""


def _interpreter_flags() -> list[str]:
    # -O, -W, -X and their like, by the function that multiprocessing uses; it has no public name.
    return list(subprocess._args_from_interpreter_flags())  # type: ignore[attr-defined]
