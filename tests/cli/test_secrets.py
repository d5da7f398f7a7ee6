"""Passwords in URLs are seen by nobody: not in messages, and not in the arguments of processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.cli.support import Terminal
from tests.support.redis_servers import RedisServer

from toril import App, InvalidOptionError
from toril.cli.children import Announcement
from toril.cli.codes import DONE, USAGE
from toril.cli.worker_arguments import WorkerArguments

SECRET = "hunter2"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that asks for the password."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer.start(folder) as server:
        server.command("CONFIG", "SET", "requirepass", SECRET)
        yield f"redis://:{SECRET}@127.0.0.1:{server.port}"


@pytest.mark.parametrize("way", ["--processes=2", "--reload"])
def test_children_are_not_given_the_url_as_an_argument(
    terminal: Terminal, url: str, way: str
) -> None:
    """Everybody on the machine could read it: `ps` shows arguments."""
    keeper = terminal.start("worker", "shop:app", way, "--url", url).says("started: Toril")
    children = psutil.Process(keeper.pid).children(recursive=True)
    assert children

    for child in children:
        assert SECRET not in " ".join(child.cmdline())
        assert SECRET not in " ".join(child.environ().values())

    keeper.tell(signal.SIGTERM)
    assert keeper.ends() == DONE
    assert SECRET not in keeper.log


MISTYPED = [
    f"reddis://:{SECRET}@cache",
    f"REDIS://jo:{SECRET}@cache",
    f"rediss//:{SECRET}@cache/0",
    f"redis:/jo:{SECRET}@cache",
    f"redis:jo:{SECRET}@cache",
    f"redis//jo:{SECRET}@cache",
    f"valkey://jo:{SECRET}@cache/0",
    f"redis://:{SECRET}@cache:port",
    f"jo:{SECRET}@cache:6379",
]


@pytest.mark.parametrize("mistyped", MISTYPED)
@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "--url", "URL"),
        ("queues", "--url", "URL"),
        ("metrics", "--url", "URL"),
        ("jobs", "list", "mail", "--url", "URL"),
        ("worker", "shop:app", "--url", "URL"),
        ("migrate", "--from", "URL", "--to", "URL"),
        ("doctor", "URL"),
        ("URL",),
        ("doctor", "--ulr=URL"),
    ],
    ids=lambda words: " ".join(words),
)
def test_mistyped_url_is_refused_without_its_password(
    terminal: Terminal, words: tuple[str, ...], mistyped: str
) -> None:
    """A URL with a misspelt scheme was printed whole, or became the name of a new file."""
    before = {path.name for path in terminal.folder.iterdir()}

    result = terminal.here(*(mistyped if word == "URL" else word for word in words))

    assert result.code == USAGE
    assert SECRET not in result.out + result.err
    assert result.err.startswith("toril: ")
    made = {path.name for path in terminal.folder.iterdir()} - before
    assert made <= {"__pycache__"}  # of the module that a worker imports


@pytest.mark.parametrize("mistyped", MISTYPED)
async def test_app_refuses_a_mistyped_url_without_its_password(
    mistyped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = App(mistyped)

    assert SECRET not in repr(app)
    with pytest.raises(InvalidOptionError) as refused:
        await app.queues()
    assert SECRET not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "path", ["jobs.db", "./a:b/jobs.db", "redis/jobs.db", "unix.db", "jo@home.db"]
)
async def test_path_of_a_file_is_still_a_store(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / path).parent.mkdir(exist_ok=True)

    async with App(path) as app:
        await app.queues()

    assert (tmp_path / path).is_file()


def test_records_of_the_command_line_do_not_show_it() -> None:
    url = f"redis://:{SECRET}@cache"
    arguments = WorkerArguments(
        target="shop:app",
        concurrency=None,
        queues=None,
        profile=None,
        url=url,
        shutdown_s=None,
        max_stalled=None,
        loop="auto",
        log_format="text",
        log_level=None,
    )

    assert SECRET not in repr(arguments)
    assert SECRET not in " ".join(arguments.words())
    assert SECRET not in repr(Announcement("w", url, 1.0))
