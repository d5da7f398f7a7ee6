"""`toril status`: which store is live, and what waits in the spool."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import click

from toril.app import App
from toril.cli.access import ask, server_of_command
from toril.cli.codes import DONE, STORE
from toril.cli.options import store_options
from toril.cli.output import BAD, GOOD, WARN, Output, local, plural
from toril.core.errors import BackendError
from toril.fallback.options import Fallback
from toril.fallback.spool import Spool
from toril.settings import Settings
from toril.store_fallback import is_file

ANSWER_S = 2.0


@click.command()
@click.option(
    "--spool", metavar="URL", help="The fallback store's file. Default: TORIL_FALLBACK_URL."
)
@store_options
def status(spool: str | None, url: str | None, as_json: bool) -> int:
    """Say which store is live, since when, and how many jobs wait in the spool.

    With --server: as the server sees it. Otherwise: whether the store answers now, and what is in
    the spool; which store the processes of an app use at this moment only they can say.
    """
    if server_of_command(url) is not None:
        facts = ask(url, _of_server)
    else:
        facts = ask(url, lambda app: _of_stores(app, spool))
    output = Output(as_json=as_json)
    if as_json:
        output.document({**facts, "since": facts["since"] and facts["since"].isoformat()})
    else:
        _tell(output, facts)
    return DONE if facts["live"] != "none" else STORE


async def _of_server(app: App) -> dict[str, Any]:
    state = await app.store_state()
    return {
        "live": state.live,
        "store": state.store,
        "since": state.since,
        "reason": state.reason,
        "spool": state.spool,
        "toMove": state.to_move,
    }


async def _of_stores(app: App, spool: str | None) -> dict[str, Any]:
    live, reason = "sqlite" if is_file(app.url) else "redis", None
    try:
        async with asyncio.timeout(ANSWER_S):
            await app.backend().events.latest("toril-readiness")
    except BackendError as error:
        reason = str(error)
    except TimeoutError:
        reason = f"no answer within {ANSWER_S:g} s"
    spool = spool or (None if is_file(app.url) else Settings.load().fallback_url)
    left = 0
    if spool is not None:
        spool = Fallback(spool).url
        try:
            async with App(spool).existing() as beside:
                left = await Spool(beside.backend()).left()
        except BackendError as error:
            if reason is None and "there is no" not in str(error):
                reason = str(error)
    if reason is not None:
        live = "none" if spool is None else "spool"
    return {
        "live": live,
        "store": app.backend().url,
        "since": None,
        "reason": reason,
        "spool": spool,
        "toMove": left,
    }


def _tell(output: Output, facts: dict[str, Any]) -> None:
    words = {
        "redis": ("jobs go to Redis", GOOD),
        "sqlite": ("jobs go to the file", GOOD),
        "spool": ("Redis is away: jobs go to the spool", WARN),
        "none": ("the store does not answer, and there is no fallback store", BAD),
        "": ("the server does not say which store is live: it has no fallback store", GOOD),
    }
    sentence, colour = words[facts["live"]]
    since: datetime | None = facts["since"]
    begun = f" since {local(since):%Y-%m-%d %H:%M:%S}" if since else ""
    output.say(f"{facts['store']}: {sentence}{begun}", colour)
    if facts["reason"]:
        output.say(facts["reason"])
    if facts["spool"] or facts["toMove"]:
        where = facts["spool"] or "the spool"
        output.say(f"{where}: {plural(facts['toMove'], 'job')} to move")
