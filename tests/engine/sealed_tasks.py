"""A task with a sealed field that runs in a child process."""

from __future__ import annotations

import os

from toril import Context, TaskBundle

bundle = TaskBundle()


@bundle.task(queue="pay", run_in="process", sealed=("card",))
def charge(context: Context, card: str) -> dict[str, str | None]:
    context.log(f"charging {card}")
    return {"card": card, "key": os.environ.get("TORIL_ENCRYPTION_KEYS")}
