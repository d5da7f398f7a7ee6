"""Reads notifications of producers that are out in the world: other names for the fields.

```python
forms = [notify_send, published_notification]
app.bind("notifications", notify_send, adapter=forms, rename="camel")
```
"""

from __future__ import annotations

from typing import Any

from toril.library.notify.channel_payloads import CHANNELS, NotificationOptions
from toril.library.notify.channel_tasks import notify_send
from toril.services.unusable import UnusableInputError, named
from toril.tasks.adapters import StoredJob

_TO = ("to", "phone", "chatId")
_TEXT = ("text", "content", "body", "message")


def published_notification(
    channel: str,
    options: dict[str, Any],
    stored: StoredJob,
    max_attempts: int | None = None,
    attempts: int | None = None,
) -> dict[str, Any]:
    """Return the arguments of `notify.send`.

    `templateId`, `variables` or `templateData`, and `content`, `body` or `message` are read as
    `template`, `data` and `text`. Options may lie in `options.options`, too. A `delay` in them, in
    milliseconds, counts from when the job was added.

    Raises:
        UnusableInputError: It names no receiver, or there is no such channel.
    """
    if channel not in CHANNELS:
        reason = f"expected one of {', '.join(CHANNELS)}"
        raise UnusableInputError(named("channel", channel), reason)
    inner = options.get("options")
    given = {**options, **inner} if isinstance(inner, dict) else options
    to = next((given[name] for name in _TO if given.get(name)), None)
    if to is None:
        raise UnusableInputError("options.to", "it is missing: give at least one receiver")
    many = isinstance(to, list)
    data = given.get("data") or given.get("variables") or given.get("templateData")
    text = next((given[name] for name in _TEXT if isinstance(given.get(name), str)), None)
    template = given.get("template") or given.get("templateId")
    if text is not None and template is not None:
        text = None  # it is the template's own, rendered
    made = NotificationOptions(
        to=[str(each) for each in to] if many else str(to),
        template=template,
        subject=given.get("subject"),
        data=data if isinstance(data, dict) else given.get("metadata"),
        text=text,
        html=given.get("html") if template is None else None,
    )
    delay_ms = given.get("delay")
    moment = None
    if isinstance(delay_ms, int | float) and delay_ms > 0:
        moment = int(stored.created_at_ms + delay_ms)
    return notify_send.arguments_of(channel, made, attempts, max_attempts, not_before_ms=moment)
