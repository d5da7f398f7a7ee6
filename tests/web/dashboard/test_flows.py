"""Flows: the list, and one flow as an outline and as a drawing."""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec
import pytest
from tests.support.waiting import wait_until
from tests.web.dashboard.support import Reader, Site, site
from tests.web.dashboard.test_frame import enter, guarded

from toril import App, Node, RetryPolicy
from toril.engine.states import State
from toril.rest.answers import FlowJob
from toril.web.dashboard.flow_graph import branches, drawing

HOSTILE = "<script>alert(1)</script>\u202e"


async def grow(app: App, *, children: int = 2) -> str:
    """Add a flow, and return the id of its root."""
    cuts = [Node("video", f"cut{n}", children=[Node("video", "frame")]) for n in range(children)]
    return (await app.flows.add(Node("video", "publish", children=cuts))).id


async def fail_below(app: App, url: str) -> tuple[str, str]:
    """Add a flow of which one child fails; return the ids of its root and that child."""
    working = App(url)

    @working.task(queue="video", name="cut", retry=RetryPolicy(max_attempts=1))
    async def cut(bad: bool = False) -> None:
        if bad:
            raise OSError("disk <b>full</b>")

    async with working, working.worker(queues=["video"]):
        tree = Node("film", "publish", children=[Node("video", "cut", {"bad": True})])
        root = await app.flows.add(tree)

        async def has_failed() -> bool:
            info = await app.queue("video", existing=True).info()
            return info is not None and info.failed == 1

        await wait_until(has_failed)
    (child,) = (await app.queue("video", existing=True).jobs(State.FAILED)).jobs
    return root.id, child.id


async def state_of(app: App, queue: str, job_id: str) -> State:
    """Return the state of a job."""
    return (await app.queue(queue, existing=True).job(job_id).info()).state


async def test_no_flow_waits(pages: Site) -> None:
    page = await pages.read("/flows")
    assert "No flow waits" in page.text
    assert "app.flows.add(Node(" in page.text


async def test_flows_are_listed_with_how_far_they_are(app: App, pages: Site) -> None:
    root = await grow(app)
    html = (await pages.get("/flows")).text
    row = Reader(html.split(f'<tr id="f-video-{root}"')[1].split("</tr>")[0])
    assert "publish" in row.text
    assert "0 /5" in row.text
    assert row.all("a", href=f"/flows/video/{root}")
    assert row.all("svg")
    assert "1 flow on this page" in Reader(html).text
    assert "No flow waits" in (await pages.read("/flows?queue=other")).text


async def test_stuck_flows_come_first_with_the_reason(app: App, pages: Site, url: str) -> None:
    root, child = await fail_below(app, url)
    html = (await pages.get("/flows")).text
    page = Reader(html)
    assert html.index("never go on by themselves") < html.index('<tr id="f-')
    assert "a child has failed" in page.text
    assert "disk <b>full</b>" in page.text
    assert page.all("a", href=f"/queues/video/jobs/{child}")
    assert "stuck" in Reader(html.split('<tr id="f-')[1]).text

    after = await pages.act("retry_flow", queue="film", job_id=root, next="/flows")

    assert "1 jobs of the flow are back in line." in after.text
    assert await state_of(app, "video", child) is State.WAIT


async def test_flow_is_an_outline_and_a_drawing(app: App, pages: Site, url: str) -> None:
    root, child = await fail_below(app, url)
    html = (await pages.get(f"/flows/film/{root}")).text
    page = Reader(html)
    assert "1 of 2 ended · 1 failed · 1 wait for children" in page.text
    outline = html.split('class="tree"')[1].split("</section>")[0]
    assert outline.count("<li>") == 2
    assert "OSError" in Reader(outline).text
    (graph,) = page.all("svg", **{"class": "graph"})
    assert graph["aria-hidden"] == "true"
    links = Reader(html.split("data-graph")[1].split("</section>")[0]).all("a")
    assert [a["tabindex"] for a in links] == ["-1", "-1"]
    assert len(page.all("a", href=f"/queues/video/jobs/{child}")) == 2
    assert page.all("form", action="/act/retry_flow")
    assert page.all("form", action="/act/cancel_flow")


async def test_rest_of_a_flow_is_cancelled(app: App, pages: Site) -> None:
    root = await grow(app)
    after = await pages.act(
        "cancel_flow", queue="video", job_id=root, reason="no more", next=f"/flows/video/{root}"
    )
    assert "5 jobs of the flow are cancelled." in after.text
    assert await state_of(app, "video", root) is State.FAILED
    assert not after.all("form", action="/act/cancel_flow")


async def test_child_leads_up_and_a_single_job_says_so(app: App, pages: Site) -> None:
    root = await grow(app)
    html = (await pages.get(f"/flows/video/{root}")).text
    sub = next(place for place in re.findall(r'class="sub" href="([^"]+)"', html))
    page = await pages.read(sub)
    assert page.all("a", href=f"/flows/video/{root}")
    alone = await app.queue("mail", existing=True).add("send", {})
    assert "This job has no children" in (await pages.read(f"/flows/mail/{alone.id}")).text
    assert (await pages.get("/flows/mail/nothing")).status_code == 404


