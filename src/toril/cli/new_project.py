"""Writes the files of `toril new` from the templates in `new_files`.

Everything is checked before the first file is written, and no file is overwritten.
"""

from __future__ import annotations

import ast
import json
import keyword
import re
from importlib.resources import files
from pathlib import Path

from toril.cli.codes import STATE, USAGE, RefusedError
from toril.core.errors import InvalidOptionError
from toril.core.extras import Source
from toril.core.ids import check_queue_name

APP_FILES = {
    "README.md": "readme",
    "pyproject.toml": "pyproject",
    "Dockerfile": "dockerfile",
    "compose.yaml": "compose",
    ".dockerignore": "ignored",
    ".gitignore": "ignored",
    "deploy/@name@-api.service": "unit_api",
    "deploy/@name@-worker@.service": "unit",
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
MEMORY = {"medium": "2G", "heavy": "8G"}
"""Of workers of a type; those of light queues have what their unit says."""
JOB_TYPE_FILES = {"jobs/@module@.py": "job_type", "tests/test_@module@.py": "test"}
JOBS = Path("jobs/registry.py")
QUEUE_FILES = {
    "shared/queues/@module@/spec.py": "spec",
    "shared/queues/@module@/types.py": "types",
    "shared/queues/@module@/producer.py": "producer",
    "worker/queues/@module@/processor.py": "processor",
}
SHARED, WORKER = Path("shared/queues/registry.py"), Path("worker/queues/registry.py")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_app(folder: Path, name: str, source: Source) -> list[str]:
    """Write a new application with a queue `example`; return its files.

    Parameters:
        folder: Where its folder is made.
        name: Its folder's.
        source: Where it gets Toril from.

    Raises:
        RefusedError: The name will not do, or there is such a folder already.
    """
    _check(name, "my-shop")
    root = folder / name
    if root.exists():
        raise RefusedError(f"{name}: there is one already; choose another name", STATE)
    words = {"name": name, **_from(source)}
    for path, template in APP_FILES.items():
        _write(root / path.replace("@name@", name), _text("app", template, words))
    for kind, memory in MEMORY.items():
        path = f"deploy/{name}-worker@{kind}.service.d/memory.conf"
        _write(root / path, _text("app", "memory", {**words, "type": kind, "memory": memory}))
    for package, sign in PACKAGES.items():
        _write(root / package / "__init__.py", f'"""{sign}"""\n')
    write_queue(root, "example", "light")
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def _from(source: Source) -> dict[str, str]:
    """Return the words of the templates that say how Toril is installed."""
    install, build = "RUN pip install --no-cache-dir .", "."
    if source.needs_git:
        git = "apt-get update && apt-get install -y --no-install-recommends git"
        install = f"RUN {git} && rm -rf /var/lib/apt/lists/*\n{install}"
    if source.path is not None:
        # An image has no folders of this machine: the build mounts this one where it is here.
        folder = json.dumps(str(source.path if source.path.is_dir() else source.path.parent))
        target = folder if " " in folder else json.loads(folder)
        install = (
            "# compose.yaml names the folder that has Toril. Without compose:"
            f" docker build --build-context toril={target} .\n"
            f"RUN --mount=type=bind,from=toril,target={target},rw pip install --no-cache-dir ."
        )
        build = f"{{ context: ., additional_contexts: {{ toril: {folder} }} }}"
    requirement = source.requirement(["redis", "web"])
    return {"toril": json.dumps(requirement), "install": install, "build": build}


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


def write_job_type(root: Path, name: str, queue: str) -> tuple[list[str], list[str]]:
    """Write the files of a new type of jobs; return these, and the registry if it was changed.

    The first one also makes the registry.

    Raises:
        RefusedError: The name will not do, there is that type, or its registry cannot be read.
    """
    _check(name, "send-text")
    module = name.replace("-", "_")
    words = {
        "type": name,
        "module": module,
        "Type": "".join(word.capitalize() for word in name.split("-")),
        "queue": check_queue(queue),
    }
    new = {path.replace("@module@", module): part for path, part in JOB_TYPE_FILES.items()}
    for path in new:
        if (root / path).exists():
            raise RefusedError(f"{path}: there is one already; choose another name", STATE)
    is_first = not (root / JOBS).is_file()
    registry = _text("job_type", "registry", words)
    if not is_first:
        registry = (root / JOBS).read_text("utf-8")
    registry = added(registry, "TYPES", None, module, f"from jobs.{module} import {module}")
    made = list(new)
    if is_first:
        made.append(str(JOBS))
        if not (root / "jobs/__init__.py").exists():
            _write(root / "jobs/__init__.py", f'"""Jobs of the queue {queue}, by type."""\n')
            made.append("jobs/__init__.py")
    for path, part in new.items():
        _write(root / path, _text("job_type", part, words))
    _write(root / JOBS, registry)
    return sorted(made), [] if is_first else [str(JOBS)]


def check_queue(queue: str) -> str:
    """Return a queue's name, if there can be such a queue.

    Raises:
        RefusedError: There cannot.
    """
    try:
        return check_queue_name(queue)
    except InvalidOptionError as error:
        raise RefusedError(str(error), USAGE) from None


def added(source: str, call: str, where: int | str | None, item: str, imported: str) -> str:
    """Return a registry's source with one more item in a list of a call, and an import.

    Parameters:
        source: Of the module.
        call: The name that is called, or of the list itself.
        where: The argument with the list: its position or its name. None: it is no argument.
        item: What the list gets.
        imported: The line that imports it.

    Raises:
        RefusedError: There is no such list.
    """
    found = _list(source, call, where)
    if found is None:
        what = f"argument {where + 1}" if isinstance(where, int) else f"{where}="
        place = f"{call} = [...]" if where is None else f"a list as {what} of {call}(...)"
        raise RefusedError(
            f"expected {place} in the registry: add {item} by hand, with {imported!r}", STATE
        )
    last = found.elts[-1] if found.elts else None
    if last is None:
        row, column = found.lineno - 1, found.col_offset + 1
        indent = "" if where is None else "    "
        text = f"\n{indent}    {item},\n{indent}"
    else:
        row, column = (last.end_lineno or 1) - 1, last.end_col_offset or 0
        text = f",\n{'' if where is None else '    '}    {item}"
    lines = source.splitlines(keepends=True)
    line = lines[row].encode()  # columns of the parser are bytes
    lines[row] = line[:column].decode() + text + line[column:].decode()
    imports = [
        one for one in ast.parse(source).body if isinstance(one, ast.Import | ast.ImportFrom)
    ]
    lines.insert((imports[-1].end_lineno or 0) if imports else 0, f"{imported}\n")
    return "".join(lines)


def _list(source: str, call: str, where: int | str | None) -> ast.List | None:
    for node in ast.walk(ast.parse(source)):
        if where is None:
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            if any(getattr(one, "id", None) == call for one in targets):
                value = getattr(node, "value", None)
                return value if isinstance(value, ast.List) else None
            continue
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
