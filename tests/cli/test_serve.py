"""`toril serve`, `toril up` and `--server`: a server, and the same commands from afar."""

from __future__ import annotations

import re
import signal
import threading
import time
from typing import Any

import httpx2
import pytest
from tests.cli.support import PATIENCE_S, Running, Terminal
from tests.cli.test_doctor import lose_a_worker
from tests.support.waiting import wait_until_sync
from tests.web.access.calling import PASSWORD, control, own

from toril import App
from toril.cli.codes import DONE, ERROR, STATE, STORE, USAGE
from toril.client import ApiError, Client

STOPS_WITHIN_S = 5.0


def url_of(server: Running) -> str:
    """Return where a server that has just started listens."""
    server.says("serving ")
    found = re.search(r" at (http://\S+)/api/v1,", server.log)
    assert found is not None, server.log
    return found[1]


def test_server_answers_and_stops_with_streams_open(terminal: Terminal) -> None:
    server = terminal.start("serve", "shop:app", "--open", "--port", "0")
    url = url_of(server)
    ended = threading.Event()

    def listen() -> None:
        with Client(url) as client:
            for _ in client.stream(overview=True, queues=["mail"]):
                heard.set()
        ended.set()

    heard = threading.Event()
    with Client(url) as client:
        job = client.add_job("mail", "send", {"to": "jo"})
        with pytest.raises(ApiError, match=r"did you mean|missing"):
            client.add_job("mail", "send", {"too": "jo"})
        assert client.get_data("mail", job.id).value == {"to": "jo"}
        threading.Thread(target=listen, daemon=True).start()
        assert heard.wait(30)

        begin_s = time.monotonic()
        server.tell(signal.SIGTERM)
        assert server.ends() == DONE

    assert time.monotonic() - begin_s < STOPS_WITHIN_S
    assert ended.wait(10)
    assert "server stopped" in server.log
    assert "Traceback" not in server.log


def test_worker_and_server_in_one_process(terminal: Terminal) -> None:
    both = terminal.start("up", "shop:app", "--open", "--port", "0", "--concurrency", "3")
    url = url_of(both)

    with Client(url) as client:
        job = client.add_job("mail", "send", {"to": "jo"})
        wait_until_sync(
            lambda: client.get_job("mail", job.id).state == "completed", deadline_s=30.0
        )
        assert client.get_result("mail", job.id).value == "sent to jo"
        (worker,) = client.list_workers().items
        held = client.add_job("slow", "hold", {"until": "go"})
        wait_until_sync(lambda: client.get_job("slow", held.id).state == "active")

        both.tell(signal.SIGTERM)
        both.says("SIGTERM: ending; 1 still run")
        assert client.get_job("slow", held.id).state == "active"  # it still tells how far it is
        (terminal.folder / "go").touch()
        assert both.ends() == DONE

    assert worker.concurrency == 3
    assert terminal.state("slow", held.id) == "completed"


def test_dashboard_stands_beside_the_interface(terminal: Terminal) -> None:
    server = terminal.start(
        "serve", "shop:app", "--open", "--port", "0", "--environment", "staging & co"
    )
    url = url_of(server)
    server.says(f"dashboard at {url}")
    page = httpx2.get(f"{url}/", headers={"accept-language": "en"})
    assert page.status_code == 200
    assert "staging &amp; co" in page.text
    server.tell(signal.SIGINT)
    assert server.ends() == DONE


def test_dashboard_can_be_left_out(terminal: Terminal) -> None:
    server = terminal.start(
        "serve", "shop:app", "--open", "--port", "0", "--no-dashboard", "--path", "/"
    )
    server.says("serving ")
    found = re.search(r" at (http://[^/]+)/,", server.log)
    assert found is not None, server.log
    assert httpx2.get(f"{found[1]}/queues").json()["items"] == []
    assert httpx2.get(f"{found[1]}/").status_code == 404
    assert "dashboard at" not in server.log
    server.tell(signal.SIGINT)
    assert server.ends() == DONE


