"""`toril jobs`: listing, showing, adding, and what an operator does to jobs."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
from tests.cli.support import Terminal

from toril import App, Context
from toril.backends import open_backend
from toril.cli.codes import DONE, STATE, USAGE
from toril.cli.jobs import unseen
from toril.engine.job import NewJob
from toril.engine.options import MAX_COUNT


@pytest.fixture
def mail(terminal: Terminal) -> Terminal:
    """A queue with a completed job (1), a failed one (2) and one for later."""
    terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "broken", {"to": "flo"})
    terminal.work_off()
    terminal.add("mail", "send", {"to": "bo"}, delay_s=3600, job_id="later")
    return terminal


def test_list_shows_all_states(mail: Terminal) -> None:
    table = mail.run("jobs", "list", "mail")

    head, *rows = table.out.splitlines()
    assert head.split() == ["ID", "NAME", "STATE", "TRIES", "ADDED", "DETAIL"]
    assert [row.split()[:3] for row in rows] == [
        ["2", "broken", "failed"],
        ["later", "send", "delayed"],
        ["1", "send", "completed"],
    ]
    assert "ValueError: nobody is called flo" in rows[0]


def test_list_as_json_has_everything_with_units_and_iso_times(mail: Terminal) -> None:
    document = mail.run("jobs", "list", "mail", "--state", "delayed", "--json").json

    (job,) = document["jobs"]
    assert document["next"] is None
    assert job["data"] == {"to": "bo"}
    assert job["delay_s"] == 3600
    assert job["created_at"].endswith("Z")


def test_list_pages_through_a_state(terminal: Terminal) -> None:
    for _ in range(5):
        terminal.add("mail", "send")
    seen: list[str] = []
    after: list[str] = []
    while True:
        page = terminal.here(
            "jobs", "list", "mail", "--state", "wait", "--limit", "2", "--json", *after
        ).json
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    newest = terminal.here("jobs", "list", "mail", "--state", "wait", "--newest", "--json").json

    assert seen == ["1", "2", "3", "4", "5"]
    assert [job["id"] for job in newest["jobs"]] == seen[::-1]
    assert "More: add --after" in terminal.here(
        "jobs", "list", "mail", "--state", "wait", "--limit", "2"
    ).out  # fmt: skip


def test_list_pages_through_all_states(mail: Terminal) -> None:
    seen: list[str] = []
    after: list[str] = []
    while True:
        page = mail.here("jobs", "list", "mail", "--limit", "1", "--json", *after).json
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]

    assert seen == ["2", "later", "1"]


def test_list_shows_some_states(mail: Terminal) -> None:
    words = ("jobs", "list", "mail", "--state", "completed", "--state", "failed")

    assert [job["id"] for job in mail.here(*words, "--json").json["jobs"]] == ["1", "2"]
    empty = mail.here("jobs", "list", "mail", "--state", "active", "--state", "wait").out
    assert empty == "mail has no active or wait jobs.\n"


@pytest.fixture
def shop(mail: Terminal) -> Terminal:
    """The same, and jobs of two more queues; one of them is added after a moment."""
    mail.add("reports", "build", {"n": 1})
    mail.add("reports", "build", {"n": 2}, job_id="later")
    mail.add("video", "encode", {"n": 3}, delay_s=3600)
    return mail


def test_list_without_a_queue_shows_all_queues(shop: Terminal) -> None:
    head, *rows = shop.here("jobs", "list").out.splitlines()

    assert head.split()[:4] == ["QUEUE", "ID", "NAME", "STATE"]
    assert [row.split()[:4] for row in rows] == [
        ["mail", "2", "broken", "failed"],
        ["reports", "4", "build", "wait"],
        ["reports", "later", "build", "wait"],
        ["mail", "later", "send", "delayed"],
        ["video", "6", "encode", "delayed"],
        ["mail", "1", "send", "completed"],
    ]


@pytest.mark.parametrize("flags", [[], ["--since", "1h"]])
def test_list_pages_through_all_queues(shop: Terminal, flags: list[str]) -> None:
    seen: list[tuple[str, str]] = []
    after: list[str] = []
    for _ in range(7):
        page = shop.here("jobs", "list", "--limit", "1", "--json", *flags, *after).json
        seen += [(job["queue"], job["id"]) for job in page["jobs"]]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]

    assert len(seen) == len(set(seen)) == 6
    assert seen[0] == ("mail", "2")


def test_list_goes_on_behind_a_queue_that_is_gone(shop: Terminal) -> None:
    page = shop.here("jobs", "list", "--state", "wait", "--limit", "1", "--json").json
    assert page["next"].startswith("wait:reports:")
    shop.here("drain", "reports", "--yes")
    shop.add("sales", "send")

    found = shop.here("jobs", "list", "--state", "wait", "--after", page["next"], "--json").json

    assert [job["queue"] for job in found["jobs"]] == ["sales"]


@pytest.mark.parametrize(
    ("flags", "ids"),
    [
        (["--task", "send"], ["mail later", "mail 1"]),
        (["--task", "nothing"], []),
        (["--error", "is called flo"], ["mail 2"]),
        (["--error", "is called jo"], []),
        (["--since", "1h", "--task", "build"], ["reports 4", "reports later"]),
        (["--until", "1h"], []),
        (["--until", "2999-01-01", "--state", "failed"], ["mail 2"]),
        (["--since", "2999-01-01T08:00+01:00"], []),
        (["mail", "--task", "send"], ["mail later", "mail 1"]),
        (["mail", "--task", "send", "--limit", "1"], ["mail later"]),
    ],
)
def test_list_looks_for_task_time_and_error(
    shop: Terminal, flags: list[str], ids: list[str]
) -> None:
    found = shop.here("jobs", "list", "--json", *flags).json

    assert [f"{job['queue']} {job['id']}" for job in found["jobs"]] == ids


def test_list_looks_at_so_many_jobs_and_goes_on(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toril.cli.jobs_list.CHUNK", 2)
    monkeypatch.setattr("toril.cli.jobs_list.MOST_LOOKED_AT", 4)
    for number in range(9):
        terminal.add("mail", "rare" if number in (1, 2, 8) else "send")

    first = terminal.here("jobs", "list", "mail", "--task", "rare")
    assert "Looked at 4 jobs. More: add --after" in first.out
    after = first.out.split()[-1].strip("'")
    pages = [first.out]
    while "More:" in pages[-1]:
        after = pages[-1].split()[-1].strip("'")
        pages.append(terminal.here("jobs", "list", "mail", "--task", "rare", "--after", after).out)

    found = [line.split()[0] for page in pages for line in page.splitlines() if " rare " in line]
    assert found == ["2", "3", "9"]


def test_list_says_so_when_nothing_fits(shop: Terminal) -> None:
    assert shop.here("jobs", "list", "--task", "x").out == "There are no jobs that fit.\n"
    assert shop.here("jobs", "list", "mail", "--task", "x").out == "mail has no jobs that fit.\n"


@pytest.mark.parametrize("when", ["soon", "2026-13-01", "1x"])
def test_list_refuses_a_time_that_is_none(shop: Terminal, when: str) -> None:
    result = shop.here("jobs", "list", "--since", when)

    assert result.code == USAGE
    assert f"{when!r} is not a moment such as 2026-12-01T08:00, nor a time such as" in result.err


@pytest.mark.parametrize("cursor", ["x", "wait:mail", "later:mail:3"])
def test_list_of_all_refuses_a_cursor_that_is_none(shop: Terminal, cursor: str) -> None:
    result = shop.here("jobs", "list", "--after", cursor)

    assert result.code == USAGE
    assert "no cursor of a listing of all queues" in result.err


def test_show_finds_a_job_without_its_queue(shop: Terminal) -> None:
    assert shop.here("jobs", "show", "2").out.startswith("broken  mail 2  FAILED")
    assert shop.here("jobs", "explain", "2").out.startswith("mail 2  FAILED")
    assert shop.here("jobs", "logs", "2").code == DONE


@pytest.mark.parametrize("command", ["show", "explain", "logs"])
def test_id_that_several_queues_have_is_not_guessed(shop: Terminal, command: str) -> None:
    result = shop.here("jobs", command, "later")

    assert result.code == STATE
    assert "2 queues have a job 'later' (mail, reports): name the queue before" in result.err


@pytest.mark.parametrize("command", ["show", "explain", "logs"])
def test_id_that_no_queue_has_is_refused(shop: Terminal, command: str) -> None:
    none, too_many = shop.here("jobs", command, "77"), shop.here("jobs", command, "a", "b", "c")

    assert (none.code, too_many.code) == (STATE, USAGE)
    assert "has a job '77': it was removed, or never added" in none.err


def test_show_tells_attempts_after_a_retry_by_hand_from_those_before(mail: Terminal) -> None:
    """There were two lines `attempt 1`, and nothing said why."""
    mail.here("jobs", "retry", "mail", "2")
    mail.work_off()

    lines = mail.here("jobs", "show", "mail", "2").out.splitlines()
    told = [
        " ".join(line.split()[:3]) for line in lines if line.startswith(("attempt ", "by hand"))
    ]

    assert told == ["attempt 1 failed", "by hand put", "attempt 1 failed"]
    assert "by hand   put back in line after it had failed; attempts count from 1 again" in lines


def test_list_refuses_a_cursor_that_is_none(mail: Terminal) -> None:
    result = mail.here("jobs", "list", "mail", "--after", "1")

    assert result.code == USAGE
    assert "after='1': expected the `next` of the page before" in result.err


def test_show_tells_how_a_job_failed(mail: Terminal) -> None:
    words = mail.run("jobs", "show", "mail", "2").out
    document = mail.here("jobs", "show", "mail", "2", "--json").json

    assert words.startswith("broken  mail 2  FAILED\n")
    assert 'data      {"to":"flo"}' in words
    assert "reason    ValueError: nobody is called flo" in words
    assert "attempts  1 of as many as its task allows\n" in words
    assert "raise ValueError" in words
    assert document["state"] == "failed"
    assert document["attempts"][0]["outcome"] == "failed"


def test_show_tells_the_result(mail: Terminal) -> None:
    assert 'result    "sent to jo"' in mail.here("jobs", "show", "mail", "1").out


@pytest.mark.parametrize("opts", ['{"attempts":0}', "{}", '{"attempts":"x"}', "{"])
def test_show_leaves_the_attempts_to_the_task_where_the_producer_said_none(
    terminal: Terminal, opts: str
) -> None:
    """As jobs of a Node producer are: it read "0 of 0", and "of 1" where nothing is stored."""

    async def add() -> None:
        backend = open_backend(terminal.url)
        job = NewJob(queue="mail", name="greet", data="{}", opts=opts)
        await backend.jobs.add([job])
        await backend.lifecycle.close()

    asyncio.run(add())

    words = terminal.here("jobs", "show", "mail", "1").out

    assert "attempts  0 of as many as its task allows\n" in words


def test_job_that_is_added_by_hand_may_be_tried_as_often_as_its_task_says(
    terminal: Terminal,
) -> None:
    """The help promised one attempt, `show` said so too, and the task decided."""
    terminal.here("jobs", "add", "mail", "broken", '{"to": "jo"}')
    terminal.here("jobs", "add", "mail", "broken", '{"to": "jo"}', "--attempts", "3")

    words = [terminal.here("jobs", "show", "mail", job_id).out for job_id in ("1", "2")]

    assert "Default: as its task says" in " ".join(
        terminal.here("jobs", "add", "--help").out.split()
    )
    assert "attempts  0 of as many as its task allows\n" in words[0]
    assert "attempts  0 of 3\n" in words[1]
    terminal.work_off()
    assert terminal.info("mail", "1").attempts_made == 1  # of the task's one
    assert terminal.info("mail", "2").max_attempts == 3


def test_what_a_job_holds_cannot_control_the_terminal(terminal: Terminal) -> None:
    job_id = terminal.add("mail", "send", {"to": "\x1b]0;gone\x07"})
    terminal.here("jobs", "cancel", "mail", job_id, "--reason", "no\x1b[2J\nmore")

    listed = terminal.here("jobs", "list", "mail").out
    shown = terminal.here("jobs", "show", "mail", job_id).out

    assert "\x1b" not in listed + shown
    assert "\x07" not in shown
    assert r"no\x1b[2J more" in listed


def test_add_prints_the_id(terminal: Terminal) -> None:
    words = terminal.run("jobs", "add", "mail", "send", '{"to": "jo"}')
    document = terminal.here("jobs", "add", "mail", "send", "--json")

    assert (words.code, words.out) == (DONE, "Job 1 added to mail.\n")
    assert document.json == {"id": "2", "queue": "mail", "name": "send", "duplicate": False}
    assert terminal.info("mail", "1").data == {"to": "jo"}
    assert terminal.info("mail", "2").data == {}


def test_add_takes_options(terminal: Terminal) -> None:
    options = ["--delay", "5m", "--priority", "high", "--id", "mine", "--attempts", "4"]

    terminal.here("jobs", "add", "mail", "send", *options)
    again = terminal.here("jobs", "add", "mail", "send", *options)

    info = terminal.info("mail", "mine")
    assert (info.state, info.delay_s, info.priority) == ("delayed", 300, 11)
    assert info.options["attempts"] == 4
    assert again.out == "Nothing added: mail has a job mine already.\n"


def test_add_gives_way_to_the_job_that_holds_its_deduplication_id(terminal: Terminal) -> None:
    once = ["--deduplicate", "jo's welcome", "--for", "1h"]

    terminal.here("jobs", "add", "mail", "send", *once)
    again = terminal.here("jobs", "add", "mail", "send", *once)

    assert again.out == 'Nothing added: job 1 of mail holds "jo\'s welcome".\n'
    assert terminal.info("mail", "1").options["de"] == {"id": "jo's welcome", "ttl": 3_600_000}
    assert "dedup id  jo's welcome" in terminal.here("jobs", "show", "mail", "1").out

    freed = terminal.here("jobs", "free-id", "mail", "jo's welcome")
    nothing = terminal.here("jobs", "free-id", "mail", "jo's welcome")

    assert freed.out == '"jo\'s welcome" is free in mail.\n'
    assert nothing.code == STATE
    assert "no job of queue 'mail' holds" in nothing.err
    assert "added to mail" in terminal.here("jobs", "add", "mail", "send", *once).out


def test_add_reads_stdin_and_files(terminal: Terminal) -> None:
    (terminal.folder / "payload.json").write_text('{"to": "file"}')

    terminal.run("jobs", "add", "mail", "send", "-", stdin='{"to": "pipe"}')
    terminal.here("jobs", "add", "mail", "send", "@payload.json")

    assert terminal.info("mail", "1").data == {"to": "pipe"}
    assert terminal.info("mail", "2").data == {"to": "file"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{to: jo}"], "is not JSON"),
        (["@nowhere.json"], "nowhere.json: No such file"),
        (["--priority", "huge"], "urgent, high, normal, low"),
        (["--delay", "soon"], "5m"),
        (["--attempts", "9" * 20], f"expected an integer from 1 to {MAX_COUNT}"),
        (["--id", "7"], "expected an id that is not an integer"),
        (["--for", "5m"], "give both"),
        (["--deduplicate", ""], "deduplication id='': expected 1 to 512"),
        (["--deduplicate", "x", "--for", "0s"], "ttl_s=0.0: expected seconds, from 0.001"),
    ],
)
def test_add_refuses_what_makes_no_sense(
    terminal: Terminal, words: list[str], expected: str
) -> None:
    result = terminal.here("jobs", "add", "mail", "send", *words)

    assert result.code != DONE
    assert expected in result.err
    assert not list(terminal.folder.glob("toril.db"))


def test_add_names_a_file_that_is_no_text(terminal: Terminal) -> None:
    """It was an unexpected error, to be reported."""
    (terminal.folder / "latin.json").write_bytes('{"to": "José"}'.encode("latin-1"))

    result = terminal.here("jobs", "add", "mail", "send", "@latin.json")

    assert result.code == USAGE
    assert "latin.json: byte 11 is not UTF-8" in result.err


def test_add_tells_of_quotes_only_where_a_shell_reads_them(terminal: Terminal) -> None:
    (terminal.folder / "payload.json").write_text("{to: jo}")

    typed = terminal.here("jobs", "add", "mail", "send", "{to: jo}")
    stored = terminal.here("jobs", "add", "mail", "send", "@payload.json")

    assert "Quote it for the shell" in typed.err
    assert "payload.json: '{to: jo}' is not JSON" in stored.err
    assert "Quote" not in stored.err


def test_retry_puts_back_one_or_all(mail: Terminal) -> None:
    mail.add("mail", "broken", {"to": "jo"})
    mail.work_off()

    one = mail.run("jobs", "retry", "mail", "2")
    rest = mail.here("jobs", "retry", "mail", "--all", "--json")

    assert one.out == "1 job of mail retried.\n"
    assert rest.json == {"queue": "mail", "retried": 1}
    assert mail.info("mail", "2").state == "wait"
    done = mail.here("jobs", "retry", "mail", "--all", "--state", "completed", "--limit", "5")
    assert done.out == "1 job of mail retried.\n"


def test_retry_wants_ids_or_all(mail: Terminal) -> None:
    for words in ([], ["2", "--all"]):
        assert mail.here("jobs", "retry", "mail", *words).code == USAGE


def test_what_was_done_before_an_error_is_said(mail: Terminal) -> None:
    result = mail.here("jobs", "retry", "mail", "2", "later", "1")

    assert result.code == STATE
    assert result.out == "2 jobs of mail retried.\n"
    assert "later" in result.err


def test_job_that_is_refused_keeps_no_other_from_its_turn(mail: Terminal) -> None:
    """It stopped at the first, and did not say that the others were not tried."""
    result = mail.here("jobs", "retry", "mail", "999", "2", "later", "2")

    assert result.code == STATE
    assert result.out == "1 job of mail retried.\n"
    first, second = result.err.splitlines()
    assert "999" in first
    assert "later" in second
    assert mail.state("mail", "2") == "wait"
    facts = mail.here("jobs", "cancel", "mail", "998", "later", "--json")
    assert facts.code == STATE
    assert facts.json["ids"] == ["later"]
    assert [one["id"] for one in facts.json["failed"]] == ["998"]
    assert "998" in facts.json["failed"][0]["reason"]
    none = mail.here("jobs", "retry", "mail", "998", "999")
    assert (none.code, none.out, len(none.err.splitlines())) == (STATE, "", 2)


def test_starts_of_a_parent_that_waited_are_not_called_lost(terminal: Terminal) -> None:
    """They were: "1 start given back or lost"."""

    async def run(app: App) -> str:
        @app.task(queue="mail")
        async def part() -> int:
            return 1

        @app.task(queue="mail")
        async def whole(ctx: Context) -> int:
            if not await ctx.children():
                await ctx.add_children([part.node()])
            await ctx.wait_for_children()
            return 2

        job = await whole.enqueue()
        await app.worker(concurrency=1).run(until_idle=True)  # so that the parent has to wait
        return job.id

    job_id = terminal.ask(run)

    told = terminal.here("jobs", "show", "mail", job_id).out

    assert "and 1 start that counted as none: 1 waited for children\n" in told


def test_delay_that_is_too_long_names_the_longest(terminal: Terminal) -> None:
    """It was "not a duration"; so were times of other options."""
    for words in (
        ["jobs", "add", "mail", "send", "{}", "--delay", "9999999999999d"],
        ["jobs", "list", "mail", "--since", "9999999999999d"],
        ["limit", "mail", "--rate", "5/9999999999999d"],
    ):
        result = terminal.here(*words)
        assert result.code == USAGE, words
        assert "is longer than 100 years, the longest duration" in result.err, words


def test_promote_makes_delayed_jobs_ready(mail: Terminal) -> None:
    assert mail.here("jobs", "promote", "mail", "later").code == DONE
    assert mail.state("mail", "later") == "wait"
    assert mail.here("jobs", "promote", "mail", "--all").out == "0 jobs of mail promoted.\n"
    assert mail.here("jobs", "promote", "mail", "1").code == STATE


def test_remove(mail: Terminal) -> None:
    result = mail.here("jobs", "remove", "mail", "later", "1", "--json")
    again = mail.here("jobs", "remove", "mail", "1")

    assert result.json == {"queue": "mail", "removed": 2, "ids": ["later", "1"]}
    assert again.code == STATE
    assert again.err == "toril: queue 'mail' has no job '1'\n"


def test_cancel_keeps_the_reason(mail: Terminal) -> None:
    assert mail.here("jobs", "cancel", "mail", "later", "--reason", "too late").code == DONE
    assert mail.info("mail", "later").failed_reason == "too late"


def test_logs_are_followed_until_the_end(terminal: Terminal) -> None:
    worker = terminal.worker()
    job_id = terminal.hold()
    following = terminal.start("jobs", "logs", "slow", job_id, "--follow").says("pid ")

    (terminal.folder / "go").touch()

    assert following.ends() == DONE
    assert following.log == f"pid {worker.pid}\n"
    lines = terminal.here("jobs", "logs", "slow", job_id, "--json").lines
    assert lines == [{"line": f"pid {worker.pid}"}]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([], [], []),
        ([], ["a"], ["a"]),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b"], ["b", "c"], ["c"]),
        (["a", "a"], ["a", "a", "a"], ["a"]),
        (["a", "b"], ["x", "y"], ["x", "y"]),
    ],
)
def test_unseen_lines_of_a_log_that_forgets(
    before: list[str], now: list[str], expected: list[str]
) -> None:
    assert unseen(before, now) == expected


def test_job_in_a_state_that_somebody_made_up_is_told_in_a_sentence(terminal: Terminal) -> None:
    """It said `unexpected ValueError`, and asked for a report."""
    terminal.here("jobs", "add", "mail", "send")
    with closing(sqlite3.connect(terminal.folder / "toril.db", isolation_level=None)) as file:
        file.execute("UPDATE jobs SET state = 'done' WHERE number = 1")

    for command in (["show"], ["retry"], ["remove"], ["cancel"]):
        told = terminal.here("jobs", *command, "mail", "1")

        assert told.code == STATE, command
        assert "job '1' is in the state 'done', which is none of wait, " in told.err
        assert "row of that number (1) in its table jobs" in told.err
        assert "unexpected" not in told.err


def test_explain_says_why_a_job_waits(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "send", {"to": "flo"})
    terminal.here("pause", "mail")

    said = terminal.run("jobs", "explain", "mail", "2")
    document = terminal.here("jobs", "explain", "mail", "2", "--json").json

    assert said.code == DONE
    head, *reasons = said.out.splitlines()
    assert head == "mail 2  WAIT"
    assert [line.split()[0] for line in reasons] == ["paused", "no-worker", "in-line"]
    assert "`toril resume mail` lets its jobs start." in reasons[0]
    assert "1 job of the queue is ahead of it" in reasons[2]
    assert (document["queue"], document["job_id"], document["state"]) == ("mail", "2", "wait")
    assert [reason["kind"] for reason in document["reasons"]] == ["paused", "no-worker", "in-line"]
    assert document["reasons"][0]["values"]["since"].endswith("Z")
    assert document["reasons"][2]["values"] == {"ahead": 1, "exact": True, "priority": 0}


def test_explain_tells_of_finished_jobs_and_of_the_delayed(mail: Terminal) -> None:
    seen = {
        job_id: mail.here("jobs", "explain", "mail", job_id, "--json").json["reasons"][0]
        for job_id in ("1", "2", "later")
    }

    assert [reason["kind"] for reason in seen.values()] == ["completed", "failed", "delayed"]
    assert seen["2"]["values"]["reason"] == "ValueError: nobody is called flo"
    assert 0 < seen["later"]["values"]["left_s"] <= 3600


def test_explain_of_what_is_not_there_ends_with_4(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    job = terminal.here("jobs", "explain", "mail", "77")
    queue = terminal.here("jobs", "explain", "mial", "1", "--json")

    assert (job.code, queue.code) == (STATE, STATE)
    assert job.out.startswith("mail 77  NO SUCH JOB\nmissing")
    assert queue.json["state"] is None
    assert [reason["kind"] for reason in queue.json["reasons"]] == ["missing"]
    assert job.err == ""


def test_explain_shows_texts_of_others_without_control_characters(terminal: Terminal) -> None:
    async def fail(app: App) -> None:
        await app.queue("mail").job(job_id).cancel("bad\x1b[31m\nnews")

    job_id = terminal.add("mail", "send")
    terminal.ask(fail)

    said = terminal.here("jobs", "explain", "mail", job_id).out

    assert "\x1b" not in said
    assert "bad" in said
    assert "news" in said
