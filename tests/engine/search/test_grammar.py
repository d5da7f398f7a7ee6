"""The text of a search: what is read, what is printed, and what is refused in which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.core.errors import QueryError
from toril.engine.search.fields import FIELDS, SINGLE
from toril.engine.search.grammar import parse
from toril.engine.search.query import Pattern, Query, Term
from toril.engine.states import State


def one(text: str) -> Term:
    """Return the only term of a search."""
    ((term,),) = parse(text).alternatives
    return term


def test_reads_the_words_of_the_manual() -> None:
    query = parse(
        "state:failed name:receipt data.to:*@example.com error~timeout attempts>2 since:1h -queue:x"
    )

    assert query == Query(
        (
            (
                Term("state", ":", (Pattern(("failed",)),)),
                Term("name", ":", (Pattern(("receipt",)),)),
                Term("data", ":", (Pattern(("", "@example.com")),), ("to",)),
                Term("error", "~", (Pattern(("timeout",)),)),
                Term("attempts", ">", (Pattern(("2",)),)),
                Term("since", ":", (Pattern(("1h",)),)),
                Term("queue", ":", (Pattern(("x",)),), negated=True),
            ),
        )
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("name:a,b", [("a",), ("b",)]),
        ('name:"a,b"', [("a,b",)]),
        ('name:"a*b"', [("a*b",)]),
        ("name:a*b*", [("a", "b", "")]),
        ('name:x" y"*', [("x y", "")]),
        ('name:""', [("",)]),
        ("name:*", [("", "")]),
        ('name:"say \\"hi\\" \\\\"', [('say "hi" \\',)]),
        ("name:a:b~c", [("a:b~c",)]),
        ("name:größe", [("größe",)]),
    ],
)
def test_reads_values(text: str, values: list[tuple[str, ...]]) -> None:
    assert one(text).values == tuple(Pattern(value) for value in values)


def test_reads_paths_with_names_that_need_quotes() -> None:
    assert one('data.items.0."unit price">=5').path == ("items", "0", "unit price")


def test_reads_text_alone_and_alternatives() -> None:
    first, second = parse('4711 -"no such" OR foo.bar').alternatives

    assert [str(term) for term in first] == ["4711", '-"no such"']
    assert second == (Term("text", "~", (Pattern(("foo.bar",)),)),)
    assert parse("   ").alternatives == ((),)


@pytest.mark.parametrize(
    ("text", "position", "word", "says"),
    [
        ("state:done", 7, "done", "expected one of wait, prioritized"),
        ("a stat:failed", 3, "stat:failed", "did you mean state?"),
        ("http://x", 1, "http://x", 'As text: "http://x"'),
        ("attempts>many", 10, "many", "expected a number"),
        ("attempts~2", 1, "attempts~2", "attempts is asked with : >= <= > <"),
        ("attempts:1*", 10, "1*", "* stands for text"),
        ("since:yesterday", 7, "yesterday", "expected a duration back from now"),
        ("since:1h,2h", 9, ",2h", "takes one value"),
        ("data>5", 1, "data>5", "below it, as in data.x>"),
        ("name.x:1", 1, "name.x:1", "data, opts and result have"),
        ("name:", 1, "name:", 'name:""'),
        ('name:"open', 6, '"open', "the quote has no end"),
        ("(a OR b)", 1, "(a", "parentheses do not group"),
        ("a AND b", 3, "AND", "leave it out"),
        ("NOT b", 1, "NOT", "put - before"),
        ("OR b", 1, "OR", "OR stands between"),
        ("a OR", 3, "OR", "OR stands between"),
        ("a -", 3, "-", "what must not hold?"),
        ("name:" + "*a" * 9, 6, "*a" * 9, "at most 8 times *"),
        ("a " * 51, 101, "a", "at most 50 words"),
        ("a OR " * 9 + "a", 38, "OR", "at most 8 alternatives"),
        ("x" * 2001, 2001, "", "at most 2,000"),
        ("size:10XB", 6, "10XB", "expected a size"),
    ],
)
def test_refuses_with_place_word_and_way_out(
    text: str, position: int, word: str, says: str
) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)

    assert (caught.value.position, caught.value.word) == (position, word)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
PATTERNS = st.lists(TEXT, min_size=1, max_size=4).map(lambda parts: Pattern(tuple(parts)))
EXACT = TEXT.map(lambda text: Pattern((text,)))
GOOD = {
    "state": st.sampled_from([str(state) for state in State]),
    "size": st.sampled_from(["10kB", "0", "1.5MB"]),
    "since": st.sampled_from(["1h", "2026-11-28", "2026-11-28T20:00:00Z"]),
}


@st.composite
def terms(draw: st.DrawFn) -> Term:
    """Any term that may be asked."""
    name = draw(st.sampled_from(list(FIELDS)))
    field = FIELDS[name]
    negated = draw(st.booleans())
    path = tuple(draw(st.lists(TEXT, max_size=3))) if field.has_path else ()
    allowed = field.operators if path or not field.has_path else (":", "~")
    operator = draw(st.sampled_from(allowed))
    if field.check is not None:
        good = GOOD.get("since" if name in SINGLE else name, st.sampled_from(["3", "12", "0"]))
        values = [Pattern((draw(good),))]
    elif operator in (":", "~"):
        most = 3 if operator == ":" else 1
        values = draw(st.lists(PATTERNS, min_size=1, max_size=most))
    else:
        values = [draw(EXACT)]
    if name == "text":
        path = ()
        values = values[:1]
        if values[0].parts == ("",):
            values = [Pattern(("x",))]
    return Term(name, operator, tuple(values), path, negated)


@given(st.lists(st.lists(terms(), min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_is_printed_is_read_back(alternatives: list[list[Term]]) -> None:
    query = Query(tuple(map(tuple, alternatives)))

    text = str(query)

    if len(text) <= 2000:
        assert parse(text) == query


@given(
    st.text(st.characters(codec="utf-8"), max_size=60)
    | st.text('abst:~<>-"*, .()OR1h\\', max_size=40)
)
def test_any_text_is_read_or_refused_clearly(text: str) -> None:
    query, error = read(text)

    if error is None:
        assert query is not None
        assert parse(str(query)) == query
    else:
        assert 1 <= error.position <= len(text) + 1
        assert error.word in text
        assert "the search" in str(error)


def read(text: str) -> tuple[Query | None, QueryError | None]:
    """Return what a text asks for, or why it cannot be read."""
    try:
        return parse(text), None
    except QueryError as error:
        return None, error