def test_server_of_a_store_needs_no_app(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    server = terminal.start("serve", "--open", "--url", terminal.url, "--port", "0")

    with Client(url_of(server)) as client:
        assert client.get_queue("mail").queue.waiting == 1
    server.tell(signal.SIGINT)
    assert server.ends() == DONE


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("serve",), STORE, "toril.db"),
        (("serve", "shop:app", "--open", "--host", "0.0.0.0"), USAGE, "listen on 127.0.0.1"),
        (("serve", "shop:app", "--host", "256.1.1.1"), ERROR, "cannot listen on 256.1.1.1"),
        (("serve", "shop:app", "--behind-proxy", "ops"), USAGE, "10.0.0.0/8, not 'ops'"),
        (("serve", "shop:app", "--path", "api"), USAGE, "expected a path such as /api/v1"),
        (("serve", "shop:app", "--path", "/a b"), USAGE, "--path='/a b': expected a path such as"),
        (("serve", "shop:app", "--path", "/a/"), USAGE, "expected a path such as /api/v1"),
        (("serve", "shop:app", "--path", "/a/../b"), USAGE, "expected a path such as /api/v1"),
        (("serve", "shop:app", "--path", "/a?b"), USAGE, "expected a path such as /api/v1"),
        (("serve", "shop:app", "--path", "/"), USAGE, "give --no-dashboard, or another path"),
        (("serve", "shop:apps"), USAGE, "did you mean shop:app?"),
        (("up", "shop:app", "--queues", "none", "--port", "0"), USAGE, "none"),
        (("queues", "--server", "localhost:8080"), USAGE, "is not a URL"),
        (("queues", "--server", "http://localhost:1"), STORE, "does not answer"),
        (("queues", "--server", "http://x", "--url", "sqlite:///a"), USAGE, "not both"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    terminal: Terminal, words: tuple[str, ...], code: int, sentence: str
) -> None:
    done = terminal.run(*words)

    assert done.code == code, done.err
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_port_that_is_taken_is_said(terminal: Terminal) -> None:
    server = terminal.start("serve", "shop:app", "--open", "--port", "0")
    port = url_of(server).rpartition(":")[2]

    done = terminal.run("serve", "shop:app", "--open", "--port", port)

    assert done.code == ERROR
    assert f"cannot listen on 127.0.0.1 port {port}" in done.err
    assert "Give another --host or --port" in done.err


def test_commands_say_the_same_from_afar(terminal: Terminal) -> None:
    """Each command twice: on the store itself, and by a server of it."""
    good = terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "broken", {"to": "al"})
    terminal.work_off()
    terminal.add("mail", "send", {"to": "x" * 500})
    later = terminal.add("mail", "send", {"to": "later"}, delay_s=3600.0, priority=3)
    put = ("schedules", "put", "nightly", "mail", "send", '{"to": "n"}', "--cron", "0 3 * * *")
    assert terminal.here(*put, "--url", terminal.url).code == DONE
    server = terminal.start("serve", "shop:app", "--open", "--port", "0")
    url = url_of(server)

    for words in (
        ("queues",),
        ("queue", "mail"),
        ("queue", "mail", "--json"),
        ("jobs", "list", "mail"),
        ("jobs", "list", "mail", "--state", "failed", "--newest"),
        ("jobs", "show", "mail", good),
        ("jobs", "show", "mail", good, "--json"),
        ("jobs", "show", "mail", later, "--json"),
        ("jobs", "explain", "mail", later),
        ("jobs", "logs", "mail", good),
        ("jobs", "show", "mail", "nobody"),
        ("events", "mail", "-n", "4"),
        ("events", "mail", "--from-start", "--json"),
        ("workers",),
        ("schedules", "list"),
        ("schedules", "show", "nightly", "--json"),
        ("dead", "list"),
        ("flows", "list"),
        ("flows", "show", "mail", good),
        ("metrics", "mail"),
        ("metrics",),
        ("metrics", "mial"),
        ("history", "mail"),
        ("history", "mail", "--task", "send", "--since", "1h", "--json"),
        ("history", "mail", "--step", "90s"),
        ("history", "mial"),
        ("tell", "nobody", "pause"),
        ("tell", "nobody", "resize", "3"),
        ("tell", "nobody", "resize", "0"),
        ("operations", "show", "nothing"),
        ("operations", "cancel", "nothing"),
        ("operations", "undo", "nothing"),
        ("queue", "mial"),
    ):
        local = terminal.here(*words, "--url", terminal.url)
        remote = terminal.here(*words, "--server", url)
        out = local.out
        if words[0] == "events":  # what an error repeats of a payload is not known there
            out = out.replace("ValueError: nobody is called al", "ValueError: ***")
        assert (remote.code, told(remote.out)) == (local.code, told(out)), words
        err = told(remote.err).replace(url, "").replace(" step_s=", " step=")  # its name in a URL
        assert err == told(local.err).replace(terminal.url, ""), words


