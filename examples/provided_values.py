"""What a task gets from its app rather than from its payload: settings, clients, connections.

Run:
    python examples/provided_values.py

Prints:
    from shop@example.com to jo@example.com: Your order is on its way
    the payload is {'to': 'jo@example.com', 'subject': 'Your order is on its way'}
"""

import asyncio
from dataclasses import dataclass

from toril import App, TaskBundle, provided

mail = TaskBundle()  # tasks that belong to no app yet


@dataclass(frozen=True)
class Mailer:
    """Stand for a client of a mail server."""

    sender: str

    def send(self, to: str, subject: str) -> None:
        """Send a mail."""
        print(f"from {self.sender} to {to}: {subject}")


@mail.task(queue="mail")
def send_mail(to: str, subject: str, *, mailer: Mailer = provided(Mailer)) -> None:
    mailer.send(to, subject)


app = App("sqlite://:memory:")
app.include(mail)
app.provide(Mailer("shop@example.com"))


async def main() -> None:
    payload = {"to": "jo@example.com", "subject": "Your order is on its way"}
    job = await app.queue("mail").add("send_mail", payload)
    await app.worker().run(until_idle=True)
    print("the payload is", (await job.info()).data)
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
