"""What `payments.retry` takes and gives back, under its producers' camelCase names."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Provider = Literal["stripe", "yookassa", "crypto"]
Retries = Annotated[int, msgspec.Meta(ge=0, le=100)]
PaymentState = Literal["succeeded", "declined", "failed"]
"""`declined`: another charge follows. `failed`: none does."""


class PaymentResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `payments.retry` returns."""

    payment_id: str
    state: PaymentState
    reference: str
    """The provider's name of the charge."""
    code: str
    """The provider's word for why not; empty if it succeeded."""
    retry_count: int
    next_retry_at: datetime | None = None
    """`declined`: when the next charge is made."""
