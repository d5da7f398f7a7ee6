"""A step of a scenario as a task: `app.include(scenario_steps)`.

It needs `Channels` and a `RuleStore`, which the app provides.
"""

from __future__ import annotations

from typing import Any

from toril.engine.context import Context
from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.notify.channel_payloads import Channel, NotificationOptions, NotificationSent
from toril.library.notify.channel_service import Channels
from toril.library.notify.channel_tasks import GIVE_UP_ON, TIMEOUT_S, tell
from toril.library.notify.scenarios import step_job_id, step_payload
from toril.services.rules.port import RuleStore
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

scenario_steps = TaskBundle()
"""`notify.step` on the queue `notifications`."""


@scenario_steps.task(
    name="notify.step",
    queue="notifications",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=3, base_s=1.0, give_up_on=GIVE_UP_ON),
    keep_completed=KeepPolicy(count=100),
    keep_failed=KeepPolicy(count=50),
)
async def notify_step(
    ctx: Context,
    channel: Channel,
    options: NotificationOptions,
    run: str,
    step: int,
    toril_delivery: dict[str, Any] | None = None,
    *,
    channels: Channels = provided(Channels),
    rules: RuleStore = provided(RuleStore),  # type: ignore[type-abstract]
) -> NotificationSent | None:
    """Send one step of a scenario, and add the next in the step that completes this job.

    Nothing is sent once the run was stopped. A second run sends nothing twice; see `notify.send`.

    Raises:
        UnusableInputError, InvalidOptionError: As `notify.send`, and the other errors as well.
    """
    found = await rules.run(run)
    if found is None or found.state != "running" or found.step > step + 1:
        return None
    sent, after = None, step + 1
    # Otherwise an attempt before has sent it, and was killed before it could end.
    if found.step != after:
        sent = await tell(ctx, channel, options, channels)
        await rules.advance(run, after, "running" if after < len(found.steps) else "ended")
    if after < len(found.steps):
        task = notify_step.with_options(job_id=step_job_id(run, after))
        if found.steps[after].after_ms:
            task = task.with_options(delay=found.steps[after].after_ms / 1000)
        ctx.enqueue(task, **step_payload(found, after))
    return sent
