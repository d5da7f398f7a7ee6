"""Writes the files of `toril new` from the templates in `new_files`.

Everything is checked before the first file is written, and no file is overwritten.
"""

from __future__ import annotations

import ast
import keyword
import re
from importlib.resources import files
from pathlib import Path

from toril.cli.codes import STATE, USAGE, RefusedError

APP_FILES = {
    "README.md": "readme",
    "pyproject.toml": "pyproject",
    "Dockerfile": "dockerfile",
    "compose.yaml": "compose",
    "@name@-worker@.service": "unit",
    "api.py": "api",
    "shared/queues/config.py": "config",
    "shared/queues/registry.py": "shared_registry",
    "worker/__main__.py": "worker_main",
    "worker/queues/registry.py": "worker_registry",
    "tests/test_example.py": "test_example",
}
PACKAGES = {
    "shared": "What the API and the worker share.",
    "shared/queues": "The queues: what they are, what their jobs carry, what adds to them.",
    "worker": "What runs jobs.",
    "worker/queues": "A processor for each queue.",
}
QUEUE_FILES = {
    "shared/queues/@module@/spec.py": "spec",
    "shared/queues/@module@/types.py": "types",
    "shared/queues/@module@/producer.py": "producer",
    "worker/queues/@module@/processor.py": "processor",
}
SHARED, WORKER = Path("shared/queues/registry.py"), Path("worker/queues/registry.py")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_app(folder: Path, name: str) -> list[str]:
    """Write a new application with a queue `example`; return its files.

    Raises:
        RefusedError: The name will not do, or there is such a folder already.
    """
    _check(name, "my-shop")
    root = folder / name
    if root.exists():
        raise RefusedError(f"{name}: there is one already; choose another name", STATE)
    for path, template in APP_FILES.items():
        _write(root / path.replace("@name@", name), _text("app", template, {"name": name}))
    for package, sign in PACKAGES.items():
        _write(root / package / "__init__.py", f'"""{sign}"""\n')
    write_queue(root, "example", "light")
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def write_queue(root: Path, name: str, profile: str) -> tuple[list[str], list[str]]:
    """Write the files of a new queue; return these, and the registries that were changed.

    Raises:
        RefusedError: The name will not do, this is no such application, or it has that queue.
    """
    _check(name, "my-feature")
    words = {
        "feature": name,
        "module": name.replace("-", "_"),
        "Feature": "".join(word.capitalize() for word in name.split("-")),
        "FEATURE": name.replace("-", "_").upper(),
        "profile": profile,
    }
    module, kind = words["module"], words["Feature"]
    for registry in (SHARED, WORKER):
        if not (root / registry).is_file():
            raise RefusedError(
                f"{registry} is not here: go to the folder of an application that"
                " `toril new app NAME` has made",
                STATE,
            )
    new = {path.replace("@module@", module): part for path, part in QUEUE_FILES.items()}
    for path in new:
        if (root / path).exists():
            raise RefusedError(f"{path}: there is one already; choose another name", STATE)
    place = f"shared.queues.{module}"
    spec = f"{words['FEATURE']}_QUEUE"
    shared = (root / SHARED).read_text("utf-8")
    shared = added(shared, "QueueRegistry", 0, spec, f"from {place}.spec import {spec}")
    producer = f"{kind}Producer"
    shared = added(
        shared, "QueueRegistry", "producers", producer, f"from {place}.producer import {producer}"
    )
    worker = added(
        (root / WORKER).read_text("utf-8"),
        "Processors",
        1,
        f"{kind}Processor()",
        f"from worker.queues.{module}.processor import {kind}Processor",
    )
    for path, part in new.items():
        package = (root / path).parent / "__init__.py"
        if not package.exists():
            _write(package, f'"""The queue {name}."""\n')
        _write(root / path, _text("queue", part, words))
    (root / SHARED).write_text(shared, "utf-8")
    (root / WORKER).write_text(worker, "utf-8")
    packages = {str(Path(path).parent / "__init__.py") for path in new}
    return sorted({*new, *packages}), [str(SHARED), str(WORKER)]


def added(source: str, call: str, where: int | str, item: str, imported: str) -> str:
    """Return a registry's source with one more item in a list of a call, and an import.

    Parameters:
        source: Of the module.
        call: The name that is called.
        where: The argument with the list: its position or its name.
        item: What the list gets.
        imported: The line that imports it.

    Raises:
        RefusedError: There is no such list.
    """
    found = _list(source, call, where)
    if found is None:
        what = f"argument {where + 1}" if isinstance(where, int) else f"{where}="
        raise RefusedError(
            f"expected a list as {what} of {call}(...) in the registry: add {item} by hand, with"
            f" {imported!r}",
            STATE,
        )
    last = found.elts[-1] if found.elts else None
    if last is None:
        row, column = found.lineno - 1, found.col_offset + 1
        text = f"\n        {item},\n    "
    else:
        row, column = (last.end_lineno or 1) - 1, last.end_col_offset or 0
        text = f",\n        {item}"
    lines = source.splitlines(keepends=True)
    line = lines[row].encode()  # columns of the parser are bytes
    lines[row] = line[:column].decode() + text + line[column:].decode()
    imports = [
        one for one in ast.parse(source).body if isinstance(one, ast.Import | ast.ImportFrom)
    ]
    lines.insert((imports[-1].end_lineno or 0) if imports else 0, f"{imported}\n")
    return "".join(lines)


def _list(source: str, call: str, where: int | str) -> ast.List | None:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == call:
            if isinstance(where, int):
                value = node.args[where] if len(node.args) > where else None
            else:
                value = next((one.value for one in node.keywords if one.arg == where), None)
            if isinstance(value, ast.List):
                return value
    return None


def _check(name: str, example: str) -> None:
    if NAME.fullmatch(name) is None or keyword.iskeyword(name.replace("-", "_")):
        raise RefusedError(
            f"{name!r}: expected small letters and digits with hyphens between words, such as"
            f" {example}",
            USAGE,
        )


def _text(folder: str, template: str, words: dict[str, str]) -> str:
    text = files("toril.cli").joinpath("new_files", folder, f"{template}.in").read_text("utf-8")
    return re.sub(r"@(\w+)@", lambda found: words.get(found[1], found[0]), text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
