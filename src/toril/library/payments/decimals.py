"""Takes payloads whose amount is a decimal: an adapter for `app.bind`.

```python
app.bind("payment-retry", retry, names="retry-payment", adapter=from_decimals, rename="camel")
```
"""

from __future__ import annotations

from typing import Any

from toril.library.payments.payloads import Provider
from toril.services.money import to_minor


def from_decimals(
    payment_id: str,
    user_id: str,
    product_id: str,
    amount: float | str,
    currency: str,
    provider: Provider,
    retry_count: int = 0,
    last_error: str | None = None,
    original_transaction_id: str | None = None,
    toril_began: int | None = None,
) -> dict[str, Any]:
    """Return the arguments of `payments.retry`.

    Parameters:
        payment_id: The payment.
        user_id: Whose.
        product_id: What is paid; it stands for the order.
        amount: Such as 19.99.
        currency: Its ISO code.
        provider: `stripe`, `yookassa` or `crypto`.
        retry_count: How often it was tried.
        last_error: Why it failed before.
        original_transaction_id: Taken and not used.
        toril_began: The same.

    Raises:
        ValueError: The amount has more digits than the currency.
    """
    del original_transaction_id, toril_began
    return {
        "payment_id": payment_id,
        "order_id": product_id,
        "user_id": user_id,
        "provider": provider,
        "amount_minor": to_minor(amount, currency),
        "currency": currency,
        "retry_count": retry_count,
        "reason": last_error,
    }
