"""Failed payments, tried again: `app.include(payments)`, with `Providers` provided."""

from toril.library.payments.decimals import from_decimals
from toril.library.payments.payloads import PaymentResult
from toril.library.payments.settings import PaymentSettings, Providers

__all__ = ["PaymentResult", "PaymentSettings", "Providers", "from_decimals"]
