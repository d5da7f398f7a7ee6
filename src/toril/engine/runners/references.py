"""Objects by name: `module:qualname` for a task, and what `__main__` means in a child process.

A child is a new interpreter whose own `__main__` is not the worker's. A task that was defined in
the script that runs the worker is found by importing that script once more in the child, under the
name that multiprocessing uses for it, so that `if __name__ == "__main__":` keeps its body out.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import pickle
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, ModuleType

import msgspec

from toril.core.errors import InvalidOptionError

CHILD_MAIN = "__mp_main__"
"""`__name__` of the worker's main module when a child imports it: multiprocessing's word."""
MAIN_NAMES = ("__main__", CHILD_MAIN)


class MainSource(msgspec.Struct, frozen=True):
    """Where a main module came from."""

    name: str | None
    """Its module name, when it was run by `python -m`."""
    path: bytes | None
    """Its file, absolute, as the file system spells it."""


def reference(target: object) -> str:
    """Return `module:qualname` of a task, so that another process finds it.

    Call it once the module has been imported: a task that its module knows under another name than
    its function's (`send = task(_send)`) is then found under that name.

    Raises:
        InvalidOptionError: If no other process can: a lambda, or something inside a function.
    """
    module = getattr(target, "__module__", None)
    qualname = getattr(target, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        raise InvalidOptionError(f"target={target!r}: expected a task defined at module level")
    if "<" in qualname:  # <locals> or <lambda>
        raise InvalidOptionError(
            f"{module}.{qualname} is defined inside a function or is a lambda, so a child process"
            ' cannot find it: define the task at module level, or use run_in="thread"'
        )
    if module in MAIN_NAMES:
        module = "__main__"
    return f"{module}:{_name_in(module, qualname, target)}"


def resolve(ref: str) -> object:
    """Return the object that `module:qualname` names, importing its module.

    Raises:
        ImportError: If the module is not there. What its code raises comes through as it is.
        AttributeError: If the module has no such name.
        InvalidOptionError: If `ref` has no colon.
    """
    name, colon, qualname = ref.partition(":")
    if not colon:
        raise InvalidOptionError(f"target={ref!r}: expected 'module:name'")
    found: object = main_module() if name in MAIN_NAMES else importlib.import_module(name)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def main_source() -> MainSource:
    """Return where this process's main module came from.

    Raises:
        InvalidOptionError: If from nowhere that can be imported: a prompt, a notebook, `python -c`,
            or standard input.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    name = spec.name if spec is not None else None
    path = getattr(main, "__file__", None)
    path = os.path.abspath(path) if isinstance(path, str) else None
    # A zip archive has no file of this name, but its spec finds it.
    if name is None and (path is None or not os.path.isfile(path)):
        raise InvalidOptionError(
            "the task is defined in __main__, and this __main__ has no file to import in a child"
            " process (a prompt, a notebook, python -c or standard input): move the task into a"
            ' module, or use run_in="thread"'
        )
    return MainSource(name, None if path is None else os.fsencode(path))


class Main:
    """The program's main module, as this process sees it. One a process: `MAIN`."""

    __slots__ = ("_borrowed", "_source", "loading")

    def __init__(self) -> None:
        self._source: MainSource | None = None
        self._borrowed = False
        self.loading = False
        """Whether it is being imported in a child. Whatever wants to start a worker now, does so
        because its script has no `if __name__ == "__main__":`."""

    def borrow(self, source: MainSource | None) -> None:
        """Make `source` this process's main module, once somebody asks for it."""
        self._source = source
        self._borrowed = True

    def module(self) -> ModuleType:
        """Return the main module; in a child, import it when it is first asked for.

        Not sooner, since most children never need it, and a script without a guard would run.
        """
        if self._borrowed:
            self._load()
        return sys.modules["__main__"]

    def _load(self) -> None:
        if self._source is None:
            raise InvalidOptionError("the worker's __main__ cannot be imported in a child process")
        code, spec = _code_of(self._source)
        module = ModuleType(CHILD_MAIN)
        module.__file__ = None if self._source.path is None else os.fsdecode(self._source.path)
        module.__spec__ = spec
        module.__package__ = None if spec is None else spec.parent
        own = sys.modules["__main__"]
        # Both names, before it runs: dataclasses and pickle look their module up while it does.
        sys.modules["__main__"] = sys.modules[CHILD_MAIN] = module
        self.loading = True
        try:
            exec(code, module.__dict__)  # noqa: S102 - the program's own main file
        except BaseException as error:
            sys.modules["__main__"] = own
            del sys.modules[CHILD_MAIN]
            if isinstance(error, SystemExit):  # its last line is `sys.exit(main())`
                raise InvalidOptionError(
                    "a child process imports the main script to find its task, and the script goes"
                    ' to work again and exits: put what it does under if __name__ == "__main__":'
                ) from error
            raise
        finally:
            self.loading = False
        self._borrowed = False


MAIN = Main()


def main_module() -> ModuleType:
    """Return the program's main module: the worker's own, also in its children."""
    return MAIN.module()


def unpickle(pickled: bytes) -> object:
    """Return what was pickled, importing what it needs. May be of the main module's classes."""
    return MainUnpickler(io.BytesIO(pickled)).load()


class MainUnpickler(pickle.Unpickler):
    """Finds classes of the main module under either of its names."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Return the named class or function."""
        if module_name in MAIN_NAMES:
            return resolve(f"{module_name}:{global_name}")
        return super().find_class(module_name, global_name)


def _name_in(module_name: str, qualname: str, target: object) -> str:
    module = sys.modules.get(module_name)
    found: object = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if module is None or found is target:
        return qualname
    names = (name for name, value in vars(module).items() if value is target)
    return next(names, qualname)


def _code_of(source: MainSource) -> tuple[CodeType, ModuleSpec | None]:
    path = os.fsdecode(source.path or b"")
    if source.name is None:
        with open(path, "rb") as file:
            return compile(file.read(), path, "exec", dont_inherit=True), None
    if source.name == "__main__":  # a folder or a zip archive was run
        spec = PathFinder.find_spec("__main__", [os.path.dirname(path)])
    else:
        spec = importlib.util.find_spec(source.name)
    code = None if spec is None else getattr(spec.loader, "get_code", _no_code)(spec.name)
    if code is None:
        raise ImportError(f"the worker's main module {source.name} has no code to import")
    return code, spec


def _no_code(name: str) -> None:
    return None
