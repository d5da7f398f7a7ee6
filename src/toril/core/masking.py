"""Replaces secrets by `***`, by the names of their fields, before a value is shown or recorded.

It hides what rules and well-known forms tell of. A secret in a field with a harmless name is not
recognized, unless a function of the caller's knows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from toril.core.checks import require
from toril.core.loggers import logger
from toril.core.reading import RawText
from toril.core.wildcards import matches

log = logger("toril.masking")

MASK = "***"
SECRET_FIELDS = (
    "*password*", "*passwd*", "*passphrase*", "pwd", "*secret*", "*token", "tokens",
    "*apikey*", "*accesskey*", "*privatekey*", "*signingkey*", "*encryptionkey*", "authorization",
    "proxyauthorization", "cookie", "cookies", "setcookie", "*credential*", "sessionid", "otp",
    "pin", "cvc", "cvv", "cardnumber", "*connectionstring*", "dsn",
)  # fmt: skip
"""Fields that are hidden whatever else is."""
LEAST_CHARS = 6
"""Shorter secrets are not looked for in other texts: they may be a part of any word."""

MAX_SECRETS = 100
"""How many hidden values of a payload are looked for in texts, the longest first."""

# All of these take time in proportion to a text's length: anybody who can add jobs may write it.
_OWN_KEY = re.compile(r"toril_[A-Za-z0-9_-]{20,}")
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_URL = re.compile(r"\b([A-Za-z][\w+.-]{0,20}://[^\s:@/'\"<>]{0,100}):[^\s'\"<>]{1,300}@")
_HEADER = re.compile(
    r"\b((?:proxy-?)?authorization|(?:set-?)?cookie)(\\{0,4}[\"']?\s{0,4}[:=]\s{0,4}\\{0,4}[\"']?)"
    r"[^\r\n\"'\\]{1,8000}",
    re.IGNORECASE,
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_PEM = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
    r"(?:(?!-----BEGIN ).){0,20000}?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_NAME = re.compile(
    r"(?<![\w.-])(?P<name>[A-Za-z_][\w.-]{0,80})\\{0,4}[\"']?[ \t]{0,4}(?:=>|[:=])\s{0,4}"
)
"""A name before its value in a text: `password=`, `"password": `."""
_VALUE = re.compile(
    r"(\\{0,4}[\"'])?(?:(?<=\")(?:\\[\s\S]|[^\"\\])*\"?|(?<=')(?:\\[\s\S]|[^'\\])*'?"
    r"|(?<![\"'])[^\s,;&)}\]]+)"
)
"""What follows, in quotes up to the same quote."""


class Spot(NamedTuple):
    """A place in what a job carries."""

    queue: str | None
    task: str | None
    """The name of the job."""
    path: tuple[str, ...]
    """Names of fields from the top; the places in lists are left out."""
    value: Any


class Masker:
    """What is hidden, by rules. It may be used by several threads."""

    def __init__(
        self,
        fields: Iterable[str] = (),
        *,
        hide: Callable[[Spot], bool] | None = None,
        defaults: bool = True,
    ) -> None:
        """Make a masker.

        Parameters:
            fields: Names of fields, such as `iban` or `*number`, at any depth; or ends of paths,
                such as `card.number`. `*` stands for any characters of one name. Capital letters,
                `_` and `-` make no difference.
            hide: Asked of each field that no rule hides; True hides it. One that raises hides it.
            defaults: Hide `SECRET_FIELDS`, too.

        Raises:
            InvalidOptionError: A rule is empty or has an empty part.
        """
        rules = [*fields, *(SECRET_FIELDS if defaults else ())]
        for rule in rules:
            good = isinstance(rule, str) and all(map(_plain, rule.split(".")))
            require(good, "fields", rule, "names of fields such as 'iban' or 'card.number'")
        self.fields = tuple(rules)
        self._hide = hide
        self._rules = [tuple(map(_plain, rule.split("."))) for rule in rules]
        self._candidates = lru_cache(maxsize=2048)(self._find_candidates)

    def hides(self, path: tuple[str, ...]) -> bool:
        """Whether a rule hides a field, or one that it is a part of.

        Who may not see a field may not search for its value either.
        """
        return any(self._named(path[: end + 1]) for end in range(len(path)))

    def value(
        self,
        value: Any,
        *,
        queue: str | None = None,
        task: str | None = None,
        secrets: set[str] | None = None,
        known: Iterable[str] = (),
    ) -> Any:
        """Return a JSON value with its secrets replaced. The given one is left as it is.

        Parameters:
            value: What a job carries, decoded.
            queue: Where the job is.
            task: The name of the job.
            secrets: Filled with what was hidden, to hide it in texts as well: see `text`.
            known: Values that were hidden elsewhere: they are hidden here within any text.
        """
        looked_for = _as_written(known)
        top: list[Any] = [None]
        todo: list[tuple[Any, Any, Any, tuple[str, ...]]] = [(top, 0, value, ())]
        while todo:  # no recursion: a payload may be nested deeper than Python's stack allows
            into, place, one, path = todo.pop()
            if isinstance(one, dict):
                made: dict[str, Any] = {}
                into[place] = made
                for name, inner in one.items():
                    within = (*path, str(name))
                    made[name] = None  # keeps the order
                    if inner is not None and self._is_hidden(Spot(queue, task, within, inner)):
                        made[name] = MASK
                        if secrets is not None:
                            secrets.update(_texts_in(inner))
                    else:
                        todo.append((made, name, inner, within))
            elif isinstance(one, list | tuple):
                items: list[Any] = [None] * len(one)
                into[place] = items
                todo += [(items, index, inner, path) for index, inner in enumerate(one)]
            elif isinstance(one, RawText):
                into[place] = RawText(self.text(one.raw))
            elif isinstance(one, str):
                into[place] = _known_forms(_without(one, looked_for))
            else:
                into[place] = one
        return top[0]

    def text(self, text: str, secrets: Iterable[str] = ()) -> str:
        """Return an error, a stack trace or a line of a log with its secrets replaced.

        Parameters:
            text: The text.
            secrets: Values that were hidden elsewhere: what the job's payload hides.
        """
        text = _without(text, _as_written(secrets))
        return self._without_pairs(_HEADER.sub(rf"\1\2{MASK}", _known_forms(text)))

    def _without_pairs(self, text: str) -> str:
        """Replace the values behind names of fields that are hidden."""
        parts, done = [], 0
        for name in _NAME.finditer(text):
            if name.start() < done or not self._named(tuple(name["name"].split("."))):
                continue
            value = _VALUE.match(text, name.end())
            if value is not None and value[0]:
                quotes = value[1] or ""
                parts.append(f"{text[done : name.end()]}{quotes}{MASK}{quotes}")
                done = value.end()
        return "".join((*parts, text[done:]))

    def _is_hidden(self, spot: Spot) -> bool:
        if self._named(spot.path):
            return True
        if self._hide is None:
            return False
        try:
            return bool(self._hide(spot))
        except Exception:  # a customer's function; what it does not know is not shown
            log.exception("the function that says what to hide raised")
            return True

    def _named(self, path: tuple[str, ...]) -> bool:
        """Whether a rule fits the end of a path."""
        if not path:
            return False
        for rule in self._candidates(path[-1]):
            if len(rule) == 1:
                return True
            if len(rule) <= len(path):
                ends = map(_plain, path[-len(rule) : -1])
                if all(map(matches, rule, ends)):
                    return True
        return False

    def _find_candidates(self, name: str) -> list[tuple[str, ...]]:
        plain = _plain(name)
        return [rule for rule in self._rules if matches(rule[-1], plain)]


def _plain(name: str) -> str:
    """Return a name as rules compare it: `apiKey`, `API-KEY` and `api_key` are one."""
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


def _as_written(secrets: Iterable[str]) -> list[str]:
    """Return secrets as they may stand in a text, the longest first."""
    some = sorted({one for one in secrets if len(one) >= LEAST_CHARS}, key=lambda one: -len(one))
    return [written for one in some[:MAX_SECRETS] for written in {one, repr(one)[1:-1]}]


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _known_forms(text: str) -> str:
    """Return a text without what is a secret by its form, whatever field it is in."""
    if "toril_" in text:
        text = _OWN_KEY.sub(MASK, text)
    if "-----BEGIN" in text:
        text = _PEM.sub(MASK, text)
    if "eyJ" in text:
        text = _JWT.sub(MASK, text)
    if _SCHEME.search(text):
        text = _SCHEME.sub(rf"\1 {MASK}", text)
    if "://" in text:
        text = _URL.sub(rf"\1:{MASK}@", text)
    return text


def _texts_in(value: Any) -> set[str]:
    """Return all texts and numbers in a value, as they may appear in a message."""
    found: set[str] = set()
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list | tuple):
            todo += one
        elif isinstance(one, RawText):
            found.add(one.raw)
        elif isinstance(one, str):
            found.add(one)
        elif isinstance(one, int | float) and not isinstance(one, bool):
            found.add(str(one))
    return found
