"""Refusals and failures as answers: RFC 9457's problem details, with the member `error`.

`of_error` is the only place that turns an error into a status. A message never holds a password or
a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from toril.core import errors
from toril.core.loggers import logger
from toril.core.redact import without_passwords
from toril.rest.answers import ProblemDetails, ProblemError
from toril.web.access.port import Throttled, Unauthenticated
from toril.web.encoding import encode

log = logger("toril.web")

TITLES = {
    400: "Not understood",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "No such method here",
    408: "Too slow",
    409: "Not in this state",
    413: "Too large",
    415: "Not JSON",
    422: "Makes no sense",
    429: "Too many requests",
    500: "An error of the server",
    503: "The store does not answer",
}
"""Every status of a refusal or failure."""

RETRY_AFTER_S = 1
"""When to come back after a 503."""

_OPTION = re.compile(r"([A-Za-z_][\w.\[\]]*)=")


class Problem(errors.TorilError):
    """An answer that refuses."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        allowed: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Make an answer.

        Parameters:
            status: One of `TITLES`.
            code: A word for programs.
            message: A sentence for people: what is wrong and what would do.
            field: Which part of the request is wrong.
            allowed: What it may be.
            headers: Of the answer.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.allowed = allowed
        self.headers = dict(headers or {})

    def details(self) -> ProblemDetails:
        """Return the body of the answer."""
        message = without_passwords(str(self))
        return ProblemDetails(
            type="about:blank",
            title=TITLES[self.status],
            status=self.status,
            detail=message,
            error=ProblemError(
                code=self.code,
                message=message,
                field=self.field,
                allowed=None if self.allowed is None else list(self.allowed),
            ),
        )

    def response(self) -> Response:
        """Return the answer."""
        body = encode(self.details())
        headers = {"cache-control": "no-store", **self.headers}
        return Response(body, self.status, headers=headers, media_type="application/problem+json")


def of_error(error: BaseException) -> Problem:
    """Return the answer to an error. One that nobody expected is logged, and not shown."""
    text = str(error)
    match error:
        case Problem():
            return error
        case Throttled():
            headers = {"retry-after": str(error.retry_after_s)}
            return Problem(error.status, error.code, text, headers=headers)
        case Unauthenticated():
            headers = {} if error.status != 401 else {"www-authenticate": error.challenge}
            return Problem(error.status, error.code, text, headers=headers)
        case errors.PayloadTooLargeError():
            return Problem(413, "payload_too_large", text, field=error.field)
        case errors.InvalidPayloadError():
            return Problem(422, "invalid_payload", text, field=error.field)
        case errors.QueryError():
            return Problem(422, "unreadable_search", text, field="q")
        case errors.InvalidOptionError():
            named = _OPTION.match(text)
            return Problem(422, "invalid", text, field=None if named is None else named[1])
        case errors.JobNotFoundError():
            return Problem(404, "job_not_found", text)
        case errors.ScheduleNotFoundError():
            return Problem(404, "schedule_not_found", text)
        case errors.OperationNotFoundError():
            return Problem(404, "operation_not_found", text)
        case errors.UserConflictError():
            return Problem(409, error.code, text)
        case errors.WrongStateError():
            return Problem(409, "wrong_state", text)
        case errors.BackendError():
            code = _STORE_CODES.get(type(error), "store_failed")
            return Problem(503, code, text, headers={"retry-after": str(RETRY_AFTER_S)})
    log.exception("a request failed", exc_info=error)
    return Problem(
        500,
        "internal",
        f"an error of the server, which has logged it: {type(error).__name__}",
    )


_STORE_CODES: dict[type[BaseException], str] = {
    errors.StoreUnreachableError: "store_unreachable",
    errors.StoreBusyError: "store_busy",
    errors.StoreFullError: "store_full",
    errors.StoreReadOnlyError: "store_read_only",
    errors.StoreDeniedError: "store_denied",
    errors.BackendClosedError: "closing",
}
