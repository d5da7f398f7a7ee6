"""Tasks by name, and the script that runs the worker."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.engine.runners import child_tasks

from toril.core.errors import InvalidOptionError
from toril.engine.runners.references import reference, resolve

SCRIPT = """
import asyncio, sys, pickle
from dataclasses import dataclass
from toril.engine.context import Facts
from toril.engine.runners.frames import ProcessCall
from toril.engine.runners.processes import ProcessSlots
from toril.engine.runners.references import reference

@dataclass(frozen=True)
class Settings:
    bucket: str

class EmptyFileError(Exception):
    pass

class Resize:
    def __init__(self):
        self.__qualname__ = "resize"
    def run_here(self, payload, context, provided):
        if payload == b"2":
            raise EmptyFileError("empty")
        return f"{__name__} {provided[Settings].bucket} {sys.argv[1:]}".encode()

resize = Resize()

async def main():
    slots = ProcessSlots(provided=pickle.dumps({Settings: Settings("photos")}))
    facts = Facts(job_id="1", queue="q", task="t", attempt=1, max_attempts=1, worker_id="w",
                  created_at_ms=0)
    try:
        print((await slots.run(ProcessCall(reference(resize), b"1", facts), print)).decode())
        try:
            await slots.run(ProcessCall(reference(resize), b"2", facts), print)
        except EmptyFileError as error:
            print("caught", error, type(error).__module__)
    finally:
        await slots.close()

"""
GUARDED = SCRIPT + 'if __name__ == "__main__":\n    asyncio.run(main())\n'
UNGUARDED = SCRIPT + "asyncio.run(main())\n"
EXPECTED = ["__mp_main__ photos ['--fast']", "caught empty __main__"]


def python(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_reference_names_a_task_and_resolve_finds_it() -> None:
    ref = reference(child_tasks.echo)

    assert ref == "tests.engine.runners.child_tasks:echo"
    assert resolve(ref) is child_tasks.echo
    assert resolve("os:path.join") is os.path.join


def test_reference_finds_a_task_under_another_name_than_its_functions() -> None:
    child_tasks.under_another_name.__qualname__ = "_hidden"

    ref = reference(child_tasks.under_another_name)

    assert ref == "tests.engine.runners.child_tasks:under_another_name"


def test_closures_and_lambdas_are_refused() -> None:
    @child_tasks.Task
    def inner(payload: object, context: object, provided: object) -> None:
        return None

    with pytest.raises(InvalidOptionError, match="define the task at module level"):
        reference(inner)
    with pytest.raises(InvalidOptionError, match="define the task at module level"):
        reference(lambda: None)


def test_things_without_a_name_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="expected a task defined at module level"):
        reference(3)
    with pytest.raises(InvalidOptionError, match="expected 'module:name'"):
        resolve("module.name")


def test_task_in_a_script_that_is_run_directly_works(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(GUARDED)

    done = python("app.py", "--fast", cwd=tmp_path)

    assert done.stdout.splitlines() == EXPECTED, done.stderr


def test_task_in_a_script_without_py_in_its_name_works(tmp_path: Path) -> None:
    (tmp_path / "app").write_text(GUARDED)

    done = python(str(tmp_path / "app"), "--fast", cwd=tmp_path.parent)

    assert done.stdout.splitlines() == EXPECTED, done.stderr


@pytest.mark.parametrize(("file", "name"), [("work.py", "shop.work"), ("__main__.py", "shop")])
def test_task_in_a_module_run_with_m_works(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "names.py").touch()
    (tmp_path / "shop" / file).write_text("from . import names\n" + GUARDED)

    done = python("-m", name, "--fast", cwd=tmp_path)

    assert done.stdout.splitlines() == EXPECTED, done.stderr


def test_task_in_a_zip_archive_that_is_run_works(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", GUARDED)

    done = python("app.pyz", "--fast", cwd=tmp_path)

    assert done.stdout.splitlines() == EXPECTED, done.stderr


def test_script_without_a_guard_is_told_about_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(UNGUARDED)

    done = python("app.py", cwd=tmp_path)

    assert done.returncode == 1
    assert 'put what starts it under if __name__ == "__main__":' in done.stderr


@pytest.mark.parametrize("arguments", [["-"], ["-c", UNGUARDED]])
def test_task_at_a_prompt_is_refused_when_it_is_called(
    tmp_path: Path, arguments: list[str]
) -> None:
    done = python(*arguments, cwd=tmp_path, stdin=UNGUARDED)

    assert done.returncode == 1
    assert "NoChildError: the task is defined in __main__" in done.stderr
    assert "move the task into a module" in done.stderr


def test_toril_is_found_where_only_the_program_looks(tmp_path: Path) -> None:
    """A worker whose own script put the package on its path starts children that have it too."""
    package = Path(child_tasks.__file__).parents[3] / "src"
    site = next(path for path in sys.path if path.endswith("site-packages"))
    head = f"import sys\nsys.path += [{str(package)!r}, {site!r}]\n"
    (tmp_path / "app.py").write_text(head + GUARDED)

    done = python("-S", "app.py", "--fast", cwd=tmp_path)

    assert done.stdout.splitlines() == EXPECTED, done.stderr
