"""Takes the webhooks of payment providers: add its route to yours.

What a provider says is verified, and then has the payment's job ask the provider now, instead of at
its next look. So a webhook that is lost, late, or there twice changes nothing but the time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toril.core.clock import SystemClock, moment
from toril.core.errors import BackendError, JobNotFoundError, WrongStateError
from toril.engine.queue import Queue
from toril.library.payments.settings import Providers
from toril.library.payments.tasks import BEGAN
from toril.services.payments.port import PaymentError, PaymentSetupError, WebhookRefusedError
from toril.services.unusable import UnusableInputError
from toril.web.limits import read_body
from toril.web.problems import Problem

log = logging.getLogger("toril.payments")
MAX_BYTES = 256 * 1024
"""Of one webhook."""
READ_S = 10.0
"""How long a provider may take to send it, in seconds."""
LOOK_AHEAD = timedelta(hours=1)
"""How soon the next look of a job may be at most, to be found: more than `poll_s`."""
PAGE = 1000


class QueueMaker(Protocol):
    """What gives a queue by its name: an app."""

    def queue(self, name: str, /) -> Queue:
        """Return it."""
        ...


def webhook_route(
    app: QueueMaker,
    providers: Providers,
    path: str = "/webhooks/{provider}",
    *,
    queue: str = "payment-retry",
) -> Route:
    """Return the route. `{provider}` is a name of `providers`: give each provider its URL.

    It answers 200 to what is the provider's, 400 to what is not, 404 where there is no such
    provider, 408 after 10 s without an end, 413 above 256 KiB, and 503 if the provider or the store
    cannot be asked: providers then send it again. The sender's address is the one that the server
    tells: behind a proxy, have it believe the proxy.

    Parameters:
        app: Whose queues.
        providers: Who may send.
        path: Where it is.
        queue: Where the jobs of payments are.
    """

    async def take(request: Request) -> Response:
        try:
            provider = providers.find(request.path_params["provider"])
        except UnusableInputError as error:
            return _told(404, str(error))
        try:
            body = await read_body(request.receive, max_bytes=MAX_BYTES, timeout_s=READ_S)
        except Problem as refused:
            too_large = f"a webhook has at most {MAX_BYTES} bytes"
            return _told(refused.status, too_large if refused.status == 413 else str(refused))
        sender = "" if request.client is None else request.client.host
        try:
            event = await provider.webhook(body, request.headers, client_ip=sender)
            looking = 0
            if event.payment_id is not None:
                looking = await look_now(app.queue(queue), event.payment_id)
        except WebhookRefusedError as error:
            return _told(400, str(error))
        except (PaymentError, PaymentSetupError, BackendError):
            log.warning("a webhook of a payment could not be looked at", exc_info=True)
            return _told(503, "this cannot be looked at now: send it again later")
        return JSONResponse({"jobs": looking})

    return Route(path, take, methods=["POST"])


async def look_now(queue: Queue, payment_id: str) -> int:
    """Have the jobs that wait for a payment look at it now; return how many there were.

    A job that waits for its next charge, days after a decline, is none of them.

    Parameters:
        queue: Where they are.
        payment_id: The payment.

    Raises:
        StoreUnreachableError: The store cannot be asked.
    """
    until = moment(SystemClock().now_ms()) + LOOK_AHEAD
    found: list[str] = []
    after: str | None = None
    while True:
        page = await queue.jobs("delayed", limit=PAGE, after=after)
        found += [one.id for one in page.jobs if _waits_for(one.data, payment_id)]
        after = page.next
        if after is None or not page.jobs or _is_late(page.jobs[-1].run_at, until):
            break
    moved = 0
    for job_id in found:
        try:
            await queue.job(job_id).promote()
            moved += 1
        except (WrongStateError, JobNotFoundError):
            pass  # a worker was quicker
    return moved


def _waits_for(data: object, payment_id: str) -> bool:
    """Whether a job has begun its charge, of this payment."""
    return isinstance(data, Mapping) and data.get("paymentId") == payment_id and BEGAN in data


def _is_late(run_at: datetime | None, until: datetime) -> bool:
    return run_at is not None and run_at > until


def _told(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status)
