"""Ready-made tasks: a table of a database becomes files in an object storage.

Needs the extras `exports`, `objects` and `records`.

Run:
    python examples/exports.py

Prints:
    orders.csv: 3 rows, 57 bytes
    orders.json: 2 rows, 54 bytes
    id,customer,total
    1,Jo,9.50
    2,'=1+1,20.00
    3,Flo,0.10
"""

import asyncio
import sqlite3
import tempfile
from pathlib import Path

from toril import App
from toril.library.exports import ExportSettings, Sources, TableSource
from toril.library.exports.tasks import exports
from toril.services.objects.folder import FolderObjects
from toril.services.objects.sync import SyncObjects
from toril.services.records.records import Records

app = App("sqlite://:memory:")
app.include(exports)


async def main(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.db") as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT, total NUMERIC(9, 2))")
        rows = [(1, "Jo", 9.5), (2, "=1+1", 20), (3, "Flo", 0.1)]
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    shop.close()

    records = Records(f"sqlite:///{folder / 'shop.db'}")
    columns = {"id": "id", "customer": "name", "total": "total"}
    app.provide(Sources({"orders": TableSource(records, "orders", columns)}))
    app.provide(ExportSettings(work_dir=folder / "work"))
    app.provide(SyncObjects(FolderObjects(folder / "files")))

    export = app.find_task("export-table")
    table = await export.enqueue(export_type="csv", filters={"source": "orders"})
    large = {"source": "orders", "total": {"gte": 1}}
    array = await export.enqueue(export_type="json", filters=large, columns=["id", "total"])
    await app.worker(concurrency=2).run(until_idle=True)
    for job in (table, array):
        done = await job.result()
        print(f"orders.{done.export_type}: {done.rows} rows, {done.bytes} bytes")
    print((folder / "files" / (await table.result()).key).read_text(), end="")
    await app.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