def told(text: str) -> str:
    """Return what a command has said, with a mark for how long ago something was."""
    text = re.sub(r'("(?:oldest_waiting_s|held_s|lease_remaining_s)": )[\d.]+', r"\1…", text)
    text = re.sub(r"\d+(?:\.\d+)? ?(?:s|ms|m|min|h)\b( \d+ s)?", "…", text)
    text = re.sub(r"(_seconds\{.*\}) [\d.]+", r"\1 …", text)
    return re.sub(r" +", " ", text)


def test_figures_as_json_are_the_same_from_afar(terminal: Terminal) -> None:
    for name in ("send", "broken"):
        terminal.add("mail", name, {"to": "jo"})
    terminal.work_off()
    server = terminal.start("serve", "shop:app", "--open", "--port", "0")

    local = terminal.here("metrics", "mail", "--json", "--url", terminal.url).json["metrics"]
    remote = terminal.here("metrics", "mail", "--json", "--server", url_of(server)).json["metrics"]

    assert len(remote) > 10
    assert remote == [metric for metric in local if metric["samples"]]


def test_worker_is_told_from_afar(terminal: Terminal) -> None:
    worker = terminal.worker("--concurrency", "2")
    url = url_of(terminal.start("serve", "shop:app", "--open", "--port", "0"))
    (found,) = terminal.here("workers", "--json", "--server", url).json["workers"]

    done = terminal.here("tell", found["id"], "resize", "5", "--server", url)
    assert (done.code, done.out) == (DONE, f"Worker {found['id']} is told to run 5 jobs at once.\n")
    worker.says("was told to run 5 jobs at once")

    def is_shown() -> bool:
        return " 0/5 " in terminal.here("workers", "--server", url).out

    wait_until_sync(is_shown, deadline_s=PATIENCE_S)
    assert terminal.here("tell", found["id"], "stop", "--server", url).code == DONE
    assert worker.ends() == DONE


