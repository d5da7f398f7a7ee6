"""Templates: what they become, what they refuse, and that none runs for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from toril.core.codec import Json
from toril.core.errors import InvalidOptionError
from toril.services.mail.templates import MailTemplates
from toril.services.unusable import UnusableInputError

NEEDED: dict[str, dict[str, Json]] = {
    "welcome": {},
    "test": {},
    "security_alert": {"event": "New sign-in"},
    "password_reset": {"url": "https://shop.example.com/reset?t=1&u=2"},
    "export_ready": {"url": "https://shop.example.com/orders.csv"},
    "order_confirmation": {
        "order_id": "1042",
        "product_title": "Brushes",
        "price": "19.99",
        "currency": "EUR",
    },
    "payment_succeeded": {"order_id": "1042", "amount": "19.99", "currency": "EUR"},
    "payment_failed": {"order_id": "1042", "amount": "19.99", "currency": "EUR"},
    "commission_earned": {"commission_amount": "5.00", "currency": "EUR"},
    "file_rejected": {"file_name": "a.zip", "reason": "It contains a virus"},
    "report_ready": {"title": "Daily report", "links": {"PDF": "https://shop.example.com/1.pdf"}},
    "marketing": {
        "title": "Sale",
        "message": "Hi",
        "unsubscribe_url": "https://shop.example.com/u",
    },
    "dead_letter_alert": {"queue": "email", "job_id": "7", "error": "No server"},
}


@pytest.fixture(scope="module")
def templates() -> MailTemplates:
    return MailTemplates(defaults={"brand": "Shop"})


def own(folder: Path, **sources: str) -> MailTemplates:
    for name, source in sources.items():
        (folder / f"{name}.html").write_text(source, "utf-8")
    return MailTemplates(folder)


def test_every_shipped_template_has_a_test(templates: MailTemplates) -> None:
    assert templates.names == sorted(NEEDED)


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_shipped_template_needs_no_more_than_it_says(name: str, templates: MailTemplates) -> None:
    made = templates.render(name, NEEDED[name])

    assert made.subject
    assert "\n" not in made.subject
    assert "<style>" in made.html  # for the dark, and for small screens
    assert 'style="' in made.html  # for programs that ignore style sheets
    assert "prefers-color-scheme" in made.html
    assert "{" not in made.text
    assert "<" not in made.text
    if "url" in NEEDED[name]:
        assert made.text.count(str(NEEDED[name]["url"])) == 1


@pytest.mark.parametrize(
    ("name", "variable"), [(name, each) for name, needed in NEEDED.items() for each in needed]
)
def test_missing_variable_is_named(name: str, variable: str, templates: MailTemplates) -> None:
    given = {each: value for each, value in NEEDED[name].items() if each != variable}
    with pytest.raises(UnusableInputError, match=f"template '{name}': variable '{variable}' is"):
        templates.render(name, given)


def test_unknown_template_is_answered_with_the_nearest_and_the_known(
    templates: MailTemplates,
) -> None:
    with pytest.raises(UnusableInputError) as refused:
        templates.render("welcom")
    assert "did you mean 'welcome'" in str(refused.value)
    assert f"Known are {', '.join(sorted(NEEDED))}" in str(refused.value)
    for name in ("_layout", "../secret", "/etc/passwd", ""):
        with pytest.raises(UnusableInputError, match="unknown"):
            templates.render(name)


def test_values_are_escaped_in_html_and_plain_in_subject_and_text(
    templates: MailTemplates,
) -> None:
    made = templates.render("welcome", {"name": "<b>Jo & Al</b>\r\nBcc: eve@example.com"})

    assert "<b>Jo" not in made.html
    assert "&lt;b&gt;Jo &amp; Al" in made.html
    assert made.subject == "Welcome to Shop, <b>Jo & Al</b> Bcc: eve@example.com"
    assert "<b>Jo & Al</b>" in made.text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "x", "https://a b"])
def test_link_that_would_run_in_a_browser_is_refused(url: str, templates: MailTemplates) -> None:
    with pytest.raises(UnusableInputError, match="link"):
        templates.render("password_reset", {"url": url})


def test_own_folder_adds_templates_and_goes_before_the_shipped_ones(tmp_path: Path) -> None:
    templates = own(
        tmp_path,
        welcome="<p>Mine, {{ name|default('you') }}</p>",
        order='{% extends "_layout.html" %}{% block subject %}Order {{ order.id }}{% endblock %}'
        "{% block content %}<h1>Thanks</h1>{% for item in order['lines'] %}<p>{{ item }}</p>"
        "{% endfor %}{% endblock %}",
    )

    assert templates.names == sorted([*NEEDED, "order"])
    assert templates.render("welcome").subject is None
    assert templates.render("welcome").text == "Mine, you\n"
    made = templates.render("order", {"order": {"id": 7, "lines": ["a", "b"]}})
    assert made.subject == "Order 7"
    assert made.text == "Thanks\n\na\n\nb\n"
    with pytest.raises(UnusableInputError, match=r"'id'"):
        templates.render("order", {"order": {"lines": []}})


@pytest.mark.parametrize("source", [
    "{{ ''.__class__.__mro__ }}",
    "{{ names.append(1) }}",
    "{{ names.__init__.__globals__ }}",
])  # fmt: skip
def test_template_has_no_way_to_python(source: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableInputError, match="template 'bad'"):
        own(tmp_path, bad=source).render("bad", {"names": ["a"]})


@pytest.mark.parametrize("source", [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% set big = 'x' * 1000000000 %}{{ big }}",
    "{% set big = n ** n %}{{ big }}",
    "{% for a in range(9000) %}{{ 'x' * 900 }}{% endfor %}",
])  # fmt: skip
def test_template_that_would_run_for_ever_is_ended(source: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableInputError, match="template 'bad': it"):
        own(tmp_path, bad=source).render("bad", {"n": 10**9})


@pytest.mark.parametrize(("source", "said"), [
    ("{% if %}", "it does not work"),
    ("{{ 1 / 0 }}", "it does not fit its variables"),
    ("{{ name + 1 }}", "it does not fit its variables"),
    ("{% include 'nobody.html' %}", "it does not work"),
])  # fmt: skip
def test_template_that_does_not_work_is_a_sentence(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableInputError, match=said):
        own(tmp_path, bad=source).render("bad", {"name": "Jo"})


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="folder="):
        MailTemplates(tmp_path / "nothing")


def test_marketing_mail_keeps_paragraphs_and_shows_the_way_out_once(
    templates: MailTemplates,
) -> None:
    given = {**NEEDED["marketing"], "message": "<One>\n\nTwo"}
    made = templates.render("marketing", given)

    assert "\n<One>\n\nTwo\n" in made.text
    assert made.html.count("https://shop.example.com/u") == 1


def test_long_error_of_a_dead_letter_is_one_short_line_of_the_subject(
    templates: MailTemplates,
) -> None:
    given = {**NEEDED["dead_letter_alert"], "error": "No server\n" * 40}
    made = templates.render("dead_letter_alert", given)

    assert made.subject is not None
    assert made.subject.startswith("Dead letter in email: No server No server")
    assert len(made.subject) < 110
