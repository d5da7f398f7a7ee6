"""MODULE:APP: what is found, and what is said when it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import ERROR, USAGE, RefusedError
from toril.cli.target import load_app


@pytest.fixture(autouse=True)
def fresh_imports(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test import its own modules, and leave nothing of them."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("target", ["shop:app", "shop"])
def test_app_is_found_in_the_working_directory(target: str) -> None:
    assert [task.name for task in load_app(target).tasks()] == ["send", "broken", "hold"]


def test_module_alone_means_its_only_app(terminal: Terminal) -> None:
    (terminal.folder / "single.py").write_text("from toril import App\nmine = App('a.db')\n")

    assert load_app("single").url == "a.db"


def test_package_without_an_app_means_its_worker(terminal: Terminal) -> None:
    for name, url in (("chat", "w.db"), ("both", "w.db")):
        (terminal.folder / name).mkdir()
        (terminal.folder / name / "worker.py").write_text(
            f"from toril import App\napp = App('{url}')\n"
        )
    (terminal.folder / "chat" / "__init__.py").write_text("")
    (terminal.folder / "both" / "__init__.py").write_text(
        "from toril import App\napp = App('p.db')\n"
    )
    (terminal.folder / "bare").mkdir()
    (terminal.folder / "bare" / "__init__.py").write_text("")

    assert load_app("chat").url == "w.db"
    assert load_app("both").url == "p.db"
    with pytest.raises(RefusedError, match="which App of module 'bare'"):
        load_app("bare")


def test_dotted_names_are_followed(terminal: Terminal) -> None:
    (terminal.folder / "holder.py").write_text(
        "from toril import App\nclass Box:\n    app = App('b.db')\n"
    )

    assert load_app("holder:Box.app").url == "b.db"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("shp:app", "did you mean 'shop:app'?"),
        ("nowhere.at.all:app", "no module 'nowhere.at.all' ('nowhere' is missing)"),
        ("shop:ap", "module 'shop' has no 'ap': did you mean shop:app?"),
        ("shop:xyz", "module 'shop' has no 'xyz': did you mean shop:app?"),
        ("shop:send", "'shop:send' is a Task, not an App: did you mean shop:app?"),
        ("shop:app.nothing", "an App has no 'nothing'"),
        ("shop.py:app", "is a file, not a module: try shop:app"),
        ("./deep/shop.py", "try deep.shop:app"),
        ("sh-op:app", "expected MODULE:APP"),
        (":app", "expected MODULE:APP"),
        ("two", "which App of module 'two'? Found: two:one, two:other"),
        ("none:x", "there is no App in the module"),
    ],
)
def test_what_cannot_be_found_is_said_in_a_sentence(
    terminal: Terminal, target: str, expected: str
) -> None:
    (terminal.folder / "two.py").write_text("from toril import App\none, other = App(), App()\n")
    (terminal.folder / "none.py").write_text("x = 1\n")

    with pytest.raises(RefusedError) as refused:
        load_app(target)

    assert expected in str(refused.value)
    assert refused.value.code == USAGE


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def f():\n    return 1 / 0\nf()\n", "ZeroDivisionError: division by zero"),
        ("def (\n", "SyntaxError"),
    ],
)
def test_what_the_module_raises_is_shown_as_its_own(
    terminal: Terminal, source: str, expected: str
) -> None:
    (terminal.folder / "faulty.py").write_text(source)

    result = terminal.run("worker", "faulty:app")

    assert result.code == ERROR
    assert expected in result.err
    assert "faulty.py" in result.err
    assert "target.py" not in result.err


def test_a_module_that_exits_is_named(terminal: Terminal) -> None:
    (terminal.folder / "leaver.py").write_text("import sys\nsys.exit('bye')\n")

    with pytest.raises(RefusedError, match="leaver left with 'bye'"):
        load_app("leaver")


def test_setting_that_makes_no_sense_is_a_sentence(terminal: Terminal) -> None:
    (terminal.folder / "unset.py").write_text(
        "from toril import InvalidSettingError\n"
        "raise InvalidSettingError('RATE=0: expected more')\n"
    )

    result = terminal.run("worker", "unset")

    assert result.code == USAGE
    assert "RATE=0: expected more" in result.err
    assert "Traceback" not in result.err


def test_app_that_a_module_makes_when_asked_is_found(terminal: Terminal) -> None:
    (terminal.folder / "later.py").write_text(
        "def __getattr__(name):\n"
        "    if name != 'app':\n"
        "        raise AttributeError(name)\n"
        "    from toril import App\n"
        "    return globals().setdefault('app', App('late.db'))\n"
    )
    (terminal.folder / "broken.py").write_text(
        "from toril import InvalidSettingError\n"
        "def __getattr__(name):\n"
        "    if name == 'app':\n"
        "        raise InvalidSettingError('RATE=0: expected more')\n"
        "    raise AttributeError(name)\n"
    )

    assert load_app("later").url == "late.db"
    assert load_app("later:app").url == "late.db"
    with pytest.raises(RefusedError, match="RATE=0: expected more"):
        load_app("broken")
