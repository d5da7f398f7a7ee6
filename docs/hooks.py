"""Writes the tables of the reference from the code, so that they cannot drift from it.

A page asks for one with a comment such as `<!-- made: states -->`. What is not known, or cannot be
made, fails the build.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from enum import Enum, EnumType
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from toril import Profile, Settings
from toril.core import errors
from toril.engine.hooks import HOOKS
from toril.engine.search.fields import FIELDS as SEARCHED
from toril.engine.states import TRANSITIONS, State
from toril.library import catalogue
from toril.settings import VARIABLES
from toril.web.routes import ROUTES

_MARK = re.compile(r"^<!-- made: ([a-z ]+?)(?: of ([A-Za-z_.]+))? -->$", re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the made parts of a page in."""

    def made(mark: re.Match[str]) -> str:
        kind, subject = mark[1], mark[2]
        if kind not in _MAKERS:
            raise PluginError(f"{page.file.src_path}: nothing is known of {mark[0]!r}")
        return _MAKERS[kind](subject)

    return _MARK.sub(made, markdown)


def attribute_docs(kind: type) -> dict[str, str]:
    """Return the texts that stand below the attributes of a class, its bases' included."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        except (OSError, TypeError):  # a base without Python source
            continue
        body = tree.body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101 - it is the source of a class
        for statement, following in zip(body.body, [*body.body[1:], ast.Pass()], strict=True):
            name = _assigned(statement)
            if name is not None and isinstance(following, ast.Expr):
                text = following.value
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    found[name] = inspect.cleandoc(text.value)
    return found


def _assigned(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return None


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    # In code a bar is a bar, as Python-Markdown reads tables.
    return "".join(part if part.startswith("`") else part.replace("|", "\\|") for part in parts)


def _states(_: str | None) -> str:
    meanings = attribute_docs(State)
    return _table(
        ["State", "Meaning"],
        [[f"`{state}`", meanings.get(state.name, "")] for state in State],
    )


def _transitions(_: str | None) -> str:
    rows: list[list[str]] = []
    for arrow in TRANSITIONS:
        before = "(new)" if arrow.before is None else f"`{arrow.before}`"
        after = "(gone)" if arrow.after is None else f"`{arrow.after}`"
        event = "" if arrow.event is None else f"`{arrow.event}`"
        row = [before, after, f"`{arrow.verb}`", event, arrow.meaning]
        last = rows[-1] if rows else None
        # Arrows that differ in where they lead to only share a line.
        if last is not None and [last[0], *last[2:]] == [row[0], *row[2:]]:
            last[1] += f", {after}"
        else:
            rows.append(row)
    return _table(["From", "To", "Verb", "Event", "Why"], rows)


def _words(subject: str | None) -> str:
    """Make a table of an enumeration: its values and their texts."""
    kind: Any = _resolve(subject)
    if not isinstance(kind, EnumType):
        raise PluginError(f"{subject}: not an enumeration")
    texts = attribute_docs(kind)
    members: list[Enum] = list(kind)
    if not texts:  # the names say it
        return _table(
            ["Word", "Value"],
            [[f"`{kind.__name__}.{word.name}`", f"`{word.value}`"] for word in members],
        )
    return _table(
        ["Value", "Meaning"], [[f"`{word.value}`", texts.get(word.name, "")] for word in members]
    )


def _options(subject: str | None) -> str:
    """Make a table of an options class: fields, types, defaults, meanings."""
    kind = _resolve(subject)
    texts = attribute_docs(kind)
    rows = []
    for field in fields(kind):
        if field.name not in texts:
            raise PluginError(f"{subject}: {field.name} has no text below it")
        text, _, told = " ".join(texts[field.name].split()).partition(" Default: ")
        # What a text says of the default is more than the class knows: others fill it in.
        default = told.removesuffix(".") if told else _default(field)
        rows.append([f"`{field.name}`", f"`{field.type}`", default, text])
    return _table(["Option", "Type", "Default", "Meaning"], rows)


def _fields(subject: str | None) -> str:
    """Make a table of a record: fields, types, meanings; names speak for themselves."""
    kind = _resolve(subject)
    texts = attribute_docs(kind)
    rows = [
        [f"`{field.name}`", f"`{field.type}`", texts.get(field.name, "")] for field in fields(kind)
    ]
    return _table(["Field", "Type", "Meaning"], rows)


def _properties(subject: str | None) -> str:
    """Make a table of the properties of a class: names, types, first sentences."""
    rows = []
    for name, value in vars(_resolve(subject)).items():
        if isinstance(value, property) and value.fget is not None:
            kind = value.fget.__annotations__.get("return", "")
            text = inspect.cleandoc(value.__doc__ or "").split("\n\n")[0]
            rows.append([f"`{name}`", f"`{kind}`", text])
    return _table(["Name", "Type", "Meaning"], rows)


def _default(field: Field[Any]) -> str:
    if field.default_factory is not MISSING:
        return f"`{getattr(field.default_factory, '__name__', field.default_factory)}()`"
    if field.default is MISSING:
        return "required"
    value = field.default
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return f"`{value!r}`"
    if isinstance(value, int):
        return f"`{value:,}`"
    if isinstance(value, float):
        return f"`{value:,g}`" if value < 1e6 else f"`{value:,.0f}`"
    return f"`{value!r}`"


def _settings(_: str | None) -> str:
    texts = attribute_docs(Settings)
    rows = []
    for field in fields(Settings):
        # A text ends with the variables; they have a column of their own here.
        text, _, _ = texts[field.name].rpartition(". `")
        variables = [f"`{name}`" for name, target in VARIABLES.items() if target == field.name]
        # Later ones win, so the strongest goes first.
        names = ", ".join(reversed(variables))
        rows.append([f"`{field.name}`", names, _default(field), f"{text}."])
    return _table(["In `toril.toml`", "Variable", "Default", "Meaning"], rows)


def _hooks(_: str | None) -> str:
    return ", ".join(f"`{name}`" for name in HOOKS)


def _profiles(_: str | None) -> str:
    texts = attribute_docs(Profile)
    rows = []
    for profile in Profile:
        figures = profile.settings
        meant = texts[profile.name].partition(":")[0]
        rows.append(
            [
                f"`{profile}`",
                meant,
                str(figures.concurrency),
                f"{figures.lease_s:g}",
                f"{figures.sweep_s:g}",
            ]
        )
    return _table(["Profile", "For", "Jobs at once", "Lease (s)", "Sweep (s)"], rows)


def _errors(_: str | None) -> str:
    tree = (errors.__doc__ or "").split("\n\n")[1]
    listed = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TorilError)
    ]
    rows = [[f"`{kind.__name__}`", inspect.cleandoc(kind.__doc__ or "")] for kind in listed]
    return f"```text\n{tree}\n```\n\n{_table(['Error', 'When, and what to do'], rows)}"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command of the command line with its full name."""
    yield from _below("toril", importlib.import_module("toril.cli.main").toril)


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for word in command.list_commands(context):
            found = command.get_command(context, word)
            if found is not None and not found.hidden:
                yield from _below(f"{name} {word}", found)


