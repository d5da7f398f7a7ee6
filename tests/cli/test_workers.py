"""`toril tell`: a worker is told what to do from another terminal."""

from __future__ import annotations

from tests.cli.support import PATIENCE_S, Terminal
from tests.support.waiting import wait_until_sync

from toril.cli.codes import DONE, STATE, USAGE


def test_a_worker_is_told_to_pause_to_resume_and_to_stop(terminal: Terminal) -> None:
    worker = terminal.worker()
    (found,) = terminal.here("workers", "--json").json["workers"]
    assert (found["state"], found["paused"]) == ("working", False)

    told = terminal.here("tell", found["id"], "pause")
    assert told.out == f"Worker {found['id']} is told to pause.\n"
    worker.says("was told to pause")
    wait_until_sync(lambda: _state(terminal) == "paused", deadline_s=PATIENCE_S)
    job_id = terminal.add("mail", "send", {"to": "jo"})
    assert "`resume`" in terminal.here("jobs", "explain", "mail", job_id).out

    assert terminal.here("tell", found["id"], "resume", "--json").json == {
        "worker": found["id"],
        "wish": "resume",
    }
    terminal.until_state("mail", job_id, "completed")

    resized = terminal.here("tell", found["id"], "resize", "7", "--json").json
    assert resized == {"worker": found["id"], "wish": "resize", "concurrency": 7}
    wait_until_sync(lambda: " 0/7 " in terminal.here("workers").out, deadline_s=PATIENCE_S)

    terminal.here("tell", found["id"], "stop")
    assert worker.ends() == DONE


def test_a_worker_that_is_not_there_and_a_word_that_is_none_are_refused(
    terminal: Terminal,
) -> None:
    terminal.add("mail", "send")

    gone = terminal.here("tell", "nobody", "pause")
    assert gone.code == STATE
    assert gone.err == ("toril: no worker 'nobody' is alive: toril workers lists those that are\n")
    odd = terminal.here("tell", "nobody", "dance")
    assert odd.code == USAGE
    assert "'dance'" in odd.err
    for words in (("resize",), ("pause", "3"), ("resize", "0"), ("resize", "100001")):
        refused = terminal.here("tell", "nobody", *words)
        assert refused.code == USAGE
        assert refused.err.count("\n") == 1


def _state(terminal: Terminal) -> str:
    return str(terminal.here("workers", "--json").json["workers"][0]["state"])
