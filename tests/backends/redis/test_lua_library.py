"""Which files of the library a script includes: found by the names that it uses."""

from __future__ import annotations

import pytest

from toril.backends.redis.lua_library import Library, declared


def included(source: str, **libs: str) -> tuple[list[str], list[str]]:
    """Return the files that a script includes: for every call, and for rare ones."""
    often, seldom = Library(libs).parts("claim", source)
    return (
        [part.name.removeprefix("lib/") for part in often],
        [part.name.removeprefix("lib/") for part in seldom],
    )


def test_each_is_included_once_after_what_it_uses() -> None:
    libs = {
        "top": "local function top() return left() + right() end",
        "left": "local function left() return low() end",
        "right": "local function right() return low() end",
        "low": "local function low() return 1 end",
        "other": "local function other() end",
    }

    assert included("return top()", **libs) == (["low", "left", "right", "top"], [])


def test_name_is_found_without_a_call_too() -> None:
    assert included("return pcall(one, 2)", one="local function one() end") == (["one"], [])


def test_constant_of_another_file_is_found() -> None:
    assert included("return FAR_MS", far="local NEAR_MS, FAR_MS = 1, 2") == (["far"], [])


@pytest.mark.parametrize(
    "source",
    [
        "return 'one()'",
        'return "one()"',
        "return 1 -- one()",
        "return redis.one",
        "return cjson:one()",
        "return { one = 1 }",
        "local one = 1 return one",
        "local function f(one, two) return one end return f",
        "for one, two in pairs({}) do redis.call(one, two) end",
        "for one = 1, 2 do redis.call(one) end",
        "local function one() end one()",
        "local f = function(one) return one end return f",
    ],
)
def test_what_only_looks_like_the_name_includes_nothing(source: str) -> None:
    assert included(source, one="local function one() end") == ([], [])


@pytest.mark.parametrize(
    "source",
    [
        "return KEYS[1] .. one()",
        "return KEYS[1]..one()",
        "if 1 == one() then return 2 end",
        "return { two = one() }",
        "return { one() == 1 }",
        "local two = one",
        "return one == 1",
    ],
)
def test_use_is_found(source: str) -> None:
    assert included(source, one="local function one() end") == (["one"], [])


def test_what_only_rare_calls_use_is_made_for_them() -> None:
    libs = {
        "always": "local function always() return rarely().seldom() end",
        "seldom": "local function seldom() return helper() + always_too() end",
        "helper": "local function helper() return rarely().deeper() end",
        "deeper": "local function deeper() return 1 end",
        "always_too": "local function always_too() return 1 end",
    }

    often, seldom = included("return always() + always_too()", **libs)

    assert often == ["always", "always_too"]
    assert seldom == ["helper", "seldom", "deeper"]


def test_circle_is_refused() -> None:
    libs = {
        "one": "local function one() return two() end",
        "two": "local function two() return three() end",
        "three": "local function three() return two() end",
    }

    with pytest.raises(ValueError, match=r"in a circle: lib/two -> lib/three -> lib/two"):
        included("return one()", **libs)


def test_function_may_use_itself() -> None:
    assert included("return one()", one="local function one() return one() end") == (["one"], [])


def test_name_that_two_files_make_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lib/one\.lua and lua/lib/two\.lua: both make 'same'"):
        Library({"one": "local function same() end", "two": "local same = 1"})


def test_all_that_a_file_declares_is_found() -> None:
    source = """
    local first, second = 1, 2
    local function third(fourth, ...)
      for fifth, sixth in pairs({}) do local seventh end
    end
    local eighth = function(ninth) for tenth = 1, 2 do end end -- local eleventh
    """

    assert declared(source) == {
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
        "tenth",
    }  # fmt: skip
