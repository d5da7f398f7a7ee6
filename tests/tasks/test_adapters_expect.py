"""What a bound task keeps in a payload is no unknown field of that payload."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from toril import App


async def test_field_that_the_bound_task_knows_is_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("sqlite://:memory:")

    @app.task(queue="own")
    async def send(to: str, delivered: str | None = None) -> str:
        return to

    def adapted(address: str) -> dict[str, Any]:
        return send.arguments_of(to=address)

    app.bind("bound", send, names="send-it", adapter=adapted)
    task = app.find_task("send-it", "bound")

    with caplog.at_level(logging.WARNING):
        known = task.arguments('{"address": "jo", "delivered": "A"}')
        assert caplog.records == []
        unknown = task.arguments('{"address": "jo", "stranger": "A"}')

    assert known == unknown == {"address": "jo"}
    assert [record.args[1] for record in caplog.records if record.args] == ["stranger"]  # type: ignore[index]
