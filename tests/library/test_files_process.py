"""`files.process`, by workers, on both stores: what came out is read by other libraries."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from docx2python import docx2python
from PIL import Image
from tests.library.documents import docx, pdf
from tests.support.http_server import Answer, serving

from toril import App, InvalidPayloadError
from toril.core.errors import InvalidOptionError
from toril.library.files import FileProcessSettings
from toril.library.files.operations import read_options
from toril.library.files.process_task import check_request, file_work
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.objects.folder import FolderObjects
from toril.services.objects.sync import SyncObjects
from toril.services.sources.opening import OpenSources
from toril.services.sources.port import Sources
from toril.services.unusable import UnusableInputError

HTML = b"""<!doctype html><html><head><title>No</title><style>p{}</style></head><body>
<h1>Rates &amp; <b>fees</b></h1><script>alert('no')</script><p>One
   two</p><ul><li>a</li><li>b</li></ul><!-- not this --><template>no</template></body></html>"""


def picture(kind: str, size: tuple[int, int] = (400, 300), **options: Any) -> bytes:
    out = io.BytesIO()
    noise = Image.effect_noise(size, 60).convert("RGB")
    noise.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
async def app(url: str, tmp_path: Path) -> AsyncIterator[App]:
    made = App(url)
    made.include(file_work)
    (tmp_path / "in").mkdir()
    made.provide(OpenSources(root=tmp_path / "in"), Sources)
    made.provide(FileProcessSettings(outputs=tmp_path / "out"))
    yield made
    await made.close()


async def ended(app: App, **payload: Any) -> tuple[str, Any, str]:
    """Return a job's state, result and reason, once a worker has run it."""
    quick = app.find_task("files.process").with_options(backoff_s=0.0)
    job = await quick.enqueue(**payload)
    await app.worker().run(until_idle=True)
    info = await job.info()
    return info.state, info.result, str(info.failed_reason)


async def done(app: App, **payload: Any) -> Any:
    state, result, reason = await ended(app, **payload)
    assert state == "completed", reason
    return result


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"width": 200}, (200, 150)),
        ({"height": 150}, (200, 150)),
        ({"width": 100, "height": 100}, (100, 75)),
        ({"width": 100, "height": 100, "fit": "cover"}, (100, 100)),
        ({"width": 4000}, (400, 300)),
    ],
)
async def test_resized_picture_has_the_size_and_the_source_stays(
    app: App, tmp_path: Path, options: dict[str, Any], size: tuple[int, int]
) -> None:
    before = picture("JPEG")
    (tmp_path / "in/a.jpg").write_bytes(before)

    result = await done(app, operation="resize", file_path="a.jpg", options=options)

    path = Path(result["outputPath"])
    with Image.open(path) as made:
        assert (made.format, made.size) == ("JPEG", size)
    assert path.parent == tmp_path / "out"
    assert result == {
        "outputPath": str(path),
        "bytes": path.stat().st_size,
        "type": "image/jpeg",
        "width": size[0],
        "height": size[1],
    }
    assert (tmp_path / "in/a.jpg").read_bytes() == before


async def test_compressed_picture_is_smaller_and_never_larger(app: App, tmp_path: Path) -> None:
    (tmp_path / "in/large.jpg").write_bytes(picture("JPEG", quality=100))
    (tmp_path / "in/small.jpg").write_bytes(picture("JPEG", quality=5))

    large = await done(app, operation="compress", file_path="large.jpg", options={"quality": 40})
    small = await done(app, operation="compress", file_path="small.jpg", options={"quality": 100})

    with Image.open(large["outputPath"]) as made:
        assert (made.format, made.size) == ("JPEG", (400, 300))
    assert large["bytes"] < (tmp_path / "in/large.jpg").stat().st_size / 2
    same = Path(small["outputPath"]).read_bytes()
    assert same == (tmp_path / "in/small.jpg").read_bytes()


@pytest.mark.parametrize(("asked", "told"), [("webp", "WEBP"), ("png", "PNG"), ("jpeg", "JPEG")])
async def test_converted_picture_is_of_the_format(
    app: App, tmp_path: Path, asked: str, told: str
) -> None:
    (tmp_path / "in/a.png").write_bytes(picture("PNG"))

    result = await done(app, operation="convert", file_path="a.png", options={"format": asked})

    with Image.open(result["outputPath"]) as made:
        assert (made.format, made.size) == (told, (400, 300))
    assert result["type"] == f"image/{asked}"


async def test_picture_becomes_a_page_of_pdf(app: App, tmp_path: Path) -> None:
    red = io.BytesIO()
    Image.new("RGBA", (300, 150), (255, 0, 0, 255)).save(red, "PNG")
    (tmp_path / "in/a.png").write_bytes(red.getvalue())

    result = await done(app, operation="convert", file_path="a.png", options={"format": "pdf"})

    document = pypdfium2.PdfDocument(result["outputPath"])
    page = document[0]
    shown = page.render(scale=1).to_pil().convert("RGB")
    assert (len(document), page.get_size()) == (1, (144.0, 72.0))
    near = shown.getpixel((72, 36))
    assert isinstance(near, tuple)
    assert (near[0] > 240, near[1] < 15, near[2] < 15) == (True, True, True)
    assert result["type"] == "application/pdf"
    document.close()


