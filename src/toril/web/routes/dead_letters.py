"""Routes about dead letters: what failed for good, and how it comes back."""

from __future__ import annotations

from msgspec import UNSET

from toril.engine.letter_info import LetterInfo
from toril.rest.answers import Done, LetterLine, LetterQueue, Page, Redriven
from toril.rest.bodies import LetterQuery, LettersBody, ListQuery, RedriveAllBody, RedriveBody
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.letter_queues import letter_queues
from toril.web.lines import letter_line
from toril.web.many import for_a_while

routes = Routes("dead letters")


@routes.get("/dead")
async def list_letter_queues(call: Call, query: ListQuery) -> Page[LetterQueue]:
    """List the dead-letter queues that queues or tasks name, and how full each is."""
    return Page(await letter_queues(call))


@routes.get("/dead/{letters}")
async def list_letters(call: Call, letters: str, query: LetterQuery) -> Page[LetterLine]:
    """List the letters of a dead-letter queue, oldest first.

    With a filter there may be fewer than `limit` although `next` is set: one request looks at a
    bounded number.
    """
    _need_payloads(call, query.error)
    page = await call.app.dead_letters(letters).list(
        queue=query.queue,
        task=query.task,
        error=query.error,
        redriven=query.redriven,
        limit=query.limit,
        after=query.after,
    )
    seen = [shown for info in page.letters if (shown := call.sight.letter(info)) is not None]
    return Page([letter_line(info, payloads=call.payloads) for info in seen], page.next)


@routes.get("/dead/{letters}/{letter_id}")
async def get_letter(call: Call, letters: str, letter_id: str) -> LetterInfo:
    """Show all that a letter says."""
    info = await call.app.dead_letters(letters).get(letter_id)
    call.need(Permission.READ, info.original_queue)
    shown = call.sight.letter(info)
    assert shown is not None  # noqa: S101 - the caller may see both queues
    return shown


@routes.post("/dead/{letters}/{letter_id}/redrive", errors=(409,))
async def redrive_letter(call: Call, letters: str, letter_id: str, body: RedriveBody) -> Redriven:
    """Bring the job of a letter back: into its queue, with its options, attempts anew."""
    found = call.app.dead_letters(letters)
    info = await found.get(letter_id)
    call.need(Permission.OPERATE, info.original_queue)
    job = await found.redrive(letter_id, None if body.data is UNSET else body.data)
    return Redriven(queue=job.queue, id=job.id)


@routes.post("/dead/{letters}/redrive", timeout_s=60.0)
async def redrive_letters(call: Call, letters: str, body: RedriveAllBody) -> Done:
    """Bring back the jobs of all letters that were not redriven, or of some."""
    _need_named(call, body.queue)
    _need_payloads(call, body.error)
    return await for_a_while(
        call,
        lambda progress: call.app.dead_letters(letters).redrive_all(
            queue=body.queue,
            task=body.task,
            error=body.error,
            limit=body.limit,
            progress=progress,
        ),
    )


@routes.delete("/dead/{letters}/{letter_id}", errors=(409,))
async def remove_letter(call: Call, letters: str, letter_id: str) -> Done:
    """Remove a letter. Its job stays as it is."""
    found = call.app.dead_letters(letters)
    info = await found.get(letter_id)
    call.need(Permission.OPERATE, info.original_queue)
    await found.remove(letter_id)
    return Done(count=1)


@routes.post("/dead/{letters}/remove", timeout_s=60.0)
async def remove_letters(call: Call, letters: str, body: LettersBody) -> Done:
    """Remove letters, all or some. Their jobs stay as they are."""
    _need_named(call, body.queue)
    _need_payloads(call, body.error)
    return await for_a_while(
        call,
        lambda progress: call.app.dead_letters(letters).remove_all(
            queue=body.queue,
            task=body.task,
            error=body.error,
            redriven=body.redriven,
            progress=progress,
        ),
    )


def _need_named(call: Call, queue: str | None) -> None:
    """Refuse a caller that is limited to queues, unless it names one of them.

    Raises:
        Problem: It does not.
    """
    if call.principal.queues is not None:
        call.need(Permission.OPERATE, queue or "*")


def _need_payloads(call: Call, error: str | None) -> None:
    """Refuse to choose letters by their errors to a caller that may not see those.

    Raises:
        Problem: It may not.
    """
    if error is not None:
        call.need_payloads()
