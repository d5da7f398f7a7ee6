"""Exit codes, and the code for each kind of error."""

from __future__ import annotations

import click

DONE = 0
ERROR = 1
USAGE = 2
STORE = 3
STATE = 4
INTERRUPTED = 130

MEANINGS = {
    DONE: "done; of a worker: stopped when told to",
    ERROR: "failed; of doctor: it found an error; of the demo: a file failed that should not",
    USAGE: "an option, argument or setting makes no sense, or MODULE:APP is no app",
    STORE: "the store cannot be opened or used",
    STATE: "no such queue, job, schedule or operation, or it is not in a state that allows this",
    INTERRUPTED: "interrupted by Ctrl-C",
}
"""The only list. `toril --help` ends with it."""


class RefusedError(click.ClickException):
    """What was asked cannot be done; the message is one sentence for people."""

    def __init__(self, message: str, code: int = ERROR) -> None:
        super().__init__(message)
        self.code = code


class SeveralRefusedError(RefusedError):
    """Some of what was asked cannot be done; there is a sentence for each."""

    def __init__(self, sentences: list[str], code: int) -> None:
        super().__init__("; ".join(sentences), code)
        self.sentences = sentences


def code_of(error: BaseException) -> int | None:
    """Return the exit code of one of Toril's errors; None if it is not one that a user can cause.

    Parameters:
        error: What a command raised.
    """
    from toril.core import errors  # here: `toril --help` needs none of them

    match error:
        case errors.JobNotFoundError() | errors.WrongStateError():
            return STATE
        case errors.ScheduleNotFoundError() | errors.OperationNotFoundError():
            return STATE
        case errors.UserConflictError():
            return STATE
        case errors.BackendError():
            return STORE
        case errors.InvalidOptionError() | errors.InvalidPayloadError():
            return USAGE
        case errors.TorilError() | OSError():
            return ERROR
    return None
