"""Tables of options and the help of commands tell what holds when nothing is given."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from types import ModuleType

import click
import pytest
from tests.house.tree import ROOT

from toril.cli.main import toril


def hooks() -> ModuleType:
    """Return the module that makes the tables of the documentation."""
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = hooks()
OPTIONS = [
    (name, option)
    for name, command in HOOKS.commands()
    for option in command.params
    if isinstance(option, click.Option) and not option.is_flag and not option.hidden
]


def defaults_in(subject: str) -> dict[str, str]:
    """Return what the table of a class says of each default."""
    table = HOOKS._options(subject)
    rows = re.findall(r"^\| `(\w+)` \| `[^`]+` \| (.+?) \| ", table, re.MULTILINE)
    kind = HOOKS._resolve(subject)
    assert [name for name, _ in rows] == [field.name for field in fields(kind)]
    return dict(rows)


@pytest.mark.parametrize(
    ("name", "option"), OPTIONS, ids=[f"{name} {option.opts[0]}" for name, option in OPTIONS]
)
def test_option_of_a_command_tells_its_default(name: str, option: click.Option) -> None:
    """`--missed` and `--priority` of a schedule told none, and `--concurrency` another one."""
    default = option.to_info_dict()["default"]
    if default is None or default == () or option.show_default:
        return

    told = re.search(r"Default: ([\w.]+)", option.help or "")
    assert told is not None, f"{name} {option.opts[0]}"
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    assert told[1].rstrip(".") in (shown, "all"), f"{name} {option.opts[0]}: it is {default!r}"


def test_defaults_that_the_settings_decide_say_so() -> None:
    worker = {
        option.opts[0]: option.help or "" for name, option in OPTIONS if name == "toril worker"
    }

    told = {name: re.findall(r"TORIL_\w+", help_) for name, help_ in worker.items()}

    assert {name: words for name, words in told.items() if words} == {
        "-c": ["TORIL_CONCURRENCY"],
        "--profile": ["TORIL_PROFILE"],
        "--url": ["TORIL_URL"],
        "--shutdown": ["TORIL_SHUTDOWN"],
        "--max-stalled": ["TORIL_MAX_STALLED"],
        "--log-level": ["TORIL_LOG_LEVEL"],
    }


def test_tables_of_options_tell_what_holds() -> None:
    """`run_in` of a task was said to be `thread`, its name to be required."""
    task, worker = (
        defaults_in("toril.tasks.options.TaskOptions"),
        defaults_in("toril.WorkerOptions"),
    )

    assert task["name"] == "the function's name"
    assert task["run_in"] == "`loop` for async functions, else `thread`"
    assert task["keep_completed"] == "the newest 10,000, for 7 days"
    assert worker["queues"] == "all that have tasks"
    assert worker["concurrency"] == "the settings', else the profile's, else 10"
    assert worker["shutdown_s"] == "the settings', else 25"
    assert defaults_in("toril.ProcessOptions")["max_growth_bytes"] == "`268,435,456`"


def test_choices_of_an_option_can_go_on_in_the_next_line() -> None:
    made = HOOKS._commands(None)

    assert "`--state [wait | prioritized | delayed | waiting-children" in made
    assert not re.search(r"^\| `[^`\n]*\w\|\w", made, re.MULTILINE)


def test_code_in_tables_breaks_between_words() -> None:
    style = (ROOT / "docs" / "stylesheets" / "tables.css").read_text("utf-8")

    assert "stylesheets/tables.css" in (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "word-break: normal" in style


def test_every_command_is_asked() -> None:
    assert {name for name, _ in OPTIONS} >= {"toril worker", "toril jobs list", "toril top"}
    assert isinstance(toril, click.Group)
