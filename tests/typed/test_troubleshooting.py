"""What the doctor says of queues whose jobs are not processed, on both stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from toril import App


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


async def told(app: App, queue: str) -> list[str]:
    findings = (await app.check()).findings
    return [one.text for one in findings if one.subject == f"queue {queue}"]


async def test_queue_without_a_worker_is_named_with_the_one_that_is_meant(url: str) -> None:
    app = App(url)

    @app.task(queue="my-feature")
    async def process(user_id: str) -> None: ...

    async with app, App(url) as other:
        for queue in ("my-featrue", "reports"):
            await other.queue(queue).add("process", {"user_id": "u"})
        (before,) = await told(app, "my-featrue")
        async with app.worker():
            (close,) = await told(app, "my-featrue")
            (far,) = await told(app, "reports")
            assert await told(app, "my-feature") == []

    assert before.endswith("start one with --queues my-featrue, or look for a misspelt name")
    assert close.endswith("or see whether 'my-feature' is meant, which a worker serves")
    assert far.endswith("start one with --queues reports, or look for a misspelt name")
