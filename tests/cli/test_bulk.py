"""`toril bulk` and `toril operations`: what is done to all jobs that a search finds."""

from __future__ import annotations

import json
import signal

import pytest
from tests.cli.support import PATIENCE_S, Terminal
from tests.support.waiting import wait_until_sync

from toril.cli.codes import DONE, INTERRUPTED, STATE, USAGE


@pytest.fixture
def shop(terminal: Terminal) -> Terminal:
    """One job that went well, two that failed, one that is delayed."""
    terminal.add("mail", "send", {"to": "jo"})
    for who in ("flo", "bo"):
        terminal.add("mail", "broken", {"to": who})
    terminal.work_off()
    return terminal


def states(terminal: Terminal, queue: str = "mail") -> dict[str, str]:
    found = terminal.here("search", f"queue:{queue}", "--json").json["jobs"]
    return {one["id"]: one["state"] for one in found}


def test_retry_says_what_was_done(shop: Terminal) -> None:
    done = shop.here("bulk", "retry", "error~FLO")

    assert done.code == DONE
    assert done.out == "1 job retried.\n"
    assert states(shop) == {"1": "completed", "2": "wait", "3": "failed"}


def test_dry_run_shows_and_changes_nothing(shop: Terminal) -> None:
    done = shop.here("bulk", "retry", "queue:mail", "--dry-run")
    as_json = shop.here("bulk", "remove", "error~called", "--dry-run", "--json").json

    first, _, *rows = done.out.splitlines()
    assert first == "retry: 2 jobs, by state:failed queue:mail"
    assert [row.split()[:3] for row in rows] == [["mail", "2", "broken"], ["mail", "3", "broken"]]
    assert (as_json["count"], as_json["exact"], len(as_json["samples"])) == (2, True, 2)
    assert states(shop)["2"] == "failed"
    assert shop.here("operations", "list").out == "There are no operations.\n"


def test_remove_asks_and_can_be_undone(shop: Terminal) -> None:
    nobody = shop.here("bulk", "remove", "state:failed")
    done = shop.here("bulk", "remove", "state:failed", "--yes", "--json")
    left = states(shop)
    undone = shop.here("operations", "undo", done.json["id"])
    again = shop.here("operations", "undo", done.json["id"])

    assert nobody.code == USAGE
    assert "Remove 2 jobs? Nobody can be asked here: give --yes." in nobody.err
    assert left == {"1": "completed"}
    assert (undone.code, undone.out) == (DONE, "2 jobs put back.\n")
    assert states(shop) == {"1": "completed", "2": "failed", "3": "failed"}
    assert (again.code, again.out) == (STATE, "Nothing is kept of that operation any more.\n")


def test_cancel_promote_and_move(shop: Terminal) -> None:
    for n in range(3):
        shop.here("jobs", "add", "later", "send", json.dumps({"to": n}), "--delay", "1h")

    moved = shop.here("bulk", "move", "data.to:0", "--to", "other", "--yes")
    promoted = shop.here("bulk", "promote", "queue:later data.to:1")
    cancelled = shop.here("bulk", "cancel", "queue:later data.to:2", "--reason", "no", "--yes")

    assert [one.out for one in (moved, promoted, cancelled)] == [
        "1 job moved.\n", "1 job promoted.\n", "1 job cancelled.\n"
    ]  # fmt: skip
    assert list(states(shop, "other").values()) == ["delayed"]
    assert sorted(states(shop, "later").values()) == ["failed", "wait"]


def test_export_writes_lines(shop: Terminal) -> None:
    done = shop.here("bulk", "export", "state:failed", "--to", "failed.jsonl")

    lines = (shop.folder / "failed.jsonl").read_text("utf-8").splitlines()
    assert done.out == "2 jobs written to failed.jsonl.\n"
    assert {json.loads(line)["data"]["to"] for line in lines} == {"flo", "bo"}


def test_a_detached_operation_waits_and_is_driven_or_cancelled(shop: Terminal) -> None:
    first = shop.here("bulk", "retry", "error~flo", "--detach", "--json").json
    second = shop.here("bulk", "retry", "error~bo", "--detach")
    listed = shop.here("operations", "list", "--json").json
    (other,) = [one["id"] for one in listed if one["id"] != first["id"]]

    assert (first["state"], first["done"], first["driven"]) == ("running", 0, False)
    assert second.out == f"0 jobs retried; it goes on: toril operations show {other}.\n"
    cancelled = shop.here("operations", "cancel", other)
    assert cancelled.out == f"Operation {other} ends where it stands.\n"
    assert shop.here("operations", "run", other).out == "0 jobs retried; then it was cancelled.\n"
    assert shop.here("operations", "cancel", other).code == STATE
    assert shop.here("operations", "run", first["id"]).out == "1 job retried.\n"

    shown = shop.here("operations", "show", first["id"]).out
    assert shown.startswith(f"retry  {first['id']}  DONE\n")
    assert "query           error~flo\n" in shown
    assert "by              cli:" in shown
    rows = shop.here("operations", "list").out.splitlines()
    assert rows[0].split() == ["ID", "ACTION", "STATE", "DONE", "LEFT", "BEGAN", "BY", "QUERY"]
    assert len(rows) == 3


def test_a_worker_ends_what_was_left(shop: Terminal) -> None:
    left = shop.here("bulk", "remove", "error~flo", "--detach", "--yes", "--json").json["id"]

    shop.worker("--queues", "slow")
    wait_until_sync(
        lambda: shop.here("operations", "show", left, "--json").json["state"] == "done",
        deadline_s=PATIENCE_S,
        what="the end of the operation",
    )

    assert states(shop)["3"] == "failed"
    assert "2" not in states(shop)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["retry", "state:active"], "retry is for completed, failed"),
        (["retry", "stat:failed"], "there is no field 'stat'"),
        (["retry"], "Missing argument 'QUERY...'"),
        (["retry", "a", "--rate", "fast"], "is not a rate such as 10/s"),
        (["move", "a", "--to", "b:c", "--yes"], "queue='b:c': expected"),
        (["redrive", "a"], "unknown command 'redrive'"),
    ],
)
def test_refuses_in_one_sentence(shop: Terminal, words: list[str], says: str) -> None:
    done = shop.here("bulk", *words)

    assert done.code == USAGE
    assert says in done.err
    assert done.err.count("\n") == 1


def test_an_unknown_operation_is_named(shop: Terminal) -> None:
    for verb in ("show", "run", "cancel", "undo"):
        done = shop.here("operations", verb, "nothing")
        assert done.code == STATE
        assert "there is no operation 'nothing'" in done.err


def test_ctrl_c_leaves_it_to_the_workers(shop: Terminal) -> None:
    for n in range(30):
        shop.add("mail", "broken", {"to": str(n)})
    shop.work_off()
    process = shop.start("bulk", "retry", "state:failed", "--rate", "4/s")
    wait_until_sync(
        lambda: any(
            one["driven"] and one["done"] for one in shop.here("operations", "list", "--json").json
        ),
        deadline_s=PATIENCE_S,
        what="its first step",
    )

    process.tell(signal.SIGINT)

    assert process.ends() == INTERRUPTED
    (info,) = shop.here("operations", "list", "--json").json
    assert f"toril operations show {info['id']}" in process.log
    assert info["state"] == "running"
    assert 0 < info["done"] < 32
