"""Who is there: signing in by a link, roles, two people on one page, a session that ends."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from playwright.async_api import Browser, Page, expect
from tests.web.dashboard.browser.look import looking
from tests.web.dashboard.browser.scene import BILLS, HOOKS, MAIL, Scene, scene

from toril.web.access.control import AccessControl
from toril.web.access.passwords import Passwords
from toril.web.access.port import Permission
from toril.web.dashboard.page import pages

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
]
CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
ROLES = ("viewer", "submitter", "operator", "admin")
MAY = {
    "viewer": {Permission.READ, Permission.PAYLOADS},
    "submitter": {Permission.READ, Permission.PAYLOADS, Permission.SUBMIT},
    "operator": {Permission.READ, Permission.PAYLOADS, Permission.SUBMIT, Permission.OPERATE},
}
"""All users here may see payloads; an admin may do everything."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A dashboard that asks who is there, with a user of each role."""
    folder: Path = tmp_path_factory.mktemp("people")
    url = f"sqlite:///{folder}/toril.db?durability=normal"
    async with scene(url, access=lambda app: AccessControl(app, passwords=CHEAP)) as found:
        for role in ROLES:
            await control(found).users.add(role, secret(role), role=role, payloads=True)
        yield found


def control(town: Scene) -> AccessControl:
    """Return who decides."""
    access = town.site.dashboard.access
    assert isinstance(access, AccessControl)
    return access


def secret(name: str) -> str:
    """Return the password of a user."""
    return f"{name} has a password"


async def enter(page: Page, town: Scene, name: str, to: str = "/") -> None:
    """Sign in by the form, on the way to a page."""
    await page.goto(town.url + to)
    await page.wait_for_url(re.compile(r"/login"))
    await page.locator("input[name=name]").fill(name)
    await page.locator("input[name=password]").fill(secret(name))
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.wait_for_url(town.url + to)


async def test_link_signs_in_once_and_signing_out_ends_it(town: Scene, browser: Browser) -> None:
    link = f"{town.url}/login?link={await control(town).links.for_user('admin')}"
    async with looking(browser) as seen, looking(browser, java_script_enabled=False) as other:
        await seen.page.goto(link)
        await seen.page.wait_for_url(f"{town.url}/")  # a script presses the button
        assert "link=" not in seen.page.url
        menu = seen.page.locator("details.menu")
        await menu.locator("> summary").click()
        await expect(menu.locator(".sheet-who")).to_contain_text("admin")
        seen.silent()

        await other.page.goto(link)
        await other.page.get_by_role("button", name="Go on").click()
        await expect(other.page.get_by_role("alert")).to_be_visible()

        await menu.get_by_role("button", name="Sign out").click()
        await seen.page.wait_for_url(re.compile(r"/login"))
        await seen.page.goto(f"{town.url}/queues")
        await seen.page.wait_for_url(re.compile(r"/login"))


async def test_each_role_sees_its_pages_and_may_do_no_more_by_hand(
    town: Scene, browser: Browser
) -> None:
    for role in ROLES:
        async with looking(browser) as seen:
            await enter(seen.page, town, role, f"/queues/{HOOKS}")
            may = MAY.get(role, set(Permission))
            operates = Permission.OPERATE in may
            resume = seen.page.locator("#head").get_by_role("button", name="Resume")
            assert (await resume.count() == 1) is operates, role
            adds = seen.page.locator("#head a", has_text="Add job")
            assert (await adds.count() == 1) is (Permission.SUBMIT in may), role
            assert (await seen.page.locator("[data-pick]").count() > 0) is operates, role
            for page in pages():
                answer = await seen.page.request.get(town.url + town.address(page))
                wanted = 200 if page.permission in may else 403
                assert answer.status == wanted, (role, page.name)
            links = await seen.page.locator(".side a").evaluate_all(
                "links => links.map((link) => link.getAttribute('href'))"
            )
            shown = {p.path for p in pages() if p.nav is not None and p.permission in may}
            assert set(links) == shown, role

            for route, fields in (
                ("set_concurrency", {}),
                ("resume_queue", {"queue": HOOKS}),
                ("remove_job", {"queue": MAIL, "job_id": town.failed}),
            ):
                if operates:
                    continue
                answer = await seen.page.request.post(
                    f"{town.url}/act/{route}",
                    form={**fields, "next": "/queues"},
                    headers={"origin": town.url},
                    max_redirects=0,
                )
                assert answer.status in (303, 403, 404), (role, route)
            info = await town.app.queue(HOOKS, existing=True).info()
            assert info is not None
            assert info.paused, role
            assert await town.app.queue(MAIL).job(town.failed).info() is not None
            api = await seen.page.request.post(
                f"{town.url}/api/v1/queues/{HOOKS}/resume", headers={"origin": town.url}
            )
            assert (api.status == 200) is operates, role
            await town.app.queue(HOOKS, existing=True).pause()


