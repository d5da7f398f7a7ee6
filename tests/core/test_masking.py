"""What is hidden before a value, an error or a line of a log is shown."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril import InvalidOptionError, Masker, RawText, Spot
from toril.core.masking import MASK

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "user_password", "passwordHash", "pwd", "secret", "client_secret",
        "clientSecret", "token", "access_token", "accessToken", "X-Auth-Token", "api_key", "apiKey",
        "API-KEY", "Authorization", "proxy-authorization", "Cookie", "Set-Cookie", "private_key",
        "aws_secret_access_key", "credentials", "session_id", "cvv", "card number", "dsn",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["x", 7, True, ["a"], {"b": "c"}, ""])
def test_known_names_are_hidden_whatever_they_hold(name: str, value: Any) -> None:
    masker = Masker()

    assert masker.value({name: value, "to": "jo"}) == {name: MASK, "to": "jo"}
    assert masker.value([{"a": [{name: value}]}]) == [{"a": [{name: MASK}]}]


@pytest.mark.parametrize(
    "name",
    ["to", "author", "tokenizer", "max_tokens", "keyboard", "pinned", "passenger", "dsns", "key"],
)
def test_harmless_names_are_shown(name: str) -> None:
    assert Masker().value({name: "x"}) == {name: "x"}


def test_nothing_is_not_hidden() -> None:
    """That a password is missing is often the reason why a job failed."""
    assert Masker().value({"password": None}) == {"password": None}


def test_given_value_is_left_as_it_is() -> None:
    given = {"password": "x", "list": [{"token": "y"}]}

    Masker().value(given)

    assert given == {"password": "x", "list": [{"token": "y"}]}


@pytest.mark.parametrize(
    ("rule", "path", "hidden"),
    [
        ("iban", ("iban",), True),
        ("iban", ("customer", "iban"), True),
        ("iban", ("iban2",), False),
        ("*number", ("card_number",), True),
        ("card.number", ("card", "number"), True),
        ("card.number", ("order", "card", "number"), True),
        ("card.number", ("number",), False),
        ("card.number", ("phone", "number"), False),
        ("card.*", ("card", "anything"), True),
        ("customer.*.iban", ("customer", "bank", "iban"), True),
        ("customer.*.iban", ("customer", "iban"), False),
        ("Card_Number", ("cardNumber",), True),
    ],
)
def test_rules_of_names_and_paths(rule: str, path: tuple[str, ...], hidden: bool) -> None:
    masker = Masker([rule])
    value: Any = "4111111111111111"
    for name in reversed(path):
        value = [{name: value}]

    assert masker.hides(path) == hidden
    assert (MASK in repr(masker.value(value))) == hidden


def test_part_of_what_is_hidden_is_hidden_too() -> None:
    """Else somebody could search for what nobody may see."""
    assert Masker().hides(("credentials", "user"))
    assert not Masker().hides(("user", "name"))
    assert not Masker().hides(())


@pytest.mark.parametrize("rule", ["", ".", "a.", "_", "a..b"])
def test_empty_rule_is_refused(rule: str) -> None:
    with pytest.raises(InvalidOptionError, match="fields="):
        Masker([rule])


def test_function_hides_what_no_rule_knows() -> None:
    seen: list[Spot] = []

    def hide(spot: Spot) -> bool:
        seen.append(spot)
        return spot.queue == "billing" and spot.path == ("order", "note")

    masker = Masker(hide=hide)
    value = {"order": {"note": "vip"}, "password": "x"}

    assert masker.value(value, queue="billing", task="charge")["order"] == {"note": MASK}
    assert masker.value(value, queue="mail")["order"] == {"note": "vip"}
    assert seen[0] == Spot("billing", "charge", ("order",), {"note": "vip"})
    assert not any(spot.path == ("password",) for spot in seen), "a rule hides it already"


def test_function_that_raises_hides(caplog: pytest.LogCaptureFixture) -> None:
    masker = Masker(hide=lambda spot: 1 / 0 > 1)

    assert masker.value({"a": "b"}) == {"a": MASK}
    assert "what to hide raised" in caplog.text


def test_own_rules_may_replace_the_defaults() -> None:
    masker = Masker(["iban"], defaults=False)

    assert masker.value({"password": "x", "iban": "y"}) == {"password": "x", "iban": MASK}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("toril_" + "a" * 43, MASK),
        (f"see {JWT}.", f"see {MASK}."),
        (f"a {PEM} b", f"a {MASK} b"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", MASK),
        ("Bearer abcdefgh12", f"Bearer {MASK}"),
        ("postgres://jo:p/w@db:5432/x", f"postgres://jo:{MASK}@db:5432/x"),
        ("redis://:p@ss@h", f"redis://:{MASK}@h"),
        ("http://h/?a=b@c", "http://h/?a=b@c"),
        ("jo@example.com", "jo@example.com"),
    ],
)
def test_known_forms_are_hidden_in_any_field(text: str, shown: str) -> None:
    assert Masker().value({"note": text}) == {"note": shown}
    assert Masker().text(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("login failed: password=hunter2 for jo", "login failed: password=*** for jo"),
        ("{'password': 'hun\\'ter', 'a': 1}", "{'password': '***', 'a': 1}"),
        ('{"api_key": "it\'s x", "to": "me"}', '{"api_key": "***", "to": "me"}'),
        ("Authorization: Digest a, b=c\nnext", "Authorization: ***\nnext"),
        ("Cookie: a=b; c=d\nnext", "Cookie: ***\nnext"),
        ("GET /?a=1&token=abc&b=2", "GET /?a=1&token=***&b=2"),
        ("client_secret => xyz, to => jo", "client_secret => ***, to => jo"),
        ("token='never ends, ever", "token='***'"),
        ("KeyError: 'password'", "KeyError: 'password'"),
        ("password:", "password:"),
        ("the password is wrong", "the password is wrong"),
        ("", ""),
    ],
)
def test_values_behind_known_names_are_hidden_in_texts(text: str, shown: str) -> None:
    assert Masker().text(text) == shown


def test_json_within_a_text_is_hidden_at_least() -> None:
    assert "abc" not in Masker().text('{\\"password\\": \\"abc\\", \\"to\\": \\"jo\\"}')


def test_what_a_payload_hides_is_hidden_in_its_errors_too() -> None:
    masker, secrets = Masker(["iban"]), set[str]()
    masker.value(
        {"iban": "DE02 1203", "password": {"old": "swordfish", "new": ["it's\nx"]}, "pin": 123456},
        secrets=secrets,
    )

    shown = masker.text('no account DE02 1203 of swordfish, 123456 or "it\'s\\nx"', secrets)

    assert shown == 'no account *** of ***, *** or "***"'


def test_short_secrets_are_not_looked_for_in_texts() -> None:
    """`no` would be hidden in every sentence."""
    masker, secrets = Masker(), set[str]()
    masker.value({"password": "no"}, secrets=secrets)

    assert masker.text("no route to host", secrets) == "no route to host"


def test_text_that_is_no_json_is_hidden_as_text() -> None:
    shown = Masker().value(RawText('{"password": "hunter2", '))

    assert shown == RawText('{"password": "***", ')


def test_value_nested_deeper_than_the_stack_is_hidden() -> None:
    value: Any = {"password": "x"}
    for _ in range(20_000):
        value = [value]

    shown = Masker().value(value)

    for _ in range(20_000):
        (shown,) = shown
    assert shown == {"password": MASK}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(json_values)
def test_shape_stays_and_no_marked_value_is_left(value: Any) -> None:
    masker = Masker(["x"], hide=lambda spot: isinstance(spot.value, bool), defaults=False)

    shown = masker.value({"x": {"deep": "needle-needle"}, "rest": value})

    assert list(shown) == ["x", "rest"]
    assert "needle-needle" not in repr(shown)
    assert type(shown["rest"]) in (type(value), str)


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    assert isinstance(Masker().text(text, {text}), str)


@pytest.mark.parametrize(
    "unit",
    [
        "a", "password=", "x: ", '"', "\\", "-----BEGIN PRIVATE KEY-----", "redis:", "Bearer ",
        "a:", "a://", "a://b:", "://x:y", "x='", "cookie: ", "eyJaaaaaaaaa.a", "a.", "a-",
        "password=\\",
    ],
)  # fmt: skip
def test_hostile_text_takes_no_time_that_grows_without_bounds(unit: str) -> None:
    """Anybody who can add jobs writes them; one expression took five minutes for 270 KB."""
    text = unit * (200_000 // len(unit)) + "@"
    begin = time.process_time()

    Masker().text(text)

    assert time.process_time() - begin < 5
