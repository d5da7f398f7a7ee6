"""An upload as a task: `app.include(uploads)`, with `app.provide(Uploads(...))`.

The job of an upload is the root of a flow: it fetches the file, and adds a child that scans it and,
once it is clean, children that make pictures. It ends when they have.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec

from toril.core.codec import Json
from toril.core.reading import read_object, whole
from toril.engine.context import Context
from toril.engine.node import Node
from toril.engine.options import JobOptions, RetryPolicy
from toril.library.files.checking import Declared
from toril.library.files.payloads import FileProblem
from toril.library.files.upload_payloads import (
    ProcessingType,
    UploadOptions,
    UploadResult,
    UploadStatus,
    UploadStep,
)
from toril.library.files.uploads import Uploads, read_upload_options
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 300.0
"""How long one step may take, in seconds."""
STATE = "torilUpload"
"""Of the payload: what only this task fills."""
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
_OTHER_NAMES = {
    "optimization": "image_optimize",
    "thumbnail_generation": "thumbnail",
    "format_conversion": "convert",
}
_MADE = ("image_optimize", "thumbnail", "convert")

uploads = TaskBundle()
"""`files.upload` on the queue `file-processing`."""


@uploads.task(
    name="files.upload",
    queue="file-processing",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=5, base_s=5.0, give_up_on=(UnusableInputError,)),
)
async def upload(
    ctx: Context,
    file_id: Id,
    file_url: Address,
    file_name: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)],
    file_type: Annotated[str, msgspec.Meta(min_length=1, max_length=256)],
    file_size: Annotated[int, msgspec.Meta(ge=0)],
    user_id: Id,
    processing_type: ProcessingType = "full",
    product_id: Id | None = None,
    options: dict[str, Any] | None = None,
    toril_upload: dict[str, Any] | None = None,
    *,
    work: Uploads = provided(Uploads),
) -> UploadResult:
    """Take a file in: look at it, scan it, make pictures of it, publish it.

    A file that may not be taken, or in which something was found, is a result, not a failure.

    Parameters:
        file_id: The application's name of the file.
        file_url: Where it is fetched from: an address of HTTP, or the key of an object.
        file_name: Its declared name.
        file_type: Its declared MIME type.
        file_size: Its declared size, in bytes.
        user_id: Whose it is.
        processing_type: `full`: what the options say. Others: only that, after the scan.
        product_id: What it belongs to.
        options: See `UploadOptions`.
        toril_upload: How far it is, which only this task fills.

    Raises:
        UnusableInputError: The file may not be read, or an option makes no sense; not tried again.
        NoVerdictError: The scanner says nothing; tried again, and not published until then.
        SourceUnavailableError, StorageUnavailableError, OSError: Tried again.
    """
    asked = read_upload_options(options)
    state = None if toril_upload is None else msgspec.convert(toril_upload, UploadStep)
    if state is not None and state.step:
        if state.step == "virus_scan":
            return await work.scan(file_id, state)
        return await work.pictures(file_id, state, asked)
    declared = Declared(mime=file_type, size_bytes=file_size, name=file_name)
    limit = min(asked.max_size or work.settings.files.max_bytes, work.settings.files.max_bytes)
    only_look = processing_type == "validate"
    if state is None:
        state = UploadStep(key=secrets.token_hex(16))
        if not only_look:
            # Noted before anything is stored: an attempt that is repeated finds its own objects.
            await ctx.update_data({**ctx.data, STATE: _plain(state)})
    if state.problems is None:
        facts = await work.look(file_url, declared, None if only_look else state)
        problems = list(facts.problems)
        if facts.bytes is not None and facts.bytes > limit:
            text = f"it has {facts.bytes:,} bytes; at most {limit:,} are taken"
            problems.append(FileProblem(code="too_large", message=text))
        if only_look:
            status: UploadStatus = "rejected" if problems else "valid"
            return UploadResult(file_id=file_id, status=status, outputs=[], problems=problems)
        state = msgspec.structs.replace(
            state,
            type=facts.type,
            extension=facts.extension or "bin",
            bytes=facts.bytes or 0,
            problems=problems,
        )
        await ctx.update_data({**ctx.data, STATE: _plain(state)})
    result = await _flow(ctx, work, state, file_id, _steps(work, state, processing_type, asked))
    if work.settings.outcome_task is not None:
        reason = "; ".join(one.message for one in result.problems)
        if result.status == "infected":
            reason = "a virus was found in it"
        told: dict[str, Json] = {
            "fileId": file_id,
            "fileName": file_name,
            "userId": user_id,
            "productId": product_id,
            "status": result.status,
            "reason": reason,
            "signature": result.signature,
            "outputs": msgspec.to_builtins(result.outputs),
        }
        ctx.enqueue(work.settings.outcome_task, told)
    return result


async def _flow(
    ctx: Context, work: Uploads, state: UploadStep, file_id: str, steps: list[str]
) -> UploadResult:
    """Have the steps done by children, and end the upload. Runs anew after each of them."""
    found = await _results(ctx)
    scan = found.get("virus_scan")
    if scan is None:
        await ctx.add_children([_child(ctx, state, "virus_scan")])
        await ctx.wait_for_children()
        scan = (await _results(ctx))["virus_scan"]
    if scan.status == "infected":
        return scan
    problems = [*(state.problems or []), *scan.problems]
    if not problems:
        missing = [step for step in steps if step not in found]
        if missing:
            await ctx.add_children([_child(ctx, state, step) for step in missing])
            await ctx.wait_for_children()
            found = await _results(ctx)
        problems = [one for step in steps for one in found[step].problems]
    if problems:
        await work.remove(state)
        return UploadResult(file_id=file_id, status="rejected", outputs=[], problems=problems)
    original = await work.publish(state)
    made = [one for step in steps for one in found[step].outputs]
    status: UploadStatus = "processed" if made else "clean"
    return UploadResult(file_id=file_id, status=status, outputs=[original, *made])


def _steps(
    work: Uploads, state: UploadStep, processing_type: ProcessingType, options: UploadOptions
) -> list[str]:
    """Return what is made of the file; nothing of one that is no picture."""
    if not work.is_picture(state):
        return []
    if processing_type == "full":
        asked = (options.optimize_image, options.generate_thumbnail, options.convert_to is not None)
        return [step for step, wanted in zip(_MADE, asked, strict=True) if wanted]
    step = _OTHER_NAMES.get(processing_type, processing_type)
    return [step] if step in _MADE else []


def _child(ctx: Context, state: UploadStep, step: str) -> Node[Any]:
    """Return a step as a job: the upload's own payload, options and urgency."""
    given = read_object(ctx.facts.opts)
    backoff = given.get("backoff")
    kind, base_s = None, None
    if isinstance(backoff, dict) and backoff.get("type") in ("fixed", "exponential"):
        kind, base_s = backoff["type"], whole(backoff.get("delay")) / 1000
    options = JobOptions(
        job_id=f"{state.key}-{step}",
        priority=whole(given.get("priority")),
        max_attempts=whole(given.get("attempts")) or None,  # BullMQ writes 0 where nobody says
        backoff=kind,
        backoff_s=base_s,
    )
    at_work: dict[str, Any] = {**_plain(state), "step": step}
    at_work.pop("problems", None)
    data = {**ctx.data, "processingType": step, STATE: at_work}
    return Node(ctx.queue, ctx.task, data, options=options)


async def _results(ctx: Context) -> dict[str, UploadResult]:
    """Return the results of the steps that have ended, by step."""
    return {
        key.rpartition("-")[2]: msgspec.convert(value, UploadResult)
        for key, value in (await ctx.children_results()).items()
    }


def _plain(state: UploadStep) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(state)
    return made
