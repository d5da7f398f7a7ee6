"""An app that sends pushes; its settings come from the environment."""

from __future__ import annotations

from toril import App
from toril.library.push import PushService
from toril.library.push.tasks import push

app = App()
app.include(push)
app.provide(PushService())