def test_history_is_turned_off_and_on_from_afar(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    url = url_of(terminal.start("serve", "shop:app", "--open", "--port", "0"))

    for wish in ("off", "on"):
        assert terminal.here("history", "mail", "--set", wish, "--server", url).code == DONE
        found = terminal.here("history", "mail", "--json", "--url", terminal.url).json
        assert found["written"] == (wish == "on")


def test_doctor_looks_at_the_store_of_a_server(terminal: Terminal) -> None:
    """--server was listed by its help, and always refused."""
    lose_a_worker(terminal)
    server = terminal.start("serve", "shop:app", "--open", "--port", "0", TORIL_CONCURENCY="5")
    url = url_of(server)
    server.says("TORIL_CONCURENCY is ignored: did you mean TORIL_CONCURRENCY?")

    words = terminal.here("doctor", "--server", url)
    facts = terminal.here("doctor", "--json", "--server", url).json
    here = terminal.here("doctor", "--json", "--url", terminal.url).json

    assert words.code == DONE, words.err
    assert "✓ integrity: the file is whole" in words.out
    assert facts["findings"][2:] == here["findings"][2:]
    assert [one["subject"] for one in facts["findings"][:2]] == ["toril", "extras"]
    assert [one["text"] for one in facts["repairs"]] == [one["text"] for one in here["repairs"]]
    assert len(facts["repairs"]) == 1
    mended = terminal.here("doctor", "--repair", "--yes", "--server", url)
    assert (mended.code, mended.out) == (USAGE, "")
    assert f"--repair needs the store itself, not {url}" in mended.err


def test_address_that_is_no_api_is_said_without_its_page(terminal: Terminal) -> None:
    """The page itself was printed, from its doctype on."""
    server = terminal.start("serve", "shop:app", "--open", "--port", "0")
    url = url_of(server)

    wrong = terminal.here("queues", "--server", f"{url}/wrong")

    assert wrong.code == USAGE
    assert wrong.err == (
        f"toril: {url}/wrong: the answer is no answer of Toril's API: 404 with a page for browsers."
        " Expected the address of a toril serve, such as http://localhost:3030, or what it is"
        " mounted in; if the address is right, a proxy before it has answered\n"
    )


def test_operating_from_afar_is_told_as_the_servers_caller(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    server = terminal.start("serve", "shop:app", "--open", "--port", "0")
    url = url_of(server)

    assert terminal.here("pause", "mail", "--server", url).code == DONE
    server.says("host:anybody: pause() in queue 'mail'")
    assert terminal.here("jobs", "remove", "mail", "1", "--server", url).code == DONE
    assert terminal.here("jobs", "remove", "mail", "1", "--server", url).code == STATE
    assert terminal.here("obliterate", "mail", "-y", "--server", url).code == DONE
    assert terminal.here("queue", "mail", "--server", url).code == STATE
    terminal.add("mail", "send", {"to": "al"})
    gone = terminal.here("clean", "mail", "--state", "wait", "-y", "--server", url)
    assert (gone.out, gone.err) == ("1 wait job of mail removed.\n", "")


def test_alerts_are_listed_and_muted_by_a_server(terminal: Terminal) -> None:
    """Each of these commands had --server, and ended with an unexpected error."""
    terminal.add("mail", "send", {"to": "jo"})
    url = url_of(terminal.start("serve", "shop:app", "--open", "--port", "0"))

    assert terminal.here("alerts", "list", "--server", url).out == "There are no alerts.\n"
    muted = terminal.here(
        "alerts", "mute", "worker_lost", "mail", "--for", "2h", "--reason", "why", "--server", url
    )
    assert (muted.code, muted.err) == (DONE, "")
    listed = terminal.here("alerts", "list", "--server", url)
    assert "host:anybody: worker_lost of queue mail: why" in listed.out
    (mute,) = terminal.here("alerts", "list", "--json", "--server", url).json["mutes"]
    assert mute == terminal.here("alerts", "list", "--json", "--url", terminal.url).json["mutes"][0]
    assert terminal.here("alerts", "unmute", "worker_lost", "mail", "--server", url).code == DONE
    again = terminal.here("alerts", "unmute", "worker_lost", "mail", "--server", url)
    assert (again.code, "is not muted in these words" in again.err) == (STATE, True)


def test_server_from_the_environment_gives_way_to_a_url(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    monkeypatch.setenv("TORIL_SERVER", "http://localhost:1")

    assert terminal.here("queues").code == STORE
    assert terminal.here("queues", "--url", terminal.url).code == DONE


def test_first_start_prints_a_key_once_and_answers_nobody_without(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    first = terminal.start("serve", "shop:app", "--host", "0.0.0.0", "--port", "0")
    url = url_of(first).replace("0.0.0.0", "127.0.0.1")
    found = re.search(r"shown this once: (toril_\S+)$", first.log, re.M)
    assert found is not None, first.log
    key = found[1]

    with pytest.raises(ApiError) as refused, Client(url) as nobody:
        nobody.list_queues()
    assert (refused.value.status, refused.value.code) == (401, "unauthenticated")
    with Client(url, key) as client:
        me = client.get_me()
        assert (me.name, me.role, me.payloads) == ("admin", "admin", True)
        assert [one.name for one in client.list_keys().items] == ["admin"]
    without = terminal.here("queues", "--server", url)
    monkeypatch.setenv("TORIL_KEY", key)
    withit = terminal.here("queues", "--server", url)
    assert (without.code, withit.code) == (ERROR, DONE)
    assert "sign in. Set TORIL_KEY to a key of the server" in without.err
    assert "mail" in withit.out
    first.tell(signal.SIGTERM)
    assert first.ends() == DONE
    assert first.log.count(key) == 1

    again = terminal.start("serve", "shop:app", "--port", "0")
    url_of(again)
    assert "toril_" not in again.log


def test_key_of_the_environment_is_neither_stored_nor_shown(terminal: Terminal) -> None:
    key = "k" * 40
    both = terminal.start("up", "shop:app", "--port", "0", TORIL_ADMIN_KEY=key)

    with Client(url_of(both), key) as client:
        assert client.get_me().name == "TORIL_ADMIN_KEY"
        assert client.list_keys().items == []
        job = client.add_job("mail", "send", {"to": "jo"})
        wait_until_sync(
            lambda: client.get_job("mail", job.id).state == "completed", deadline_s=30.0
        )
    assert "shown this once" not in both.log
    assert key not in both.log


async def signed_in(app: App) -> None:
    """Add an administrator, and a user who signs in with two browsers."""
    access = control(app)
    await access.users.add("ann", PASSWORD, role="admin")
    await access.users.add("jo", PASSWORD, role="viewer")
    for agent in ("curl/8", "curl/9"):
        await access.sessions.sign_in(own(user_agent=agent), "jo", PASSWORD)


def test_search_operations_and_access_say_the_same_from_afar(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        terminal.add("mail", "send", {"n": n}, delay_s=3600.0)
    key = "k" * 40
    server = terminal.start("serve", "shop:app", "--port", "0", TORIL_ADMIN_KEY=key)
    url = url_of(server)
    monkeypatch.setenv("TORIL_KEY", key)

    def both(*words: str) -> None:
        local = terminal.here(*words, "--url", terminal.url)
        remote = terminal.here(*words, "--server", url)
        assert (remote.code, told(remote.out)) == (local.code, told(local.out)), (words, remote.err)
        assert told(remote.err).replace(url, "") == told(local.err).replace(terminal.url, ""), words

    def there(*words: str) -> Any:
        done = terminal.here(*words, "--json", "--server", url)
        assert done.code == DONE, (words, done.err)
        return done.json

    both("search", "queue:mail data.n>2")
    both("search", "queue:mail data.n>2", "--explain")
    both("search", "state:done")
    both("bulk", "promote", "queue:mail data.n>2", "--dry-run")
    both("bulk", "retry", "state:active")
    nobody = terminal.here("operations", "show", "nobody", "--server", url)
    assert (nobody.code, "see toril operations list" in nobody.err) == (STATE, True)
    promoted = there("bulk", "promote", "queue:mail data.n>2")
    assert (promoted["state"], promoted["done"]) == ("done", 2)
    removed = there("bulk", "remove", "queue:mail state:wait", "--yes")
    assert removed["done"] == 2
    assert there("operations", "undo", removed["id"])["restored"] == 2
    both("operations", "list", "--json")
    both("operations", "show", removed["id"], "--json")
    both("operations", "cancel", removed["id"])
    both("bulk", "export", "queue:mail data.n<4", "--to", "jobs.jsonl")
    both("bulk", "export", "queue:mail state:lost", "--to", "jobs.jsonl")
    here = (terminal.folder / "jobs.jsonl").read_text()
    assert there("bulk", "export", "queue:mail data.n<4", "--to", "far.jsonl")["exported"] == 4
    assert (terminal.folder / "far.jsonl").read_text() == here

    made = there("keys", "add", "deploy", "--role", "viewer", "--queue", "mail")["key"]
    both("keys", "list", "--json")
    both("keys", "add", "deploy", "--role", "viewer")
    monkeypatch.setenv("TORIL_KEY", made)
    assert terminal.here("queue", "mail", "--server", url).code == DONE
    refused = terminal.here("pause", "mail", "--server", url)
    assert (refused.code, "deploy is a viewer" in refused.err) == (ERROR, True)
    monkeypatch.setenv("TORIL_KEY", key)
    there("keys", "remove", "deploy", "--yes")
    both("keys", "remove", "deploy", "--yes")
    both("users", "list")
    both("users", "remove", "jo", "--yes")
    there("keys", "add", "board", "--role", "viewer")
    terminal.ask(signed_in)
    both("users", "list", "--json")
    both("users", "change", "nobody", "--role", "viewer")
    both("users", "change", "ann", "--role", "viewer")
    both("users", "remove", "ann", "--yes")
    changed = there("users", "change", "jo", "--role", "operator", "--queue", "mail")
    assert (changed["role"], changed["queues"]) == ("operator", ["mail"])
    free = there("users", "change", "jo", "--all-queues", "--payloads")
    assert (free["role"], free["queues"], free["payloads"]) == ("operator", None, True)
    both("sessions", "list", "--json")
    both("sessions", "list", "--user", "jo")
    assert there("sessions", "list", "--mine") == []
    both("sessions", "end", "nothing", "--yes")
    both("sessions", "end", "--user", "nobody", "--yes")
    (one, _) = there("sessions", "list", "--user", "jo")
    assert there("sessions", "end", one["id"], "--yes")["ended"] == 1
    assert there("sessions", "end", "--user", "jo", "--yes")["ended"] == 1
    assert there("users", "remove", "ann", "--last", "--yes")["removed"]
    both("audit", "--verb", "keys.add", "--json")
