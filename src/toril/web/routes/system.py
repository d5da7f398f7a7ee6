"""Routes about the server and its store: settings, versions, a look over the store."""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import asdict
from time import monotonic

from toril.core.process_memory import own_resident_bytes
from toril.rest.answers import StoreCheck, StoreFinding, SystemFacts
from toril.version import VERSION
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.outage import ask_little
from toril.web.own_facts import installed_extras, shown_settings

routes = Routes("system")


@routes.get("/system", Permission.ADMIN)
async def get_system(call: Call) -> SystemFacts:
    """Show the server and its store: versions, settings without secrets, its speed."""
    begun_s = monotonic()
    await ask_little(call.app)
    answer_s = monotonic() - begun_s
    store = call.app.backend().url
    return SystemFacts(
        store=store,
        kind="sqlite" if store.startswith("sqlite") else "redis",
        answer_s=answer_s,
        version=VERSION,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.release()}",
        extras=installed_extras(),
        host=socket.gethostname(),
        pid=os.getpid(),
        resident_bytes=own_resident_bytes(),
        started_at=call.interface.started_at,
        streams=call.live.open,
        max_streams=call.options.max_streams,
        settings=shown_settings(call.app.settings, store),
        limits=asdict(call.options),
    )


@routes.get("/system/check", Permission.ADMIN, timeout_s=60.0)
async def check_store(call: Call) -> StoreCheck:
    """Look the store over, as `toril doctor` does. Nothing is changed.

    With millions of jobs it takes a while.
    """
    health = await call.app.check()
    return StoreCheck(
        ok=health.ok,
        findings=[
            StoreFinding(subject=one.subject, grade=one.grade, text=one.text)
            for one in health.findings
        ],
        repairs=[one.text for one in health.repairs],
    )
