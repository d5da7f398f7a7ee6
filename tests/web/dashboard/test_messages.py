"""Every text of every page has a German translation, which holds what the text holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.web.dashboard.support import Site

from toril import App
from toril.web.access.port import Role
from toril.web.dashboard.messages import LOCALE, catalogue, chosen, read_po
from toril.web.dashboard.page import pages as all_pages
from toril.web.dashboard.rendering import TEMPLATES, environment
from toril.web.dashboard.words import Words

ROOM = TEMPLATES.parent
PLACE = re.compile(r"%\((\w+)\)s|%%")


def in_templates() -> dict[str, str]:
    """Return the texts of all templates, each with the file that has it."""
    found: dict[str, str] = {}
    for path in sorted(TEMPLATES.glob("*.html")):
        for _, _, text in environment("en").extract_translations(path.read_text("utf-8")):  # type: ignore[attr-defined]  # the extension adds it
            for one in text if isinstance(text, tuple) else (text,):
                if one:
                    found.setdefault(one, path.name)
                    break
    return found


def in_code() -> dict[str, str]:
    """Return the texts that code marks or translates, each with the file that has it."""
    found: dict[str, str] = {}
    for path in sorted(ROOM.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if isinstance(node.func, ast.Attribute):
                name = node.func.attr
            first = node.args[0]
            if name in ("N_", "t", "n", "gettext", "ngettext") and isinstance(first, ast.Constant):
                found.setdefault(str(first.value), path.name)
    return found


def test_every_text_has_a_translation() -> None:
    texts = {**in_templates(), **in_code(), **{str(role): "Role" for role in Role}}
    german = catalogue("de").texts

    assert len(texts) > 200
    assert {text: place for text, place in texts.items() if text not in german} == {}
    assert [text for text in texts if not all(german[text])] == []


def test_no_translation_is_of_a_text_that_is_gone() -> None:
    texts = {*in_templates(), *in_code(), *map(str, Role)}
    for path in sorted((LOCALE / "de").glob("*.po")):
        gone = set(read_po(path.read_text("utf-8"))) - texts
        assert gone == set(), path.name


def test_translations_hold_what_their_texts_hold() -> None:
    for text, translated in catalogue("de").texts.items():
        # A text of one and many may leave the number out where it is one.
        free = {"num"} if len(translated) > 1 else set()
        for one in translated:
            assert set(PLACE.findall(one)) | free == set(PLACE.findall(text)) | free, text
            one % dict.fromkeys({*PLACE.findall(text), *free}, "x")


def test_no_text_is_translated_twice() -> None:
    seen: dict[str, Path] = {}
    for path in sorted((LOCALE / "de").glob("*.po")):
        for text, translated in read_po(path.read_text("utf-8")).items():
            if text in seen:
                assert catalogue("de").texts[text] == translated, (text, path.name, seen[text].name)
            seen[text] = path


def test_words_are_in_both_languages() -> None:
    english, german = Words("en"), Words("de")
    for group in ("states", "health", "workers", "operations", "grades", "actions"):
        ours, theirs = getattr(english, group), getattr(german, group)
        assert set(ours) == set(theirs)
        assert all(ours[name].label != theirs[name].label for name in ours)


@pytest.mark.parametrize("language", ["en", "de"])
async def test_pages_are_whole_in_each_language(app: App, pages: Site, language: str) -> None:
    await app.queue("mail", existing=True).add("send", {"to": "jo"})
    for page in all_pages():
        if set(re.findall(r"\{(\w+)\}", page.path)) - {"queue"}:
            continue
        path = page.path.replace("{queue}", "mail")
        found = await pages.read(path, headers={"accept-language": language})
        assert found.all("html", lang=language)
        assert "%(" not in found.text, page.name


def test_unknown_language_is_english() -> None:
    assert catalogue("xx").gettext("Queues") == "Queues"
    assert chosen("xx", "de") == "de"
    assert chosen("en", "de") == "en"
    assert catalogue("de").ngettext("%(num)s job", "%(num)s jobs", 1) == "%(num)s Job"
    assert catalogue("de").ngettext("not there", "nots there", 2) == "nots there"
