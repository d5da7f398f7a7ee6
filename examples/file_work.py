r"""Ready-made tasks: the text of a document, and a smaller picture, in a child process.

Needs the extra `files`.

Run:
    python examples/file_work.py

Prints:
    'Rates\n\n10 percent\n'
    image/jpeg 100 x 87
"""

import asyncio
import tempfile
from importlib.resources import files
from pathlib import Path

from toril import App
from toril.library.files import FileProcessSettings
from toril.library.files.tasks import file_work
from toril.services.sources.opening import OpenSources
from toril.services.sources.port import Sources

app = App("sqlite://:memory:")
app.include(file_work)


async def main(folder: Path) -> None:
    (folder / "page.html").write_text("<h1>Rates</h1><p>10 percent</p>")
    photo = files("toril.library.images").joinpath("photos/hubble_deep_field.jpg")
    (folder / "sky.jpg").write_bytes(photo.read_bytes())
    app.provide(OpenSources(root=folder), Sources)
    app.provide(FileProcessSettings(outputs=folder / "made"))

    work = app.find_task("files.process")
    text = await work.enqueue("extract_text", file_path="page.html")
    small = await work.enqueue("resize", {"width": 100}, "sky.jpg")
    await app.worker().run(until_idle=True)
    print(repr((await text.result()).text))
    made = await small.result()
    print(made.type, made.width, "x", made.height)
    await app.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
