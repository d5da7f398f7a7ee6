"""`files.upload`, by workers, on both stores: nothing is served before its scan."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pypdfium2
import pytest
from PIL import Image
from tests.library.documents import pdf
from tests.services.pictures import photo
from tests.support.http_server import Answer, Request, Server, serving

from toril import App, InvalidPayloadError, Job, JobInfo, JobOptions
from toril.core.errors import InvalidOptionError
from toril.library.files import FileSettings, Uploads, UploadSettings
from toril.library.files.tasks import upload, uploads
from toril.library.files.upload_payloads import UploadStep
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.objects.errors import ObjectMissingError
from toril.services.objects.memory import MemoryObjects
from toril.services.scan.memory import MemoryScanner, eicar
from toril.services.sources.opening import OpenSources
from toril.services.unusable import UnusableInputError

PHOTO = photo("hubble_deep_field.jpg")
QUEUE = "file-processing"


@dataclass
class Shop:
    """An app that takes uploads, and all that is around it."""

    app: App
    objects: MemoryObjects
    scanner: MemoryScanner
    work: Uploads
    server: Server
    told: list[dict[str, Any]]

    async def add(self, content: bytes = PHOTO, **changes: Any) -> Job[Any]:
        """Add an upload of a file that the server has."""
        self.server.answer = lambda _: Answer(body=content)
        payload = {
            "fileId": "f1",
            "fileUrl": self.server.url("/a.jpg"),
            "fileName": "a.jpg",
            "fileType": "image/jpeg",
            "fileSize": len(content),
            "userId": "u1",
            "processingType": "full",
            **changes,
        }
        given = {name: value for name, value in payload.items() if value is not None}
        return await self.app.queue(QUEUE).add("process-file", given)

    async def ended(self, content: bytes = PHOTO, **changes: Any) -> JobInfo:
        """Return an upload once the workers have nothing left to do."""
        job = await self.add(content, **changes)
        await self.app.worker().run(until_idle=True)
        return await job.info()

    async def keys(self) -> list[str]:
        return [one.key for one in (await self.objects.list()).entries]


@pytest.fixture
async def shop(url: str) -> AsyncIterator[Shop]:
    app = App(url)
    objects, scanner = MemoryObjects(), MemoryScanner()
    told: list[dict[str, Any]] = []
    http = AioHttpClient(EgressPolicy(["127.0.0.1/32"]))
    settings = UploadSettings(
        files=FileSettings(
            max_bytes=1_000_000, types=["image/jpeg", "image/png", "application/pdf"]
        ),
        outcome_task="tell",
    )
    sources = OpenSources(objects=objects, http=http)
    work = Uploads(objects, sources=sources, scanner=scanner, settings=settings)

    @app.task(name="tell", queue="owners", rename="camel")
    async def tell(
        file_id: str,
        file_name: str,
        user_id: str,
        product_id: str | None,
        status: str,
        reason: str,
        signature: str | None,
        outputs: list[dict[str, Any]],
    ) -> None:
        told.append({"id": file_id, "status": status, "reason": reason, "signature": signature})

    at_once = JobOptions(max_attempts=2, backoff="fixed", backoff_s=0.0)
    app.bind(QUEUE, upload, options=at_once, rename="camel")
    app.provide(work)
    async with serving() as server:
        yield Shop(app, objects, scanner, work, server, told)
    await app.close()
    await work.close()
    await http.close()


async def test_clean_picture_is_scanned_then_made_smaller_and_published(shop: Shop) -> None:
    job = await shop.add(options={"convertTo": "webp", "thumbnailSizes": [100]})
    await shop.app.worker().run(until_idle=True)
    info = await job.info()

    assert info.state == "completed", info.failed_reason
    result = info.result
    assert (result["fileId"], result["status"]) == ("f1", "processed")
    kinds = [(one["kind"], one["contentType"]) for one in result["outputs"]]
    assert kinds == [
        ("original", "image/jpeg"),
        ("optimized", "image/jpeg"),
        ("thumbnail", "image/jpeg"),
        ("converted", "image/webp"),
    ]
    for one in result["outputs"]:
        content = await (await shop.objects.get(one["key"])).read(10**7)
        assert len(content) == one["bytes"]
        if one["kind"] != "original":
            with Image.open(io.BytesIO(content)) as made:
                assert made.size == (one["width"], one["height"])
                assert Image.MIME[made.format or ""] == one["contentType"]
                assert max(made.size) <= 2000
        else:
            assert content == PHOTO
    assert max(result["outputs"][2]["width"], result["outputs"][2]["height"]) == 100
    assert await shop.keys() == sorted(one["key"] for one in result["outputs"])
    tree = await shop.app.flows.get(QUEUE, job.id).tree()
    assert sorted(node.id.rpartition("-")[2] for node in tree.children) == [
        "convert", "image_optimize", "thumbnail", "virus_scan",
    ]  # fmt: skip
    assert shop.told == [{"id": "f1", "status": "processed", "reason": "", "signature": None}]


async def test_published_file_has_a_short_link_and_no_other_has(shop: Shop) -> None:
    result = (await shop.ended(processingType="virus_scan")).result
    (original,) = result["outputs"]

    link = await shop.work.link(original["key"], expires_s=60)

    assert result["status"] == "clean"
    assert "expires=" in link
    assert "signature=" in link
    for key in ("incoming/x", "quarantine/x", "files"):
        with pytest.raises(UnusableInputError, match="only files below files/"):
            await shop.work.link(key)


@pytest.mark.parametrize("name", ["a.zip", "a.png"])
async def test_infected_archive_is_quarantined_and_nothing_is_made_of_it(
    shop: Shop, name: str
) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", eicar())
    info = await shop.ended(out.getvalue(), fileName=name, fileType="image/png")

    assert info.state == "completed"
    assert info.result == {
        "fileId": "f1", "status": "infected", "outputs": [], "signature": "Eicar-Test",
    }  # fmt: skip
    (key,) = await shop.keys()
    assert key.startswith("quarantine/")
    (told,) = shop.told
    assert told["signature"] == "Eicar-Test"
    assert "virus" in told["reason"]


@pytest.mark.parametrize(
    ("content", "changes", "said"),
    [
        (PHOTO, {"fileSize": 10}, "declared 10 bytes"),
        (b"GIF89a" + bytes(50), {"fileName": "a.gif", "fileType": "image/gif"}, "not taken"),
        (PHOTO, {"fileType": "image/png"}, "its content is image/jpeg"),
        (PHOTO, {"options": {"maxSize": 100}}, "at most 100 are taken"),
        (PHOTO[:30_000], {}, "image"),
    ],
)
async def test_file_that_is_not_as_declared_is_rejected_and_removed(
    shop: Shop, content: bytes, changes: dict[str, Any], said: str
) -> None:
    info = await shop.ended(content, **changes)

    assert info.state == "completed", info.failed_reason
    assert info.result["status"] == "rejected"
    assert said in str(info.result["problems"])
    assert await shop.keys() == []
    (told,) = shop.told
    assert told["status"] == "rejected"
    assert said in told["reason"]


async def test_file_that_is_too_large_for_the_scanner_is_rejected(url: str) -> None:
    objects = MemoryObjects()
    await objects.put("inbox/a.jpg", PHOTO)
    sources = OpenSources(objects=objects)
    work = Uploads(objects, sources=sources, scanner=MemoryScanner(max_bytes=1000))
    async with App(url) as app:
        app.include(uploads)
        app.provide(work)
        job = await app.bound(upload).enqueue(
            file_id="f1", file_url="inbox/a.jpg", file_name="a.jpg", file_type="image/jpeg",
            file_size=len(PHOTO), user_id="u1",
        )  # fmt: skip
        await app.worker().run(until_idle=True)
        result = await job.result()
    await work.close()

    assert result.status == "rejected"
    assert "too large for the virus scan" in result.problems[0].message
    assert [one.key for one in (await objects.list()).entries] == ["inbox/a.jpg"]


async def test_without_a_verdict_nothing_is_published_and_a_retried_scan_ends_the_upload(
    shop: Shop,
) -> None:
    await shop.app.queue(QUEUE).set_dead_letter("dead-letter")
    shop.scanner.is_available = False
    job = await shop.add()
    await shop.app.worker().run(until_idle=True)

    waiting = await job.state()
    letters = (await shop.app.dead_letters().list()).letters
    unpublished = await shop.keys()
    shop.scanner.is_available = True
    (letter,) = letters
    await shop.app.dead_letters().redrive(letter.id)
    await shop.app.worker().run(until_idle=True)

    assert waiting == "waiting-children"
    assert "no verdict on file 'f1'" in letter.failed_reason
    assert letter.attempts_made == 2
    assert [key.partition("/")[0] for key in unpublished] == ["incoming"]
    assert (await job.info()).result["status"] == "processed"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("http://127.0.0.2/a.jpg", "127.0.0.2"),
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("/redirect", "169.254.169.254"),
        ("/endless", "at most 1,000,000"),
        ("/missing", "answered 404"),
        ("ftp://127.0.0.1/a", "not a URL of HTTP"),
        ("none.jpg", "no such object"),
        ("../secret", "key"),
    ],
)
async def test_address_that_is_refused_fails_at_once_and_stores_nothing(
    shop: Shop, path: str, said: str
) -> None:
    def answer(request: Request) -> Answer:
        if request.path == "/redirect":
            return Answer(status=302, headers={"location": "http://169.254.169.254/"})
        if request.path == "/endless":
            return Answer(body=bytes(2_000_000))
        return Answer(status=404)

    address = shop.server.url(path) if path.startswith("/") else path
    job = await shop.add(fileUrl=address)
    shop.server.answer = answer
    await shop.app.worker().run(until_idle=True)

    info = await job.info()
    assert (info.state, info.attempts_made) == ("failed", 1)
    assert said in str(info.failed_reason)
    assert await shop.keys() == []


async def test_server_that_is_away_is_asked_again(shop: Shop) -> None:
    job = await shop.add()
    answers = [Answer(status=503), Answer(body=PHOTO)]
    shop.server.answer = lambda _: answers.pop(0)
    await shop.app.worker().run(until_idle=True)

    assert (await job.info()).result["status"] == "processed"


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ("optimization", ["original", "optimized"]),
        ("thumbnail_generation", ["original", "thumbnail", "thumbnail"]),
        ("format_conversion", ["original", "converted"]),
    ],
)
async def test_other_names_of_the_steps_from_the_storage(
    shop: Shop, asked: str, kinds: list[str]
) -> None:
    await shop.objects.put("shop/a.jpg", PHOTO)
    info = await shop.ended(fileUrl="shop/a.jpg", processingType=asked, options={"quality": 80})

    assert [one["kind"] for one in info.result["outputs"]] == kinds
    assert "shop/a.jpg" in await shop.keys()


async def test_picture_becomes_a_page_of_pdf(shop: Shop) -> None:
    info = await shop.ended(processingType="convert", options={"convertTo": "pdf"})

    made = info.result["outputs"][1]
    content = await (await shop.objects.get(made["key"])).read(10**7)
    assert (made["kind"], made["contentType"]) == ("converted", "application/pdf")
    document = pypdfium2.PdfDocument(content)
    assert len(document) == 1
    document.close()


async def test_document_is_scanned_and_no_pictures_are_made_of_it(shop: Shop) -> None:
    content = pdf("Invoice")
    info = await shop.ended(content, fileName="a.pdf", fileType="application/pdf")

    assert info.result["status"] == "clean"
    assert [one["contentType"] for one in info.result["outputs"]] == ["application/pdf"]


async def test_validation_alone_keeps_nothing(shop: Shop) -> None:
    good = (await shop.ended(processingType="validate")).result
    bad = (await shop.ended(processingType="validate", fileSize=1)).result

    assert (good["status"], bad["status"]) == ("valid", "rejected")
    assert await shop.keys() == []


async def test_scan_cannot_be_left_out(shop: Shop) -> None:
    info = await shop.ended(options={"scanForViruses": False})

    assert (info.state, info.attempts_made) == ("failed", 1)
    assert "every upload is scanned" in str(info.failed_reason)
    with pytest.raises(InvalidPayloadError, match="processingType"):
        await shop.add(processingType="virus_scam")


async def test_published_file_is_what_was_scanned(shop: Shop) -> None:
    job = await shop.add()
    answers = [Answer(body=PHOTO)]
    shop.server.answer = lambda _: answers.pop(0) if answers else Answer(body=eicar())
    await shop.app.worker().run(until_idle=True)

    assert (await job.info()).result["status"] == "processed"
    assert len(shop.server.requests) == 1


async def test_steps_of_a_lost_attempt_are_found_again(shop: Shop) -> None:
    step = UploadStep(key="a" * 32, type="image/jpeg", extension="jpg", bytes=3, problems=[])
    await shop.objects.put(f"incoming/{step.key}", b"abc")

    first = await shop.work.publish(step)
    again = await shop.work.publish(step)
    with pytest.raises(ObjectMissingError):
        await shop.work.publish(UploadStep(key="b" * 32, problems=[]))

    assert first == again
    assert await shop.keys() == [first.key]
    await shop.objects.put(f"quarantine/{'c' * 32}", eicar())
    found = await shop.work.scan("f1", UploadStep(key="c" * 32))
    assert found.status == "infected"


@pytest.mark.parametrize(
    "wrong",
    [
        {"quality": 0}, {"side_px": 0}, {"thumbnail_sides_px": ()}, {"timeout_s": 0},
        {"incoming": "files"}, {"published": ""}, {"outcome_task": ""}, {"quarantine": "/q"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        UploadSettings(**wrong)
