"""What the tasks of files promise."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "files.validate": Promise(
        idempotency_key="none is needed: it changes nothing",
        second_run="looks again",
        side_effects="none",
        services="`Sources`: a folder, a storage, an HTTP client",
        progress="none",
        cancelling="before and after the file is read",
        memory="a part of the file at a time; JSON up to 16 MiB as a whole",
    ),
    "files.process": Promise(
        idempotency_key="the name of the output, made of the job's own key",
        second_run="makes the output anew, under the same name",
        side_effects="one file or object, unless the result is a short text",
        services="`Sources`, a folder or a storage for outputs, image and document libraries",
        progress="up to 90 while it works, page by page; 100 when the output is stored",
        cancelling="between pages, before the output is stored; at the time limit at once",
        memory="512 MiB a file (`max_memory_bytes`); then it is refused",
    ),
    "files.upload": Promise(
        idempotency_key="a random key in the payload, of which all keys of objects are made",
        second_run="writes the same objects again; steps that have ended are not run again",
        side_effects="objects; a job of `outcome_task`, in the step that completes this one",
        services="`Uploads`: a storage, `Sources`, a scanner; Pillow",
        progress="none; the flow shows which steps have ended",
        cancelling="between its steps; what is not published stays unpublished",
        memory="a file up to `max_bytes`; pictures in child processes, 512 MiB each",
    ),
}