async def test_two_people_on_one_page_see_what_the_other_does(
    town: Scene, browser: Browser
) -> None:
    async with looking(browser) as ann, looking(browser) as bo:
        await enter(ann.page, town, "operator", f"/queues/{BILLS}")
        await enter(bo.page, town, "admin", f"/queues/{BILLS}")
        await expect(bo.page.locator("#live")).to_have_attribute("data-state", "on")
        await ann.page.locator("#head summary", has_text="Pause").click()
        await ann.page.locator("dialog:modal .button.primary").click()
        await expect(bo.page.locator("#head")).to_contain_text("paused")
        await bo.page.locator("#head").get_by_role("button", name="Resume").click()
        await expect(ann.page.locator("#head summary", has_text="Pause")).to_be_visible()

        job = await town.app.queue(BILLS).add("bill", {"no": 7})
        await ann.page.goto(f"{town.url}/queues/{BILLS}/jobs/{job.id}")
        await bo.page.goto(f"{town.url}/queues/{BILLS}/jobs/{job.id}")
        for one in (ann, bo):  # the second is too late, and is told so
            await one.page.locator("details.opens summary", has_text="Remove").first.click()
        await ann.page.locator("dialog:modal .button.primary").click()
        await expect(ann.page.locator("#flashes")).not_to_be_empty()
        await bo.page.locator("dialog:modal .button.primary").click()
        await expect(bo.page.locator("main")).to_contain_text(job.id)
        await expect(bo.page.locator("main")).to_contain_text(re.compile("no job|not there|gone"))


@pytest.mark.parametrize("scripts", [True, False])
async def test_session_that_ends_leads_to_the_whole_page_of_signing_in(
    town: Scene, browser: Browser, scripts: bool
) -> None:
    """The form to sign in came into the page that was there, whose address stayed."""
    await control(town).users.add("brief", secret("brief"), role="operator", payloads=True)
    async with looking(browser, java_script_enabled=scripts) as seen:
        await enter(seen.page, town, "brief", f"/queues/{HOOKS}")
        if scripts:  # no part comes anew: what the page came with sends the form
            await seen.page.locator("#live").click()
        await control(town).users.remove("brief")
        await seen.page.locator("#head").get_by_role("button", name="Resume").click()
        await seen.page.wait_for_url(re.compile(r"/login.*why=undone"))
        await expect(seen.page.locator("body.bare main")).to_contain_text("nothing was changed")


async def test_session_that_ends_changes_nothing_and_leads_back(
    town: Scene, browser: Browser
) -> None:
    await control(town).users.add("temp", secret("temp"), role="operator", payloads=True)
    async with looking(browser) as seen:
        await enter(seen.page, town, "temp", f"/queues/{BILLS}")
        await expect(seen.page.locator("#live")).to_have_attribute("data-state", "on")
        await seen.page.locator("#head summary", has_text="Pause").click()
        await seen.page.locator("dialog:modal input[name=reason]").fill("night")
        await control(town).users.set_password("temp", secret("temp"))  # ends all sessions
        await seen.page.locator("dialog:modal .button.primary").click()
        await seen.page.wait_for_url(re.compile(r"/login"))
        await expect(seen.page.locator("main")).to_contain_text("nothing was changed")
        info = await town.app.queue(BILLS, existing=True).info()
        assert info is not None
        assert not info.paused
        await seen.page.locator("input[name=name]").fill("temp")
        await seen.page.locator("input[name=password]").fill(secret("temp"))
        await seen.page.get_by_role("button", name="Sign in", exact=True).click()
        await seen.page.wait_for_url(f"{town.url}/queues/{BILLS}")

        await expect(seen.page.locator("#live")).to_have_attribute("data-state", "on")
        await control(town).users.set_password("temp", secret("temp"))
        await town.app.queue(BILLS).add("bill", {"no": 8})  # the page asks for what is new
        await expect(seen.page.locator("#live")).to_have_attribute("data-state", "ended")
        await expect(seen.page.locator("h1")).to_contain_text(BILLS)  # it stays to be read


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_other_browsers_are_signed_out_and_rights_are_changed(
    town: Scene, browser: Browser, scripts: bool, theme: str
) -> None:
    how = {"java_script_enabled": scripts, "color_scheme": theme}
    async with looking(browser, **how) as here, looking(browser) as there:
        await enter(there.page, town, "admin", "/sessions")
        await enter(here.page, town, "admin", "/sessions")
        await expect(here.page.locator("#mine .chip")).to_have_text("this browser")
        assert await here.overflow(320) == []
        if scripts:
            assert await here.axe() == []
        await here.page.locator("summary", has_text="Sign out elsewhere").click()
        await here.page.get_by_role("button", name="Sign them out").click()
        await expect(here.page.locator("#flashes")).to_contain_text("Browsers that were signed out")
        await expect(here.page.locator("#mine tbody tr")).to_have_count(1)
        await there.page.goto(f"{town.url}/queues")
        await there.page.wait_for_url(re.compile(r"/login"))

        name = f"rights {theme} {scripts}"
        await control(town).users.add(name, secret(name), role="operator")
        await here.page.goto(f"{town.url}/access")
        row = here.page.locator("#users tr", has_text=name)
        await row.get_by_role("link", name="Rights …").click()
        panel = here.page.locator("#rights")
        await expect(panel.get_by_role("radio", name="operator")).to_be_checked()
        assert await here.overflow(320) == []
        if scripts:
            assert await here.axe() == []
        await panel.get_by_role("radio", name="viewer").check()
        await panel.locator("textarea").fill("mail*\nshop")
        await panel.get_by_role("button", name="Change the rights").click()
        await expect(here.page.locator("#flashes")).to_contain_text("has these rights from now on")
        await expect(row).to_contain_text("viewer")
        here.silent()
    (user,) = [one for one in await control(town).users.list() if one.name == name]
    assert (user.role, user.queues, user.payloads) == ("viewer", ("mail*", "shop"), False)
