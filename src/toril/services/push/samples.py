"""A browser that is not there: for demos and tests, where pushes go into a folder."""

from __future__ import annotations

from toril.services.push.port import Subscription

SAMPLE_SUBSCRIPTION = Subscription(
    endpoint="https://push.example/1",
    p256dh="BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    auth="BTBZMqHH6r4Tts7J_aSIgg",
)
"""Its keys are those of the example of RFC 8291."""
