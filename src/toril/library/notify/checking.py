"""What a rule or a scenario is refused for when it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from toril.library.notify.channel_payloads import CHANNELS, NotificationOptions
from toril.library.notify.channels import check_content
from toril.library.notify.placeholders import check_holes
from toril.services.unusable import UnusableInputError, named

MAX_DELAY_MS = 366 * 86_400_000
MAX_NAME_CHARS = 128
_OPTIONS = frozenset(field.encode_name for field in msgspec.structs.fields(NotificationOptions))


def check_name(field: str, text: str) -> None:
    """Refuse an empty or long name.

    Raises:
        UnusableInputError: With the field.
    """
    if not text.strip() or len(text) > MAX_NAME_CHARS or not text.isprintable():
        raise UnusableInputError(named(field, text), f"expected 1 to {MAX_NAME_CHARS} characters")


def check_delay(field: str, delay_ms: int) -> None:
    """Refuse a delay that makes no sense.

    Raises:
        UnusableInputError: With the field.
    """
    if not 0 <= delay_ms <= MAX_DELAY_MS:
        raise UnusableInputError(f"{field}={delay_ms}", f"expected 0 to {MAX_DELAY_MS} ms")


def check_message(channel: str, options: Mapping[str, Any]) -> None:
    """Refuse a notification that could never be sent.

    Raises:
        UnusableInputError: With the field.
    """
    if channel not in CHANNELS:
        raise UnusableInputError(named("channel", channel), f"expected {', '.join(CHANNELS)}")
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        known = ", ".join(sorted(_OPTIONS))
        raise UnusableInputError(named("options", unknown[0]), f"unknown; expected {known}")
    try:
        read = msgspec.convert(dict(options), NotificationOptions)
    except msgspec.ValidationError as error:
        raise UnusableInputError("options", str(error)) from None
    check_content(read)
    check_holes(options, "options")