def _exit_codes(_: str | None) -> str:
    meanings = importlib.import_module("toril.cli.codes").MEANINGS
    return _table(["Code", "Meaning"], [[str(code), text] for code, text in meanings.items()])


def _commands(_: str | None) -> str:
    parts = []
    for name, command in commands():
        if isinstance(command, click.Group) and name == "toril":
            continue
        context = click.Context(command, info_name=name)
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f"## `{name}`", f"```text\n{name} {usage}\n```", _prose(command.help or "")]
        rows = []
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None and record[1] and "--help" not in parameter.opts:
                # A list of choices may go on in the next line.
                rows.append([f"`{record[0].replace('|', ' | ')}`", record[1]])
        if rows:
            parts.append(_table(["Option", "Meaning"], rows))
    return "\n\n".join(parts)


def _search(_: str | None) -> str:
    """Return what a search can ask for."""
    rows = []
    for name, field in SEARCHED.items():
        below = f", `{name}.PATH`" if field.has_path else ""
        signs = " ".join(f"`{sign}`" for sign in field.operators)
        takes = f"; {field.expected}" if field.expected else ""
        rows.append([f"`{name}`{below}", signs, f"{field.meaning}{takes}"])
    return _table(["Field", "Signs", "What it asks for"], rows)


def _routes(_: str | None) -> str:
    """Make a table of the routes of the REST interface, kind by kind."""
    rows = [
        [
            f"`{route.method}` `{route.path}`",
            "anybody" if route.permission is None else f"`{route.permission}`",
            route.summary,
        ]
        for route in ROUTES
    ]
    return _table(["Route", "Needs", "It does"], rows)


def _promises(subject: str | None) -> str:
    """Return the promise sheets of a family of ready-made tasks."""
    promises = catalogue.promises_of(subject or "")
    parts = []
    for task in catalogue.tasks_of(subject or ""):
        name = task.options.name
        lines = [list(line) for line in catalogue.sheet(task, promises[name])]
        parts += [f"### `{name}`", _table(["", ""], lines)]
    return "\n\n".join(parts)


def _typed_options(_: str | None) -> str:
    """Make a table of the options of typed queues, by their names on the wire."""
    from toril.typed.job_settings import SHARED, JobSettings
    from toril.typed.spec import WorkerFigures

    rows = []
    for kind, defaults in ((WorkerFigures, WorkerFigures()), (JobSettings, SHARED)):
        texts = attribute_docs(kind)
        for field in fields(kind):
            first, *others = field.name.split("_")
            wire = first + "".join(word.capitalize() for word in others)
            value = getattr(defaults, field.name)
            unit = "ms" if "milliseconds" in texts[field.name] else ""
            default = "none" if value is None else _typed_default(value)
            whose = "worker" if kind is WorkerFigures else "job"
            rows.append([f"`{wire}`", f"`{field.name}`", whose, unit, default, texts[field.name]])
    return _table(["On the wire", "In Python", "Of", "Unit", "Default", "Meaning"], rows)


def _typed_default(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return f"{getattr(value, 'type', value)}, {getattr(value, 'delay', '')} ms"


def _prose(help_text: str) -> str:
    """Return a command's help as Markdown."""
    paragraphs = inspect.cleandoc(help_text).split("\f")[0].rstrip().split("\n\n")
    # The backspace is click's mark for a paragraph that keeps its lines.
    kept = "\b\n"
    return "\n\n".join(
        f"```text\n{text.removeprefix(kept)}\n```" if text.startswith(kept) else text
        for text in paragraphs
    )


def _resolve(subject: str | None) -> Any:
    """Return what `module.Name` names."""
    module, _, name = (subject or "").rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ValueError, ImportError, AttributeError) as error:
        raise PluginError(f"{subject}: {error}") from error


_MAKERS: dict[str, Callable[[str | None], str]] = {
    "states": _states,
    "typed options": _typed_options,
    "transitions": _transitions,
    "words": _words,
    "options": _options,
    "fields": _fields,
    "properties": _properties,
    "settings": _settings,
    "hooks": _hooks,
    "profiles": _profiles,
    "errors": _errors,
    "exit codes": _exit_codes,
    "commands": _commands,
    "search fields": _search,
    "routes": _routes,
    "promises": _promises,
}
