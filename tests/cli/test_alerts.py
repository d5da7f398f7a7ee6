"""`toril alerts`: what is raised, what is muted, whether messages arrive."""

from __future__ import annotations

import asyncio
import re
import signal

import pytest
from tests.cli.support import PATIENCE_S, Terminal
from tests.support.smtp_server import receiving
from tests.support.waiting import wait_until_sync

from toril import AlertOptions, AlertThresholds, App, MailChannel
from toril.services.mail.memory import MemoryMailer

SHOP = """
from toril import AlertOptions, AlertThresholds, App, MailChannel

class Broken:
    name = "broken"
    async def send(self, message):
        raise OSError("no line to \\x1b[31mredis://jo:hunter2@box")

app = App(alerts=AlertOptions(channels=[MailChannel("ops@example.com"){more}], every_s=0.2,
                              thresholds=AlertThresholds(size=2)))
"""


def raise_one(terminal: Terminal) -> None:
    """Have an app look once at a queue that is too long."""

    async def look() -> None:
        channel = MailChannel("ops@example.com", mailer=MemoryMailer())
        options = AlertOptions(channels=[channel], thresholds=AlertThresholds(size=2))
        async with App(terminal.url, alerts=options) as app:
            await app.queue("mail").add_many([("send", {})] * 3)
            assert app._alert_setup is not None
            watch = app._alert_setup.watch()
            await watch.tick()
            await watch.leave()

    asyncio.run(look())


def test_alerts_are_listed(terminal: Terminal) -> None:
    raise_one(terminal)

    listed = terminal.run("alerts", "list")
    assert listed.code == 0, listed.err
    assert re.search(r"queue_size +mail +raised .* 3 jobs wait in queue mail", listed.out)
    assert re.search(r"no_worker +mail +pending .* no ", listed.out)
    found = terminal.run("alerts", "list", "--json").json
    size = next(one for one in found["alerts"] if one["rule"] == "queue_size")
    assert {"queue": "mail", "state": "raised", "value": 3, "threshold": 2, "told": True,
            "muted": False}.items() <= size.items()  # fmt: skip
    assert (found["mutes"], found["unsent"]) == ([], [])


def test_store_without_alerts_says_so(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    assert terminal.run("alerts", "list").out == "There are no alerts.\n"


def test_alerts_are_muted_for_a_while(terminal: Terminal) -> None:
    raise_one(terminal)

    muted = terminal.run("alerts", "mute", "queue_size", "ma*", "--for", "2h", "--reason", "moving")
    assert (muted.code, muted.err) == (0, "")
    assert muted.out.startswith("queue_size of queue ma* is muted until ")
    listed = terminal.run("alerts", "list").out
    assert re.search(r"queue_size +mail +raised .* muted ", listed)
    assert re.search(r"Muted until .* by cli:\w+: queue_size of queue ma\*: moving", listed)
    assert "alerts.mute" in terminal.run("audit").out

    assert terminal.run("alerts", "unmute", "queue_size", "ma*").out == (
        "queue_size of queue ma* is told again.\n"
    )
    again = terminal.run("alerts", "unmute", "queue_size", "ma*")
    assert again.code == 4
    assert "is not muted in these words" in again.err
    assert "Muted" not in terminal.run("alerts", "list").out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["queue_sice", "--for", "2h"], "did you mean 'queue_size'?"),
        (["--for", "soon"], "not a duration"),
        (["--for", "0"], "duration=0"),
        ([], "Missing option '--for'"),
    ],
)
def test_mute_that_makes_no_sense_is_refused(
    terminal: Terminal, words: list[str], problem: str
) -> None:
    raise_one(terminal)

    refused = terminal.run("alerts", "mute", *words)

    assert refused.code == 2
    assert problem in refused.err


def test_channels_are_tried(terminal: Terminal) -> None:
    (terminal.folder / "ringing.py").write_text(SHOP.replace("{more}", ""))
    with receiving() as inbox:
        tried = terminal.run("alerts", "test", "ringing:app", SMTP_URL=inbox.url)

    assert (tried.code, tried.out, tried.err) == (0, "mail: sent\n", "")
    assert "Test" in inbox.mails[0]["subject"]


def test_channel_that_does_not_work_is_said_without_secrets(terminal: Terminal) -> None:
    (terminal.folder / "ringing.py").write_text(SHOP.replace("{more}", ", Broken()"))

    tried = terminal.run("alerts", "test", "ringing:app")
    as_json = terminal.run("alerts", "test", "ringing:app", "--json")

    assert tried.code == 1
    assert tried.out == "mail: sent\nbroken: no line to \\x1b[31mredis:***@box\n"
    assert len(list((terminal.folder / "mail").glob("*.eml"))) == 2
    assert [one["error"] is None for one in as_json.json["channels"]] == [True, False]


def test_app_without_channels_is_refused(terminal: Terminal) -> None:
    refused = terminal.run("alerts", "test", "shop:app")

    assert refused.code == 2
    assert "App(alerts=AlertOptions(channels=[...]))" in refused.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_process_that_only_watches(terminal: Terminal, number: signal.Signals) -> None:
    (terminal.folder / "ringing.py").write_text(SHOP.replace("{more}", ""))
    for _ in range(3):
        terminal.add("mail", "send", {"to": "jo"})

    watching = terminal.start("alerts", "watch", "ringing:app")
    watching.says("3 jobs wait in queue mail")
    # It says so before it sends.
    mails = terminal.folder / "mail"
    wait_until_sync(lambda: list(mails.glob("*.eml")), deadline_s=PATIENCE_S, what="the mail")
    watching.tell(number)

    assert watching.ends() == 0
