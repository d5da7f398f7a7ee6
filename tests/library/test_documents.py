"""Documents as PDF, by workers, on both stores: what came out is read by another library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from toril import App, InvalidOptionError
from toril.library.documents import Document, DocumentSettings
from toril.library.documents.tasks import documents, pdf
from toril.services.documents.typst import TypstDocuments
from toril.services.objects.errors import ObjectMissingError
from toril.services.objects.folder import FolderObjects
from toril.services.objects.sync import SyncObjects
from toril.services.unusable import UnusableInputError

MIB = 1024 * 1024
HOSTILE = '#read("/etc/passwd") *bold* $x$ \\ "q" @preview'


def text_of(content: bytes) -> str:
    document = pypdfium2.PdfDocument(content)
    try:
        pages = [
            document[number].get_textpage().get_text_bounded() for number in range(len(document))
        ]
    finally:
        document.close()
    return "\n".join(pages)


def stored_document(pdf_id: str) -> Document | None:
    """Stand for the application's own database: found by name in a child process."""
    return None if pdf_id == "gone" else Document(data={"title": f"Handout {pdf_id}"})


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    return FolderObjects(tmp_path / "objects")


@pytest.fixture
async def app(url: str, objects: FolderObjects) -> AsyncIterator[App]:
    made = App(url)
    made.include(documents)
    made.provide(DocumentSettings(load=stored_document))
    made.provide(SyncObjects(objects))
    yield made
    await made.close()


async def ended(app: App, **payload: Any) -> tuple[str, Any, str, int]:
    """Return a job's state, result, reason and attempts, once a worker has run it."""
    job = await app.bound(pdf).with_options(backoff_s=0.0).enqueue(**payload)
    await app.worker().run(until_idle=True)
    info = await job.info()
    return info.state, info.result, str(info.failed_reason), info.attempts_made


async def content(objects: FolderObjects, key: str) -> bytes:
    async with await objects.get(key) as stored:
        return await stored.read(max_bytes=10_000_000)


async def test_document_has_its_texts_as_they_are(app: App, objects: FolderObjects) -> None:
    section = {
        "heading": "Points",
        "text": HOSTILE,
        "table": {"head": ["name", "n"], "rows": [["Ann", 7], ["Łukasz", None]]},
        "bars": [["a", 3], ["b", -1]],
    }
    data = {"title": "Course 7", "subtitle": "of spring", "date": "2026", "sections": [section]}

    state, result, reason, _ = await ended(app, pdf_id="p1", data=data)

    assert state == "completed", reason
    made = await content(objects, "documents/p1.pdf")
    assert result == {"pdfId": "p1", "key": "documents/p1.pdf", "bytes": len(made)}
    text = " ".join(text_of(made).split())
    for word in ("Course 7", "of spring", "2026", "1 / 1", "Points", "Łukasz", "7", "−1"):
        assert word in text, word
    assert '#read("/etc/passwd") *bold* $x$' in text
    info = await objects.head("documents/p1.pdf")
    assert info.content_type == "application/pdf"


async def test_id_alone_is_looked_up_by_the_application(app: App, objects: FolderObjects) -> None:
    assert (await ended(app, pdf_id="p2"))[0] == "completed"
    assert "Handout p2" in text_of(await content(objects, "documents/p2.pdf"))

    state, _, reason, attempts = await ended(app, pdf_id="gone")

    assert (state, attempts) == ("failed", 1)
    assert "pdfId 'gone': there is no such document" in reason


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"pdf_id": "../p"}, "pdfId '../p': expected 1 to 128 letters"),
        ({"pdf_id": "p", "template": "dokument"}, "did you mean 'document'?"),
        ({"pdf_id": "p", "template": "../document"}, "template '../document': there is none such"),
        (
            {"pdf_id": "p", "data": {"sections": [{"table": {}}]}},
            'dictionary does not contain key "head"',
        ),
    ],
)
async def test_what_cannot_be_made_fails_at_once(
    app: App, objects: FolderObjects, payload: dict[str, Any], said: str
) -> None:
    state, _, reason, attempts = await ended(app, **payload)

    assert (state, attempts) == ("failed", 1)
    assert said in reason
    with pytest.raises(ObjectMissingError):
        await objects.head("documents/p.pdf")


async def test_document_that_outgrows_its_memory_costs_its_process_only(
    url: str, objects: FolderObjects
) -> None:
    app = App(url)
    app.include(documents)
    app.provide(DocumentSettings(max_memory_bytes=48 * MIB))
    app.provide(SyncObjects(objects))
    long = {"sections": [{"table": {"head": ["n"], "rows": [[n] for n in range(12_000)]}}]}

    state, _, reason, attempts = await ended(app, pdf_id="long", data=long)
    after = await ended(app, pdf_id="short")
    await app.close()

    assert (state, attempts) == ("failed", 3)
    assert "SIGABRT" in reason
    assert after[0] == "completed"


def test_templates_of_a_folder_go_before_the_shipped(tmp_path: Path) -> None:
    (tmp_path / "_part.typ").write_text("#let hello(name) = [Hello #name]")
    (tmp_path / "letter.typ").write_text(
        '#import "_part.typ": hello\n#let d = json(bytes(sys.inputs.data))\n#hello(d.name)'
    )
    (tmp_path / "outside.typ").write_text('#read("../secret.txt")')
    (tmp_path.parent / "secret.txt").write_text("secret")
    engine = TypstDocuments(tmp_path)

    assert engine.names() == ["document", "letter", "outside"]
    assert text_of(engine.pdf("letter", {"name": "Ann"})).strip() == "Hello Ann"
    with pytest.raises(UnusableInputError, match="template 'outside': Typst refuses it"):
        engine.pdf("outside", {})
    (tmp_path / "document.typ").write_text("Ours")
    assert text_of(engine.pdf("document", {})).strip() == "Ours"


def test_settings_name_what_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="prefix='/x'"):
        DocumentSettings(prefix="/x")
    with pytest.raises(InvalidOptionError, match="max_memory_bytes=5"):
        DocumentSettings(max_memory_bytes=5)
    with pytest.raises(InvalidOptionError, match="folder="):
        TypstDocuments(tmp_path / "none")
    with pytest.raises(InvalidOptionError, match="fonts="):
        TypstDocuments(fonts=(tmp_path / "none",))
