"""Checks the rules of dead-letter queues for the doctor."""

from __future__ import annotations

from toril.engine.contract import Backend
from toril.engine.contract.lifecycle import Finding
from toril.engine.states import State


async def check_rules(backend: Backend) -> list[Finding]:
    """Return what there is to say of the rules of all queues; nothing if there are none."""
    found: list[Finding] = []
    targets: dict[str, list[str]] = {}
    for queue in await backend.counts.queues():
        rule = await backend.dead_letters.rule(queue.name)
        if rule is None:
            continue
        if rule.queue == queue.name or not backend.dispatch.together((queue.name, rule.queue)):
            where = "itself" if rule.queue == queue.name else "in another slot of the Redis Cluster"
            text = (
                f"failures of {queue.name!r} leave no letters: its dead-letter queue"
                f" {rule.queue!r} is {where}; toril dead set {queue.name} --letters NAME"
            )
            found.append(Finding("dead letters", "error", text))
        else:
            targets.setdefault(rule.queue, []).append(queue.name)
    for target, queues in sorted(targets.items()):
        record = await backend.counts.queue(target)
        waiting = 0
        if record is not None:
            waiting = record.counts[State.WAIT] + record.counts[State.PRIORITIZED]
        many = f"{waiting:,} wait" if waiting != 1 else "1 waits"
        text = f"{target!r} takes those of {', '.join(sorted(queues))}; {many}"
        found.append(Finding("dead letters", "ok", text))
    return found
