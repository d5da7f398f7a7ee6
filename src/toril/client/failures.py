"""What a client raises: the server's refusals, and that it cannot be reached."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toril.core.errors import TorilError
from toril.rest.answers import ProblemDetails

FOREIGN = "foreign_answer"
"""The code of an answer that Toril has not given."""


class ApiError(TorilError):
    """The server has refused a request, or failed. The message says what would do."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        field: str | None = None,
        allowed: Sequence[str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        """HTTP's status, such as 404."""
        self.code = code
        """A word that stays as it is, such as `job_not_found`."""
        self.field = field
        """Which part of the request is wrong."""
        self.allowed = allowed
        """What that may be."""
        self.retry_after_s = retry_after_s
        """429 and 503: when to come back, in seconds."""

    def __reduce__(self) -> tuple[object, ...]:
        facts = (self.status, self.code, self.field, self.allowed, self.retry_after_s)
        return _rebuild, (str(self), *facts)


class ServerUnreachableError(ApiError):
    """The server cannot be reached, or does not answer. What was asked may have been done."""


def _rebuild(
    message: str,
    status: int,
    code: str,
    field: str | None,
    allowed: Sequence[str] | None,
    retry_after_s: float | None,
) -> ApiError:
    kind = ServerUnreachableError if status == 0 else ApiError
    return kind(
        message, status=status, code=code, field=field, allowed=allowed, retry_after_s=retry_after_s
    )


def unreachable(url: str, error: Exception) -> ServerUnreachableError:
    """Return the error for a server that cannot be reached."""
    why = str(error) or type(error).__name__
    return ServerUnreachableError(
        f"{url} does not answer: {why}. Is toril serve running there?",
        status=0,
        code="server_unreachable",
    )


def refused(status: int, body: bytes, retry_after: str | None) -> ApiError:
    """Return the error for an answer that is a refusal or failure."""
    wait_s = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    try:
        details = msgspec.json.decode(body, type=ProblemDetails)
    except msgspec.DecodeError:  # a proxy has answered, or another server
        return ApiError(
            f"the answer is no answer of Toril's API: {status} with {_beginning(body)}. Expected"
            " the address of a toril serve, such as http://localhost:3030, or what it is mounted"
            " in; if the address is right, a proxy before it has answered",
            status=status,
            code=FOREIGN,
            retry_after_s=wait_s,
        )
    error = details.error
    return ApiError(
        error.message,
        status=status,
        code=error.code,
        field=error.field,
        allowed=error.allowed,
        retry_after_s=wait_s,
    )


def _beginning(body: bytes) -> str:
    """Return in a few words what a body is that Toril has not written."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    if text.lower().startswith(("<!doctype html", "<html")):
        return "a page for browsers"
    return repr(text) if text else "nothing"
