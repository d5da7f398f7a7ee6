"""Output to a terminal or a file that cannot take every character."""

from __future__ import annotations

import json
import subprocess

import pytest
from tests.cli.support import PATIENCE_S, Result, Terminal, command

NAMES = ("plain", "Jö", "\U0001f600 and €")
COMMANDS = [
    ["doctor"],
    ["queues"],
    ["workers"],
    ["queue", "mail"],
    ["jobs", "list", "mail"],
    ["jobs", "show", "mail", "3"],
    ["events", "mail"],
    ["metrics"],
    ["top", "--once"],
    ["jobs", "show", "mail", "Jö"],
    ["jobs", "show", "--help"],
]
C_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
PLACES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "ascii:strict": {"PYTHONIOENCODING": "ascii:strict"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C": C_LOCALE,
}


@pytest.fixture
def mail(terminal: Terminal) -> Terminal:
    """A store with names and results that few encodings have."""
    for name in NAMES:
        terminal.add("mail", "send", {"to": name})
    terminal.add("mail", "broken", {"to": "x" * 300})
    terminal.add("märkte…", "send")
    terminal.work_off()
    return terminal


def run(terminal: Terminal, words: list[str], **environment: str) -> tuple[Result, bytes]:
    """Run a command; return what it says, and the bytes of its output."""
    done = subprocess.run(
        command(*words),
        cwd=terminal.folder,
        env=terminal.environment(**environment),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    encoding = environment.get("PYTHONIOENCODING", "ascii").partition(":")[0]
    out, err = (
        text.decode("utf-8" if "--help" in words else encoding, "replace")
        for text in (done.stdout, done.stderr)
    )
    return Result(done.returncode, out, err), done.stdout + done.stderr


@pytest.mark.parametrize("place", list(PLACES))
def test_every_command_works_in_any_encoding(mail: Terminal, place: str) -> None:
    """`doctor` and `jobs show` ended with UnicodeEncodeError."""
    for words in COMMANDS:
        expected = mail.here(*words)

        shown, raw = run(mail, words, **PLACES[place])

        assert shown.code == expected.code, (words, shown.err)
        assert "unexpected" not in shown.err
        assert shown.out.count("\n") == expected.out.count("\n")
        if place in ("ascii", "ascii:strict", "C") and "--help" not in words:
            assert raw.isascii()


@pytest.mark.parametrize("place", list(PLACES))
def test_json_is_the_same_in_any_encoding(mail: Terminal, place: str) -> None:
    for words in (["queues"], ["jobs", "list", "mail"], ["jobs", "show", "mail", "3"]):
        shown, raw = run(mail, [*words, "--json"], **PLACES[place])

        assert raw.isascii()
        [known, told] = [each.json for each in (mail.here(*words, "--json"), shown)]
        for each in (known, told):
            if words == ["queues"]:
                each["queues"] = [info["name"] for info in each["queues"]]
        assert told == known


def test_what_an_encoding_lacks_is_shown_in_another_way(mail: Terminal) -> None:
    doctor, _ = run(mail, ["doctor"], PYTHONIOENCODING="cp1252")
    shown, _ = run(mail, ["jobs", "show", "mail", "3"], PYTHONIOENCODING="latin-1")
    names, _ = run(mail, ["queues"], PYTHONIOENCODING="ascii")
    metrics, _ = run(mail, ["metrics"], PYTHONIOENCODING="ascii")

    assert "+ toril: " in doctor.out
    assert r"\U0001f600 and \u20ac" in shown.out
    assert r"m\xe4rkte~" in names.out
    assert r'queue="m\\xe4rkte\\u2026"' in metrics.out  # escaped as Prometheus reads it


def test_worker_logs_in_any_encoding(mail: Terminal) -> None:
    (mail.folder / "loud.py").write_text(
        "from toril import App\napp = App()\n"
        "@app.task(queue='loud')\nasync def shout(to: str) -> str:\n    return to\n",
        encoding="utf-8",
    )
    mail.add("loud", "shout", {"to": "€"})

    for log_format in ("text", "json"):
        running = mail.start(
            "worker", "loud:app", "--log-format", log_format, PYTHONIOENCODING="ascii:strict"
        )
        running.says("Toril")
        running.process.terminate()
        assert running.ends() == 0


def test_argument_that_is_no_text_is_refused(mail: Terminal) -> None:
    done = subprocess.run(
        [*command("jobs", "show", "mail"), b"J\xf6"],
        cwd=mail.folder,
        env=mail.environment(),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert done.stderr == (
        b"toril: job_id='J\\udcf6': expected text that can be written as UTF-8\n"
    )
    assert done.returncode == 2


def test_json_lines_of_hostile_encoding_are_json(mail: Terminal) -> None:
    shown, raw = run(mail, ["events", "mail", "--json"], PYTHONIOENCODING="ascii")

    assert raw.isascii()
    assert all(json.loads(line)["queue"] == "mail" for line in shown.out.splitlines())
