"""The Lua files: a header that can be read, functions that exist, and code that compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.house.tree import PACKAGE
from tests.support.redis_servers import RedisServer

from toril.backends.redis import scripts
from toril.backends.redis.lua_library import declared
from toril.backends.redis.scripts import SECTIONS, library, parse_header, script

LUA = PACKAGE / "backends" / "redis" / "lua"
SCRIPTS = sorted(path.stem for path in LUA.glob("*.lua"))
LIBS = sorted(path.stem for path in (LUA / "lib").glob("*.lua"))

HEADER = """\
-- claim: lease the next job.
--
-- More about it, over
--   several lines.
--
-- KEYS
--   meta     hash    what is kept
--   lines... list    any number
-- ARGV
--   now_ms   int     epoch milliseconds, and this goes on
--                    in the next line
-- RETURNS
--   {'ok'}
-- EMITS
--   nothing
-- COST
--   O(1)
"""


def source(name: str) -> str:
    return (LUA / f"{name}.lua").read_text("utf-8")


def test_there_are_scripts() -> None:
    assert SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_header_can_be_read(name: str) -> None:
    sections = parse_header(name, source(name))

    assert list(sections) == list(SECTIONS)
    assert sections["KEYS"], "a script without a key has no place in a Cluster"
    assert source(name).partition("\n")[0].endswith("."), "the first line is a sentence"


@pytest.mark.parametrize("name", SCRIPTS)
def test_names_of_keys_and_arguments_are_words_of_their_own(name: str) -> None:
    found = script(name)

    for names in (found.keys, found.args):
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*(\.\.\.)?", one) for one in names), names
        assert not any(one.endswith("...") for one in names[:-1]), "only the last may be many"


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_compiles(name: str, server: RedisServer) -> None:
    found = script(name)

    assert server.command("SCRIPT", "LOAD", found.text) == found.sha


@pytest.mark.parametrize("name", [*SCRIPTS, *(f"lib/{lib}" for lib in LIBS)])
def test_only_whole_lines_are_comments(name: str) -> None:
    """What is not sent is found line by line, so text over several lines could lose some."""
    assert "[[" not in source(name)
    assert "\\\n" not in source(name)


def test_every_library_is_used_somewhere() -> None:
    found = [library().parts(name, source(name)) for name in SCRIPTS]
    used = {lib.name for parts in found for lib in (*parts[0], *parts[1])}

    assert used == {f"lib/{lib}" for lib in LIBS}


@pytest.mark.parametrize("name", [*SCRIPTS, *(f"lib/{lib}" for lib in LIBS)])
def test_nothing_is_included_by_hand(name: str) -> None:
    """The loader does it: `sed -i '/^-- @include /d'` removes such lines."""
    assert "@include" not in source(name)


@pytest.mark.parametrize("name", [*SCRIPTS, *(f"lib/{lib}" for lib in LIBS)])
def test_nothing_hides_the_main_function_of_a_library(name: str) -> None:
    """A name that a file declares anywhere is taken for its own, and then not included."""
    assert declared(source(name)) & set(LIBS) <= {name.removeprefix("lib/")}


@pytest.mark.parametrize("lib", LIBS)
def test_library_opens_with_its_name_and_what_it_is_for(lib: str) -> None:
    assert source(f"lib/{lib}").startswith(f"-- {lib}: ")


@pytest.mark.parametrize("name", SCRIPTS)
def test_functions_are_included_before_they_are_called(name: str) -> None:
    """Else the script fails at the line that calls one, which may be a rare one."""
    text = script(name).text
    for lib in LIBS:
        for function in re.findall(r"^local function (\w+)", source(f"lib/{lib}"), re.MULTILINE):
            calls = re.search(rf"(?<![\w.:])(?<!function )({function}\(|\({function},)", text)
            made = re.search(rf"local function {function}\(", text)
            assert calls is None or (made is not None and made.start() < calls.start()), function
            if f"rarely().{function}" in text:
                assert made is not None, function


def test_header_names_keys_and_arguments() -> None:
    sections = parse_header("claim", HEADER)

    assert [entry.split()[0] for entry in sections["KEYS"]] == ["meta", "lines..."]
    assert [entry.split()[0] for entry in sections["ARGV"]] == ["now_ms"]
    assert sections["RETURNS"] == ["{'ok'}"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("-- claim: ", "-- claims: "), "expected its first line to begin with '-- claim: '"),
        (("-- COST\n--   O(1)\n", ""), "lacks COST"),
        (("--   meta     hash    what is kept\n--   lines... list    any number\n", ""), "KEYS"),
        (("-- KEYS", "-- DROP"), "lacks KEYS"),
    ],
)
def test_header_with_a_mistake_is_refused(change: tuple[str, str], complaint: str) -> None:
    mistaken = HEADER.replace(*change)

    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_header("claim", mistaken)


def test_sections_have_one_order() -> None:
    lines = HEADER.splitlines(keepends=True)
    swapped = "".join([*lines[:5], *lines[13:], *lines[5:13]])

    with pytest.raises(ValueError, match="in order"):
        parse_header("claim", swapped)


class TestLoading:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """Where the loader looks in place of the package."""
        (tmp_path / "lua" / "lib").mkdir(parents=True)
        monkeypatch.setattr(scripts, "files", lambda _: tmp_path)
        library.cache_clear()
        yield tmp_path / "lua"
        library.cache_clear()

    def test_script_comes_after_what_it_uses_and_comments_stay_here(self, folder: Path) -> None:
        (folder / "lib" / "one.lua").write_text("-- one: 1.\nlocal one = 1\n")
        (folder / "lib" / "two.lua").write_text("-- two: 2.\n\nlocal two = one + 1\n")
        (folder / "lib" / "three.lua").write_text("-- three: 3.\nlocal three = 3\n")
        (folder / "claim.lua").write_text(
            HEADER + "\n  -- why three\nreturn two -- as text: '--'\n"
        )

        found = scripts.script.__wrapped__("claim")

        assert found.text == "local one = 1\nlocal two = one + 1\nreturn two -- as text: '--'\n"
        assert (found.keys, found.args) == (("meta", "lines..."), ("now_ms",))
        assert len(found.sha) == 40

    def test_what_is_needed_rarely_is_made_when_it_is_used(
        self, folder: Path, server: RedisServer
    ) -> None:
        for name, text in {
            "one": "-- one: 1.\nlocal function one() return 1 end\n",
            "two": "-- two: 2.\nlocal function two() return one() + 1 end\n",
            "more": "-- more: 1.\nlocal function more() return rarely().three() + 1 end\n",
            "three": "-- three: 3.\nlocal made = {}\n"
            "local function three() made[#made + 1] = 1; return two() + #made end\n",
        }.items():
            (folder / "lib" / f"{name}.lua").write_text(text)
        (folder / "claim.lua").write_text(HEADER + "return { one(), more(), more() }\n")

        found = scripts.script.__wrapped__("claim")

        assert server.command("EVAL", found.text, 0) == [1, 4, 5]
        assert found.text.index("function two") > found.text.index("function rarely")
        assert found.text.index("function one") < found.text.index("function rarely")

    def test_name_that_is_nowhere_is_refused(self, folder: Path) -> None:
        (folder / "lib" / "one.lua").write_text("-- one: 1.\nlocal function one() nil_of() end\n")
        (folder / "claim.lua").write_text(f"{HEADER}return one()\n")

        with pytest.raises(ValueError, match=r"lua/lib/one\.lua: uses 'nil_of', which neither"):
            scripts.script.__wrapped__("claim")

    def test_rare_name_that_is_nowhere_is_refused(self, folder: Path) -> None:
        (folder / "claim.lua").write_text(f"{HEADER}return rarely().one()\n")

        with pytest.raises(ValueError, match=r"lua/claim\.lua: uses 'one', which neither"):
            scripts.script.__wrapped__("claim")

    def test_script_that_is_not_there_is_refused(self, folder: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"claim\.lua"):
            scripts.script.__wrapped__("claim")

    def test_script_is_read_once(self) -> None:
        assert script(SCRIPTS[0]) is script(SCRIPTS[0])


def test_number_of_keys_and_arguments_is_checked() -> None:
    claim = scripts.Script(
        name="claim", text="", sha="", keys=("meta", "lines..."), args=("now_ms",)
    )

    claim.check(1, 1)
    claim.check(9, 1)
    for keys, args in ((0, 1), (1, 0), (1, 2)):
        with pytest.raises(TypeError, match=r"'claim': expected keys \(meta, lines\.\.\.\)"):
            claim.check(keys, args)
