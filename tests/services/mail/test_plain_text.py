"""Plain text of HTML."""

from __future__ import annotations

import pytest

from toril.services.mail.plain_text import text_of_html


@pytest.mark.parametrize(("html", "text"), [
    ("<p>One</p><p>Two &amp; three</p>", "One\n\nTwo & three\n"),
    ("<h1>Head</h1>a<br>b", "Head\n\na\nb\n"),
    ("<p>See <a href='https://a.example/x'>this</a>.</p>", "See this (https://a.example/x).\n"),
    ("<p><a href='https://a.example'>Go</a></p>", "Go: https://a.example\n"),
    ("<a href='https://a.example'>https://a.example</a>", "https://a.example\n"),
    ("<a href='mailto:jo@example.com'>jo@example.com</a>", "jo@example.com\n"),
    ("<a href='#top'>up</a>", "up\n"),
    ("<ul><li>a</li><li>b</li></ul><ol><li>c<li>d</ol>", "- a\n- b\n\n1. c\n2. d\n"),
    ("<table><tr><th>Name</th><td>Jo</td></tr><tr><th>Age</th><td>9</td></tr></table>",
     "Name  Jo\nAge  9\n"),
    ("<head><title>t</title><style>x</style></head><body>a<script>b</script></body>", "a\n"),
    ("<div style='display: none'>no</div><p hidden>no</p><p class='not-in-text'>no</p>yes",
     "yes\n"),
    ("<img alt='Logo' src='x'> a", "Logo a\n"),
    ("<pre>a\n  b</pre>", "a\n  b\n"),
    ("<p>a   \n b</p>", "a b\n"),
    ("plain < text", "plain < text\n"),
    ("", "\n"),
    ("</p></ul></a><p>a", "a\n"),
    ("a\x00b", "ab\n"),
])  # fmt: skip
def test_text_is_what_a_reader_sees(html: str, text: str) -> None:
    assert text_of_html(html) == text


def test_long_lines_are_wrapped_and_addresses_stay_whole() -> None:
    address = "https://a.example/" + "x" * 200
    text = text_of_html(f"<p>{'word ' * 40}</p><ul><li>{'word ' * 20}</li></ul><p>{address}</p>")

    assert address in text.splitlines()
    assert all(len(line) <= 76 for line in text.splitlines() if line != address)
    assert "\n  word" in text  # under its bullet