async def test_text_of_a_pdf_is_that_of_another_reader(app: App, tmp_path: Path) -> None:
    content = pdf("Invoice 42 for Jo", "Page two")
    (tmp_path / "in/a.pdf").write_bytes(content)

    result = await done(app, operation="extract_text", file_path="a.pdf")

    document = pypdfium2.PdfDocument(content)
    told = [page.get_textpage().get_text_range().strip() for page in document]
    document.close()
    assert result["text"].split("\n") == [*told, ""]
    assert result == {"text": result["text"], "bytes": len(result["text"])}


async def test_text_of_a_word_document_is_that_of_another_reader(app: App, tmp_path: Path) -> None:
    content = docx("Dear Jo,", "öl & <fee>", table=[["a", "b"], ["c", "d"]])
    (tmp_path / "in/a.docx").write_bytes(content)

    result = await done(app, operation="extract_text", file_path="a.docx")

    with docx2python(io.BytesIO(content)) as other:
        words = other.text.split()
    assert result["text"] == "Dear Jo,\nöl & <fee>\na\tb\nc\td\n"
    assert result["text"].split() == words


async def test_text_of_html_is_what_a_browser_shows(app: App, tmp_path: Path) -> None:
    (tmp_path / "in/a.html").write_bytes(HTML)

    result = await done(app, operation="extract_text", file_path="a.html")

    lines = [line.strip() for line in result["text"].splitlines() if line.strip()]
    assert lines == ["Rates & fees", "One two", "a", "b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_text_is_read_by_its_mark(app: App, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "in/a.txt").write_bytes("Grüße,\r\nJo\n".encode(encoding))

    result = await done(app, operation="extract_text", file_path="a.txt")

    assert result["text"] == "Grüße,\nJo\n"


async def test_long_text_goes_to_a_file(app: App, tmp_path: Path) -> None:
    (tmp_path / "in/edge.txt").write_text("x" * 65_000)
    (tmp_path / "in/long.txt").write_text("x" * 65_537)
    (tmp_path / "in/quotes.txt").write_text('"' * 40_000)  # twice as long in JSON

    edge = await done(app, operation="extract_text", file_path="edge.txt")
    long = await done(app, operation="extract_text", file_path="long.txt")

    quotes = await done(app, operation="extract_text", file_path="quotes.txt")

    assert edge == {"text": "x" * 65_000, "bytes": 65_000}
    assert Path(quotes["outputPath"]).read_text() == '"' * 40_000
    assert Path(long["outputPath"]).read_text() == "x" * 65_537
    assert (long["bytes"], long["type"]) == (65_537, "text/plain; charset=utf-8")


async def test_second_run_has_the_same_output(app: App, tmp_path: Path) -> None:
    (tmp_path / "in/a.png").write_bytes(picture("PNG"))
    job = await app.find_task("files.process").enqueue("convert", {"format": "webp"}, "a.png")
    await app.worker().run(until_idle=True)
    first = (await job.info()).result

    await job.retry()
    await app.worker().run(until_idle=True)

    assert (await job.info()).result == first
    assert len(list((tmp_path / "out").iterdir())) == 1


async def test_outputs_and_sources_may_be_objects(app: App, tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    await objects.put("in/a.png", picture("PNG"))
    app.provide(OpenSources(objects=objects), Sources)
    app.provide(FileProcessSettings(outputs=SyncObjects(objects), prefix="made"))

    result = await done(app, operation="convert", object_key="in/a.png", options={"format": "webp"})

    found = await objects.head(result["outputKey"])
    assert result["outputKey"].startswith("made/")
    assert (found.size_bytes, found.content_type) == (result["bytes"], "image/webp")


async def test_file_at_a_url_is_fetched_by_the_child(app: App, tmp_path: Path) -> None:
    http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    app.provide(OpenSources(http=http), Sources)
    async with serving(lambda _: Answer(body=b"hello\n")) as server:
        result = await done(app, operation="extract_text", file_url=server.url("/a.txt"))

    assert result["text"] == "hello\n"


@pytest.mark.parametrize(
    ("name", "content", "payload", "reason"),
    [
        ("a.txt", b"text", {"operation": "convert", "options": {"format": "png"}}, "text/plain"),
        ("a.bin", bytes(100), {"operation": "extract_text"}, "nobody knows"),
        ("a.zip", b"PK\x03\x04" + bytes(100), {"operation": "extract_text"}, "application/zip"),
        ("a.png", picture("PNG")[:900], {"operation": "compress"}, "truncated or damaged"),
        ("a.pdf", b"%PDF-1.7\nnothing", {"operation": "extract_text"}, "truncated or damaged"),
        ("a.pdf", pdf("a", password="secret"), {"operation": "extract_text"}, "encrypted"),
        ("a.txt", b"text", {"operation": "resize", "options": {}}, "expected width, height"),
        ("a.txt", b"text", {"operation": "resize", "options": {"widht": 1}}, "'width'"),
        ("a.txt", b"text", {"operation": "compress", "options": {"quality": 101}}, "quality"),
        ("a.txt", b"text", {"operation": "extract_text", "options": {"lang": "de"}}, "'lang'"),
    ],
)
async def test_what_can_never_work_fails_at_once(
    app: App, tmp_path: Path, name: str, content: bytes, payload: dict[str, Any], reason: str
) -> None:
    (tmp_path / "in" / name).write_bytes(content)

    job = await app.find_task("files.process").enqueue(**payload, file_path=name)
    await app.worker().run(until_idle=True)

    info = await job.info()
    assert (info.state, info.attempts_made) == ("failed", 1)
    assert reason in str(info.failed_reason)
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("path", ["../secret", "/etc/hosts", "a/../../b", "li\0nk", "link", "none"])
async def test_paths_that_lead_out_are_refused(app: App, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "in/link").symlink_to(tmp_path / "secret")

    state, _, reason = await ended(app, operation="extract_text", file_path=path)

    assert state == "failed"
    assert "filePath" in reason
    assert "secret text" not in reason


async def test_entities_of_a_document_are_not_resolved(app: App, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    outside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    content = docx("[x]", before=outside, entities=True)
    (tmp_path / "in/a.docx").write_bytes(content)

    _, result, reason = await ended(app, operation="extract_text", file_path="a.docx")

    assert "the secret" not in f"{result}{reason}"


async def test_document_that_unpacks_to_too_much_is_refused(app: App, tmp_path: Path) -> None:
    (tmp_path / "in/a.docx").write_bytes(docx("x" * 2_000_000))
    app.provide(FileProcessSettings(outputs=tmp_path / "out", max_unpacked_bytes=1_000_000))

    state, _, reason = await ended(app, operation="extract_text", file_path="a.docx")

    assert state == "failed"
    assert "application/zip" in reason


async def test_work_that_takes_too_much_memory_is_refused_once(app: App, tmp_path: Path) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.fail("needs a kernel that counts memory")
    (tmp_path / "in/a.docx").write_bytes(docx(*["word " * 20] * 100_000))
    app.provide(FileProcessSettings(outputs=tmp_path / "out", max_memory_bytes=20 * 1024 * 1024))

    state, _, reason = await ended(app, operation="extract_text", file_path="a.docx")

    assert state == "failed"
    assert "20 MiB that are allowed" in reason


async def test_too_long_a_text_is_refused(app: App, tmp_path: Path) -> None:
    (tmp_path / "in/a.txt").write_text("x" * 1001)
    app.provide(FileProcessSettings(outputs=tmp_path / "out", max_text_bytes=1000))

    state, _, reason = await ended(app, operation="extract_text", file_path="a.txt")

    assert (state, "over 1,000 bytes (max_text_bytes)" in reason) == ("failed", True)


async def test_too_large_a_file_is_refused(app: App, tmp_path: Path) -> None:
    (tmp_path / "in/a.txt").write_text("x" * 1001)
    app.provide(FileProcessSettings(outputs=tmp_path / "out", max_bytes=1000))

    state, _, reason = await ended(app, operation="extract_text", file_path="a.txt")

    assert (state, "1,001 bytes; at most 1,000" in reason) == ("failed", True)


async def test_unknown_operation_is_refused_at_the_door(app: App) -> None:
    with pytest.raises(InvalidPayloadError) as refused:
        await app.find_task("files.process").enqueue("explode", None, "a.png")

    assert refused.value.field == "operation"


def test_door_refuses_what_would_fail(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    sources = OpenSources(root=[tmp_path / "none", tmp_path])

    check_request("extract_text", None, "not-there-yet.txt", sources)
    check_request("extract_text", None, str(tmp_path / "a.txt"), sources)
    check_request("convert", {"format": "pdf"}, str(tmp_path / "a.png"), sources)
    for operation, options, path in (
        ("convert", {"format": "pdf"}, str(tmp_path / "a.txt")),
        ("convert", {}, str(tmp_path / "a.png")),
        ("explode", None, "a.png"),
        ("compress", None, "../a.png"),
        ("compress", None, "/etc/hosts"),
        ("compress", {"fit": "cover"}, "a.png"),
    ):
        with pytest.raises(UnusableInputError):
            check_request(operation, options, path, sources)


@pytest.mark.parametrize("option", ["max_bytes", "max_memory_bytes", "max_text_bytes"])
def test_settings_that_make_no_sense_are_refused(option: str) -> None:
    with pytest.raises(InvalidOptionError, match=option):
        FileProcessSettings(**{option: 0})  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="inline_bytes"):
        FileProcessSettings(inline_bytes=65_537)
    with pytest.raises(InvalidOptionError, match="prefix"):
        FileProcessSettings(prefix="/made")


def test_cover_needs_both_sides() -> None:
    with pytest.raises(UnusableInputError, match="needs both"):
        read_options("resize", {"width": 10, "fit": "cover"})
