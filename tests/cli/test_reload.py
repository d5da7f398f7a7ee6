"""`toril worker --reload`: a changed file means a new worker; a broken one waits to be mended."""

from __future__ import annotations

import signal
import sys

import pytest
from tests.cli.support import Terminal, alive

from toril.cli.codes import DONE, ERROR
from toril.core.extras import how_to_install


def test_a_change_is_picked_up_and_a_mistake_waited_out(terminal: Terminal) -> None:
    shop = terminal.folder / "shop.py"
    source = shop.read_text()
    reloading = terminal.start("worker", "shop:app", "--reload")
    reloading.says("started: Toril").says("restarts when a .py file")

    shop.write_text(source.replace("sent to", "posted to"))
    reloading.says("shop.py changed").says("started: Toril", times=2)
    job_id = terminal.add("mail", "send", {"to": "jo"})
    terminal.until_state("mail", job_id, "completed")
    assert terminal.info("mail", job_id).result == "posted to jo"

    shop.write_text(source + "\ndef (\n")
    reloading.says("SyntaxError").says("the worker ended with code 1; waiting for a change")

    shop.write_text(source)
    reloading.says("started: Toril", times=3)
    (worker,) = terminal.ask(lambda app: app.workers())
    reloading.tell(signal.SIGTERM)
    assert reloading.ends() == DONE
    assert not alive(worker.pid)


def test_a_missing_extra_is_named(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    result = terminal.here("worker", "shop:app", "--reload")

    assert result.code == ERROR
    assert result.err == f"toril: --reload needs watchfiles: {how_to_install('reload')}\n"
