"""`toril demo`, end to end: photographs in, pictures out, originals untouched."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shutil
import signal
import subprocess
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from tests.cli.screen import Screen
from tests.cli.support import PATIENCE_S, Terminal, alive
from tests.support.waiting import wait_until, wait_until_sync

from toril.cli.codes import DONE, ERROR, INTERRUPTED, USAGE
from toril.cli.demo_folder import DemoFolder, Photo, find_photos, media_ids
from toril.cli.demo_life import DEAD, PAUSED, UNSERVED, Shop
from toril.core.extras import how_to_install


def picture(path: Path, colour: str = "red", side: int = 300) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path)
    return path


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def test_shipped_photographs_succeed_and_bad_files_are_refused(terminal: Terminal) -> None:
    result = terminal.run("demo")

    assert result.code == DONE, result.err
    public = terminal.folder / "toril-demo" / "public" / "default"
    assert sorted(path.name for path in public.iterdir()) == [
        "astronaut", "chelsea", "coffee", "hubble_deep_field", "retina", "rocket",
    ]  # fmt: skip
    made = sorted(public.rglob("*.webp"))
    assert len(made) == 12
    for path in made:
        with Image.open(path) as image:
            image.load()
    assert "6 photographs became 12 files" in result.out
    assert "3 files refused, as they should be: see toril-demo/quarantine/" in result.out
    assert "900,000,000" in result.out
    assert "truncated" in result.out
    assert "not an image" in result.out
    assert "The pictures are in toril-demo/public/" in result.out
    assert not (terminal.folder / "toril-demo" / "uploads").exists()
    # It shows the dashboard for a moment, and ends by itself.
    assert re.search(r"The dashboard, with a shop at work: http://127\.0\.0\.1:\d+\n", result.out)
    assert "login?link=" not in result.out, "it is closed when somebody reads it"
    assert "It ends in 3 s; in a terminal it stays until Ctrl-C." in result.out
    # What it says to try next works.
    hint = next(line for line in result.out.splitlines() if "toril jobs list" in line)
    jobs = terminal.here(*hint.split()[1:], "--json").json["jobs"]
    assert len(jobs) == 9


def test_own_photographs_are_copied_with_all_folders(terminal: Terminal) -> None:
    originals = [
        picture(terminal.folder / "mine" / "a b.jpg"),
        picture(terminal.folder / "mine" / "deep" / "er" / "a b.png", "blue"),
    ]
    bad = terminal.folder / "mine" / "bad.jpg"
    bad.write_text("not a picture")
    (terminal.folder / "mine" / "notes.txt").write_text("no picture either")
    (terminal.folder / "mine" / "phone.heic").write_text("of another kind")
    (terminal.folder / "mine" / ".hidden.jpg").write_text("not looked at")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in [*originals, bad]}

    result = terminal.run(
        "demo",
        "mine",
        "--output",
        "out",
        "--entity-type",
        "user_avatar",
        "--json",
        "--processes",
        "1",
    )

    document = result.json
    assert result.code == ERROR  # one of theirs was refused
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert document["files_in"] == 3
    assert document["files_out"] == 6
    assert (document["completed"], document["failed"], document["passed_over"]) == (2, 1, 1)
    files = {each["file"]: each for each in document["files"]}
    assert sorted(files) == ["a b.jpg", "bad.jpg", "deep/er/a b.png"]
    assert "not an image" in files["bad.jpg"]["reason"]
    assert files["bad.jpg"]["expected"] is False
    for variant in files["deep/er/a b.png"]["variants"]:
        path = terminal.folder / "out" / "public" / variant["path"]
        assert path.stat().st_size == variant["bytes"]
        assert path.parent.name == "deep-er-a-b"


def test_libvips_makes_them_where_it_is_asked_for(terminal: Terminal) -> None:
    cut = picture(terminal.folder / "mine" / "cut.jpg", side=900)
    cut.write_bytes(cut.read_bytes()[:-900])
    picture(terminal.folder / "mine" / "whole.jpg")

    words = ["demo", "mine", "--engine", "vips", "--processes", "1", "--json"]
    document = terminal.run(*words).json

    reasons = {each["file"]: each["reason"] for each in document["files"]}
    assert reasons["whole.jpg"] is None
    assert "VipsJpeg" in reasons["cut.jpg"]


def test_a_second_run_begins_afresh_and_spares_what_is_not_its_own(terminal: Terminal) -> None:
    picture(terminal.folder / "one" / "first.png")
    picture(terminal.folder / "two" / "second.png")
    kept = terminal.folder / "toril-demo" / "my notes.txt"

    def made() -> list[str]:
        public = terminal.folder / "toril-demo" / "public" / "default"
        return sorted(path.name for path in public.iterdir())

    terminal.run("demo", "one", "--processes", "1")
    kept.write_text("mine")
    afresh = terminal.run("demo", "two", "--processes", "1")
    assert afresh.code == DONE
    assert made() == ["second"]
    more = terminal.run("demo", "one", "--keep", "--processes", "1")

    assert more.code == DONE, more.err
    assert made() == ["first", "second"]
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["empty"], "has no JPEG, PNG, WebP or GIF files (1 of other kinds)"),
        (["--entity-type", "defualt"], "did you mean 'default'?"),
        (["--output", "full"], "is not empty and no demo made it"),
        (["--output", "shop.py"], "shop.py is not a folder"),
        (["full/theirs", "--output", "full"], "what the demo itself made"),
    ],
)
def test_what_makes_no_sense_is_said_and_changes_nothing(
    terminal: Terminal, words: list[str], expected: str
) -> None:
    (terminal.folder / "empty").mkdir()
    (terminal.folder / "empty" / "phone.heic").touch()
    theirs = picture(terminal.folder / "full" / "theirs" / "a.png")

    result = terminal.here("demo", *words)

    assert result.code == USAGE
    assert expected in result.err
    assert theirs.exists()
    assert not (terminal.folder / "toril-demo").exists()


@pytest.mark.parametrize(
    ("library", "words", "extra"),
    [("PIL", [], "media"), ("sqlalchemy", [], "media"), ("pyvips", ["--engine", "vips"], "vips")],
)
def test_a_missing_extra_is_named(
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    words: list[str],
    extra: str,
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == library else there(name)
    )

    result = terminal.here("demo", *words)

    assert result.code == ERROR
    assert how_to_install(extra) in result.err


def test_ctrl_c_leaves_no_process_and_two_never_share_a_folder(terminal: Terminal) -> None:
    first = picture(terminal.folder / "many" / "0.png", side=2500)
    for number in range(1, 60):
        shutil.copy(first, first.with_name(f"{number}.png"))
    running = terminal.start("demo", "many").says("60 files")
    wait_until_sync(
        lambda: children_of(running.pid), deadline_s=PATIENCE_S, what="the demo's processes"
    )
    children = children_of(running.pid)

    second = terminal.run("demo", "many")
    running.tell(signal.SIGINT)

    assert running.ends() == INTERRUPTED
    assert "another demo is at work in toril-demo" in second.err
    assert "Interrupted: " in running.log
    wait_until_sync(
        lambda: not any(alive(pid) for pid in children),
        deadline_s=PATIENCE_S,
        what="the end of the demo's processes",
    )


def test_a_terminal_gets_a_bar_and_a_table_in_80_columns(terminal: Terminal) -> None:
    for number in range(4):
        picture(terminal.folder / "few" / f"{number}.png")

    with Screen(terminal, "demo", "few", "--processes", "1") as screen:
        screen.shows("Ctrl-C ends it")
        found = re.search(r"(http://127\.0\.0\.1:\d+)/login\?link=([\w-]+)", screen.text)
        assert found is not None
        with httpx2.Client(base_url=found[1], headers={"sec-fetch-site": "same-origin"}) as browser:
            assert browser.get("/").status_code == 303
            assert browser.post("/login", data={"link": found[2]}).status_code == 303
            queues = browser.get("/queues").text
            for queue in ("media-processing", "mail", "orders", "billing.invoices", "webhooks"):
                assert f'id="q-{queue}"' in queues
        screen.types("\x03")
        assert screen.ends() == DONE

    assert "━" in screen.text
    assert "320x320" not in screen.text  # never enlarged
    assert "300x300, 300x300" in screen.text
    assert "4 photographs became 8 files" in screen.text


async def test_shop_of_the_demo_has_something_for_every_page(tmp_path: Path) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db?durability=normal", seed=3, pace=20.0)
    async with shop.open() as app:

        async def lives() -> bool:
            letters = (await app.dead_letters(DEAD).list()).letters
            orders = await app.queue("orders", existing=True).info()
            operations = await app.bulk.list()
            return bool(letters and operations and orders and orders.completed > 5)

        await wait_until(lives, deadline_s=PATIENCE_S, what="the shop to be busy")
        assert len(await app.workers()) == 2
        assert {one.id for one in await app.schedules.list()} == {
            "newsletter", "daily-report", "stock-check",
        }  # fmt: skip
        queues = {info.name: info for info in await app.queues()}
        assert queues[PAUSED].paused
        assert queues[UNSERVED].waiting >= 40
        assert queues["reports.daily"].concurrency == 1
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def test_stay_of_zero_shows_no_dashboard(terminal: Terminal) -> None:
    picture(terminal.folder / "one" / "a.png")

    result = terminal.run("demo", "one", "--processes", "1", "--stay", "0")

    assert result.code == DONE
    assert "login" not in result.out
    assert "1 photograph became" in result.out


def test_a_photograph_that_cannot_be_read_is_one_failure(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(terminal.folder / "mine" / "good.png")
    picture(terminal.folder / "mine" / "locked.png")
    upload = DemoFolder.upload

    def refuse(folder: DemoFolder, photo: Photo) -> tuple[str, int]:
        if photo.name == "locked.png":
            raise PermissionError(13, "Permission denied", str(photo.path))
        return upload(folder, photo)

    monkeypatch.setattr(DemoFolder, "upload", refuse)

    result = terminal.here("demo", "mine", "--json", "--processes", "1")

    assert result.code == ERROR
    assert result.json["completed"] == 1
    assert result.json["files"][1]["reason"] == "cannot be read: Permission denied"


def test_ids_are_readable_and_never_the_same() -> None:
    names = ["a/b.jpg", "a-b.png", "A B.jpg", "日本.png", "__.jpg", "x" * 90 + ".png"]

    ids = media_ids(names)

    assert ids == ["a-b", "a-b-2", "A-B-3", "photo", "photo-2", "x" * 60]


def test_links_to_folders_and_the_output_itself_are_passed_over(tmp_path: Path) -> None:
    picture(tmp_path / "mine" / "a.png")
    picture(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "elsewhere")
    picture(tmp_path / "mine" / "toril-demo" / "c.png")

    found = find_photos(tmp_path / "mine", tmp_path / "mine" / "toril-demo")

    assert [photo.name for photo in found.photos] == ["a.png"]


def test_a_single_photograph_will_do(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")

    assert [photo.name for photo in find_photos(path, tmp_path / "out").photos] == ["a.png"]
