"""What people of other queues type: it works, or is answered with our word."""

from __future__ import annotations

import types
from typing import Any

import pytest

from toril import (
    App,
    Context,
    InvalidOptionError,
    InvalidPayloadError,
    Job,
    Queue,
    Task,
    TaskBundle,
)
from toril.engine.foreign_words import CONTEXT_WORDS, JOB_WORDS, QUEUE_WORDS
from toril.tasks.foreign_words import APP_WORDS, JOB_OPTION_WORDS, OPTION_WORDS, TASK_WORDS
from toril.testing import MemoryApp

WORDS: list[tuple[type, str]] = [
    (kind, word)
    for kind, words in (
        (App, APP_WORDS),
        (Task, TASK_WORDS),
        (Job, JOB_WORDS),
        (Queue, QUEUE_WORDS),
        (Context, CONTEXT_WORDS),
    )
    for word in words
]


def one_of(kind: Any) -> object:
    """Return an object of a class, as far as its attributes can be asked for."""
    return kind.__new__(kind)


@pytest.mark.parametrize(("kind", "word"), WORDS, ids=[f"{k.__name__}.{w}" for k, w in WORDS])
def test_foreign_word_is_answered_with_ours(kind: type, word: str) -> None:
    """A word that the class has got meanwhile has to leave the list."""
    with pytest.raises(AttributeError, match=f"^{kind.__name__} has no '{word}': .+"):
        getattr(one_of(kind), word)

    assert not hasattr(one_of(kind), word)


@pytest.mark.parametrize("word", OPTION_WORDS)
def test_foreign_option_is_answered_with_ours(word: str) -> None:
    options: dict[str, Any] = {word: 3}

    with pytest.raises(InvalidOptionError, match=f"^{word}=3: no option of a task: .+"):
        App("sqlite://:memory:").task(**options)


@pytest.mark.parametrize("word", JOB_OPTION_WORDS)
def test_foreign_option_of_a_job_is_answered_with_ours(word: str) -> None:
    app = App("sqlite://:memory:")

    @app.task(queue="mail")
    def greet(to: str) -> None: ...

    options: dict[str, Any] = {word: 3}
    with pytest.raises(InvalidOptionError, match=f"^{word}=3: no option of a job: .+"):
        greet.with_options(**options)
    with pytest.raises(InvalidOptionError, match="'priorty': did you mean 'priority'"):
        greet.with_options(priorty=1)  # type: ignore[call-arg]
    with pytest.raises(InvalidPayloadError, match=r"'delay': unknown; .+task\.with_options\("):
        greet.new_job(to="jo", delay=60)  # type: ignore[call-arg]


def test_id_that_is_a_number_is_asked_for_as_text() -> None:
    number: Any = 17
    with pytest.raises(InvalidOptionError, match=r"^job_id=17: expected text: '17'$"):
        App("sqlite://:memory:").queue("mail").job(number)


def test_all_foreign_options_are_answered_at_once() -> None:
    options: dict[str, Any] = {"bind": True, "max_retries": 3, "queeu": "mail"}

    with pytest.raises(InvalidOptionError, match=r"^bind=True: .+ `Context` .+; max_retries=3: .+"):
        App("sqlite://:memory:").task(**options)


def test_mistyped_option_is_answered_with_the_nearest() -> None:
    options: dict[str, Any] = {"timeuot": 3}

    with pytest.raises(InvalidOptionError, match="'timeuot': did you mean 'timeout'"):
        App("sqlite://:memory:").task(**options)


async def test_task_without_brackets_is_a_task(toril_app: MemoryApp) -> None:
    @toril_app.task
    async def greet(to: str) -> str:
        return f"to {to}"

    @toril_app.task
    def add(a: int, b: int = 2) -> int:
        return a + b

    first, second = await greet.enqueue(to="Jo"), await add.enqueue(1)
    await toril_app.run_until_idle()

    assert (await first.result(), await second.result()) == ("to Jo", 3)
    assert (greet.name, greet.queue, add.options.run_in) == ("greet", "default", "thread")


def test_bundle_and_schedule_work_without_brackets() -> None:
    bundle = TaskBundle()

    @bundle.schedule("@daily")
    @bundle.task
    async def report() -> None: ...

    assert bundle.tasks == [report]
    assert [each.id for each in bundle.schedules] == ["report"]


def test_name_without_its_keyword_is_refused() -> None:
    app: Any = App("sqlite://:memory:")

    with pytest.raises(InvalidOptionError, match=r"@app\.task\(name='greet'\)"):
        app.task("greet")


@pytest.mark.parametrize(
    ("decorator", "says"),
    [("on", r'@app\.on\("failed"\)'), ("schedule", r"@app\.schedule\('0 6 \* \* \*'\)")],
)
def test_decorator_that_needs_a_word_says_so(decorator: str, says: str) -> None:
    """`@app.on` above a function was taken without a word, and never called it."""
    app: Any = App("sqlite://:memory:")

    with pytest.raises(InvalidOptionError, match=says):
        getattr(app, decorator)(print)


async def test_task_of_a_bundle_is_included_alone(toril_app: MemoryApp) -> None:
    bundle = TaskBundle()

    @bundle.task(queue="mail")
    async def greet(to: str) -> str:
        return f"to {to}"

    @bundle.task
    async def other() -> None: ...

    ours = toril_app.include(greet)
    job = await ours.enqueue(to="Jo")
    await toril_app.run_until_idle()

    assert await job.result() == "to Jo"
    assert toril_app.include(ours) is ours
    assert toril_app.include(greet) is ours
    assert [task.name for task in toril_app.tasks()] == ["greet"]


def test_two_tasks_of_one_name_are_not_taken_for_one() -> None:
    app = App("sqlite://:memory:")
    for bundle in (TaskBundle(), TaskBundle()):
        task = bundle.task(name="greet")(lambda: None)
        if app.tasks():
            with pytest.raises(InvalidOptionError, match="has a task of this name already"):
                app.include(task)
        else:
            app.include(task)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("shop.tasks", "import shop.tasks: tasks register themselves"),
        (types.ModuleType("shop"), "import shop: tasks register themselves"),
        (print, r"app\.task\(\.\.\.\)"),
        (App("sqlite://:memory:"), "make them in a TaskBundle"),
        (3, "expected a TaskBundle, or a task"),
    ],
)
def test_what_cannot_be_included_is_answered(given: Any, says: str) -> None:
    with pytest.raises(InvalidOptionError, match=says):
        App("sqlite://:memory:").include(given)
