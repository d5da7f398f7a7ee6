"""A server that cannot start raises why, and does not end the program."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette

from toril import App, InvalidSettingError
from toril.core.errors import StoreReadOnlyError
from toril.web.running import run_site
from toril.web.serving import HttpServer, PortTakenError
from toril.web.site import site


async def test_start_raises_what_the_application_raised() -> None:
    """uvicorn ended the program, and printed tracebacks past whoever had called `start`."""

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        raise LookupError("no such shop")
        yield

    server = HttpServer(Starlette(lifespan=life), host="127.0.0.1", port=0)

    with pytest.raises(LookupError, match="no such shop"):
        await server.start()


async def test_site_that_cannot_start_leaves_no_traceback_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        raise InvalidSettingError("SHOP_FROM='bad': expected an address")
        yield

    app = App(f"sqlite:///{tmp_path}/toril.db")

    with pytest.raises(InvalidSettingError, match="SHOP_FROM"):
        await run_site(site(app, [], lifespan=life), app, port=0)

    assert "Traceback" not in caplog.text


async def test_taken_port_is_told_with_the_variables_that_set_it(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/toril.db")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(PortTakenError, match=rf"port {port}: .*Give another HOST or PORT$"):
            await run_site(site(app, []), app, port=port)


async def test_store_that_can_never_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    """The site answered requests with errors, and said why in a traceback at its end."""
    app = App(f"sqlite:///{tmp_path}/nowhere/toril.db")

    with pytest.raises(StoreReadOnlyError, match=r"nowhere' does not exist\. Make it"):
        await run_site(site(app, []), app, port=0)
