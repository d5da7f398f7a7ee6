"""Jobs in a test: at once, in the test's own thread, so that they see what belongs to it.

A transaction of a database belongs to the thread that has begun it. With `eager=True` a plain task
runs in the thread of the test, when the call that has added it returns.

Run: python examples/tests_in_one_thread.py
Prints:
the job sees the order: True
and its follow-up: 2 jobs have run
a failure is told: book failed and is to be tried again: LookupError: 99
"""

import sqlite3

from toril import App, JobFailedError
from toril.testing import in_memory

app = App("sqlite:///not-opened-by-the-test.db")
database = sqlite3.connect(":memory:")  # refuses every other thread
database.execute("CREATE TABLE orders (id INTEGER, booked INTEGER)")


@app.task(queue="books")
def book(order: int) -> bool:
    found = database.execute("UPDATE orders SET booked = 1 WHERE id = ?", (order,))
    if not found.rowcount:
        raise LookupError(order)
    thank.enqueue_sync(order)
    return True


@app.task(queue="books")
def thank(order: int) -> None:
    database.execute("SELECT * FROM orders WHERE id = ?", (order,))


def main() -> None:
    database.execute("INSERT INTO orders VALUES (7, 0)")
    with in_memory(app, eager=True) as bench:
        print("the job sees the order:", book.enqueue_sync(7).result_sync())
        print("and its follow-up:", len(bench.ran.completed), "jobs have run")
        book.enqueue_sync(99)
        try:
            bench.ran.raise_errors()
        except JobFailedError as error:
            print("a failure is told:", error)
    database.close()


if __name__ == "__main__":
    main()