async def test_flow_of_a_thousand_jobs_stays_small_and_can_be_gone_through(
    app: App, pages: Site
) -> None:
    tree = Node("video", "publish", children=[Node("video", f"cut{n}") for n in range(1000)])
    root = (await app.flows.add(tree)).id
    place, seen = f"/flows/video/{root}", set[str]()
    page = await pages.read(place)
    assert "41 of 1,001 jobs are shown" in page.text
    assert "0 of 1,001 ended" in page.text
    assert "960 more children" in page.text
    assert len(page.elements) <= 1_500
    for _ in range(3):
        html = (await pages.http.get(f"{pages.base}{place}")).text
        outline = html.split('class="tree"')[1].split("</section>")[0]
        names = set(re.findall(r">(cut\d+)<", outline))
        assert len(names) == 40
        assert not names & seen
        seen |= names
        place = re.findall(r'class="more"><a href="([^"]+)"', outline)[-1]
    last = await pages.read(f"/flows/video/{root}?from=990")
    assert "more child" not in last.text
    assert "11 of 1,001 jobs are shown" in last.text


async def test_hostile_names_are_text(app: App, pages: Site) -> None:
    name = HOSTILE.replace("\u202e", "")
    children = [Node("video", name), Node("video", "w" * 500)]
    root = (await app.flows.add(Node("video", "<b>film</b>", children=children))).id
    html = (await pages.get(f"/flows/video/{root}")).text
    assert "<script>alert" not in html
    assert "<b>film" not in html
    assert name in Reader(html).text


async def test_roles_hide_and_refuse(app: App, url: str) -> None:
    root, child = await fail_below(app, url)
    async with site(app, access=await guarded(app)) as pages:
        for role, may in (("viewer", False), ("operator", True)):
            await enter(pages, role)
            page = await pages.read(f"/flows/film/{root}")
            assert bool(page.all("form", action="/act/retry_flow")) is may
            after = await pages.act("retry_flow", queue="film", job_id=root, next="/flows")
            assert ("may not do this" in after.text) is not may
            assert (await state_of(app, "video", child) is State.WAIT) is may
            await pages.post("/logout")


def _job(name: str, parent: str | None, state: State | None = State.WAIT) -> FlowJob:
    return FlowJob(
        queue="q", id=name, key=None, parent_queue=parent and "q", parent_id=parent, name=name,
        state=state, fate=None, failed_reason=None, cut=False,
    )  # fmt: skip


def test_what_needs_somebody_comes_first_and_the_rest_is_counted() -> None:
    nodes = [_job("root", None)]
    nodes += [_job(f"done{n}", "root", State.COMPLETED) for n in range(20)]
    nodes += [_job("runs", "root", State.ACTIVE), _job("failed", "root", State.FAILED)]
    cut = branches(nodes, 10)
    assert [one.job.name for one in cut.below][:3] == ["failed", "runs", "done0"]
    assert (len(cut.below), cut.hidden) == (9, 13)
    rest = branches(nodes, first=20)
    assert [one.job.name for one in rest.below] == ["done18", "done19"]
    assert rest.hidden == 0


def test_grandchildren_are_cut_to_a_dozen() -> None:
    nodes = [_job("root", None), _job("a", "root"), *(_job(f"b{n}", "a") for n in range(30))]
    (child,) = branches(nodes).below
    assert (len(child.below), child.hidden, child.more) == (12, 18, True)


def test_job_that_is_its_own_grandchild_is_shown_once_more_and_not_gone_into() -> None:
    nodes = [_job("root", None), _job("a", "root"), _job("root", "a")]
    assert [one.job.name for one in branches(nodes).all()] == ["root", "a", "root"]


def test_no_two_jobs_of_a_drawing_overlap() -> None:
    nodes = [_job("root", None), *(_job(f"a{n}", "root") for n in range(3))]
    nodes += [_job(f"b{n}", f"a{n % 2}") for n in range(7)]
    found = drawing(branches(nodes))
    places = {(place.x, place.y) for place in found.places}
    assert len(places) == len(nodes)
    columns: dict[int, list[int]] = {}
    for x, y in places:
        columns.setdefault(x, []).append(y)
    for rows in columns.values():
        rows.sort()
        assert all(after - before >= 56 for before, after in pairwise(rows))
    assert len(found.lines) == len(nodes) - 1
    assert max(y for _, y in places) + 46 < found.height
    assert max(x for x, _ in places) + 236 < found.width


@pytest.mark.parametrize(
    ("fate", "state"),
    [("completed", "completed"), ("failed", "failed"), ("ignored", "failed"), ("pending", None)],
)
def test_job_that_is_gone_has_the_state_that_its_parent_knows(fate: str, state: str | None) -> None:
    gone = msgspec.structs.replace(_job("a", "root", None), name=None, fate=fate)
    (branch,) = branches([_job("root", None), gone]).below
    assert (branch.gone, branch.state) == (True, state)
