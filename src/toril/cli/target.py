"""Imports the app that MODULE:APP on a command line names.

Errors are told in one sentence. Only an error of the module's own code is shown with its traceback,
from the module's first line on, as Python would.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import cast

import click

from toril.app import App
from toril.cli.codes import ERROR, USAGE, RefusedError
from toril.cli.harmless import write
from toril.core.checks import nearest
from toril.core.errors import InvalidSettingError


def load_app(target: str) -> App:
    """Import MODULE and return its APP.

    Parameters:
        target: `module:name`, `module:holder.name`, or `module` alone: then its `app`, or the only
            App in it; of a package without one, that of its module `worker`. The working directory
            is looked in first.

    Raises:
        RefusedError: There is no such module or App.
        Exit: The module's own code raised; its traceback is on stderr.
    """
    name, _, path = target.partition(":")
    if name.endswith(".py") or "/" in name or os.sep in name:
        dotted = name.removesuffix(".py").strip("./").replace(os.sep, ".").replace("/", ".")
        raise RefusedError(
            f"{target!r} is a file, not a module: try {dotted}:{path or 'app'}, from the folder"
            " that it is in",
            USAGE,
        )
    if not all(part.isidentifier() for part in name.split(".")):
        raise RefusedError(f"{target!r}: expected MODULE:APP, such as shop.tasks:app", USAGE)
    module = _import(name, target)
    if "app" not in vars(module) and "__getattr__" in vars(module):
        _own_code(name, lambda: getattr(module, "app", None))  # it may make its app only now
    if not path:
        if not _apps(module) and _has_worker(module):
            name = f"{name}.worker"
            module = _import(name, target)
        return _only_app(module, name)
    found: object = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise RefusedError(_no_attribute(name, path, part, found), USAGE)
        found = getattr(found, part)
    if not isinstance(found, App):
        raise RefusedError(
            f"{target!r} is {_a(type(found).__name__)}, not an App{_apps_instead(module, name)}",
            USAGE,
        )
    return found


def _import(name: str, target: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return cast("ModuleType", _own_code(name, lambda: importlib.import_module(name)))
    except ModuleNotFoundError as error:
        raise RefusedError(_no_module(name, target, str(error.name)), USAGE) from None


def _own_code(name: str, call: Callable[[], object]) -> object:
    """Run code of the user's module and tell of its errors.

    Raises:
        ModuleNotFoundError: The module itself, or a package above it, is missing.
        RefusedError: A setting makes no sense, or the module has left.
        Exit: It raised; its traceback is on stderr.
    """
    try:
        return call()
    except ModuleNotFoundError as error:
        # Only if the target itself is missing: what it imports in turn is its own affair.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise
        raise _shown(error) from None
    except InvalidSettingError as error:
        raise RefusedError(str(error), USAGE) from None
    except Exception as error:
        raise _shown(error) from None
    except SystemExit as error:
        raise RefusedError(
            f"{name} left with {error.code!r} while it was imported: put what ends the program"
            ' under if __name__ == "__main__":',
            ERROR,
        ) from None


def _has_worker(module: ModuleType) -> bool:
    """Whether a package has a module `worker`."""
    return hasattr(module, "__path__") and find_spec(f"{module.__name__}.worker") is not None


def _shown(error: BaseException) -> click.exceptions.Exit:
    """Print the traceback of the user's own code, and return what ends the command."""
    text = traceback.format_exception(type(error), error, _own(error.__traceback__))
    write("".join(text), err=True, end="")
    return click.exceptions.Exit(ERROR)


def _own(trace: TracebackType | None) -> TracebackType | None:
    """Pass over the frames of this module and of the import machinery."""
    ours = (__file__, importlib.__file__)
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file not in ours and not file.startswith("<frozen importlib"):
            return trace
        trace = trace.tb_next
    return None


def _no_module(name: str, target: str, missing: str) -> str:
    known = [path.stem for path in Path.cwd().glob("*.py")]
    known += [path.parent.name for path in Path.cwd().glob("*/__init__.py")]
    close = nearest(name, known)
    hint = f"did you mean {target.replace(name, close, 1)!r}?" if close else "is it there?"
    what = f"{name!r}" if missing == name else f"{name!r} ({missing!r} is missing)"
    return f"no module {what} in {os.getcwd()} or on the path: {hint}"


def _no_attribute(name: str, path: str, part: str, holder: object) -> str:
    close = nearest(part, [each for each in dir(holder) if not each.startswith("__")])
    if isinstance(holder, ModuleType):
        instead = _apps_instead(holder, name)
        if close and isinstance(getattr(holder, close), App):
            instead = f": did you mean {name}:{close}?"
        return f"module {name!r} has no {part!r}{instead}"
    return f"{name}:{path}: {_a(type(holder).__name__)} has no {part!r}"


def _only_app(module: ModuleType, name: str) -> App:
    apps = _apps(module)
    if "app" in apps:
        return apps["app"]
    if len({id(app) for app in apps.values()}) == 1:
        return next(iter(apps.values()))
    found = ", ".join(f"{name}:{each}" for each in sorted(apps)) or "none"
    raise RefusedError(f"which App of module {name!r}? Found: {found}", USAGE)


def _apps_instead(module: ModuleType, name: str) -> str:
    found = " or ".join(f"{name}:{each}" for each in sorted(_apps(module)))
    return f": did you mean {found}?" if found else "; there is no App in the module"


def _apps(module: ModuleType) -> dict[str, App]:
    found = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    if "app" not in found and isinstance(made := getattr(module, "app", None), App):
        found["app"] = made  # by the module's `__getattr__`
    return found


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0].lower() in "aeiou" else f"a {noun}"
