"""The page in a real Chromium: nothing fails unseen, everybody can use it, and a job is followed from its form to its
files, by keyboard alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from browser import Open, Watched
from killing import kill
from payloads import payload
from under_test import Model, Service
from waiting import wait_for
from whole_jobs import ended, job, reached, submit
from whole_service import Service as WholeService

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(600)]

SEARCH: dict[str, Any] = {
    "optimizer_name": "dspy.BootstrapFewShotWithRandomSearch",
    "optimizer_kwargs": {"num_candidate_programs": 8, "max_bootstrapped_demos": 1, "num_threads": 1},
    "split_fractions": {"train": 0.3, "val": 0.4, "test": 0.3},
}
GEPA: dict[str, Any] = {
    "optimizer_name": "gepa",
    "optimizer_kwargs": {"max_metric_calls": 120, "num_threads": 2},
    "split_fractions": {"train": 0.4, "val": 0.3, "test": 0.3},
}
OF_JOB = (
    "",
    "/candidates",
    "/candidates/1",
    "/prompts",
    "/rows",
    "/rows?which=won",
    "/log",
    "/log?level=ERROR&words=x",
    "/settings",
    "/delete",
)
SERIOUS = ("serious", "critical")


def pages(finished: str, other: str) -> list[str]:
    return [
        "/",
        "/?status=failed&words=nothing",
        "/page/new",
        f"/page/new?from={finished}",
        "/page/health",
        f"/page/compare?job={finished}&job={other}",
        *(f"/page/jobs/{finished}{below}" for below in OF_JOB),
    ]


def settled(page: Page) -> None:
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)  # for what scripts draw


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_anything_serious_against_it(opened: Open, finished: str, other: str, scheme: str) -> None:
    with opened(color_scheme=scheme) as watched:
        for path in pages(finished, other):
            watched.page.goto(path)
            settled(watched.page)
            found = Axe().run(watched.page).response["violations"]
            wrong = [
                (each["id"], [n["html"] for n in each["nodes"][:3]]) for each in found if each["impact"] in SERIOUS
            ]
            assert wrong == [], f"{path} in {scheme}"


@pytest.mark.parametrize("width", [360, 1600])
def test_no_page_is_wider_than_its_window(opened: Open, finished: str, other: str, width: int) -> None:
    with opened(viewport={"width": width, "height": 800}) as watched:
        for path in pages(finished, other):
            watched.page.goto(path)
            settled(watched.page)
            over = watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{path} at {width} px is {over} px too wide"


@pytest.mark.parametrize("width", [360, 800, 1100])
def test_tiles_fill_their_rows(opened: Open, finished: str, width: int) -> None:
    with opened(viewport={"width": width, "height": 800}) as watched:
        for path in (f"/page/jobs/{finished}", "/page/health"):
            watched.page.goto(path)
            tiles = watched.page.locator("dl.tiles").first
            ends = tiles.evaluate(
                """(tiles) => {
                    const rows = new Map();
                    for (const tile of tiles.children) {
                        const at = tile.getBoundingClientRect();
                        rows.set(at.top, Math.max(rows.get(at.top) ?? 0, at.right));
                    }
                    const end = tiles.getBoundingClientRect().right;
                    return [...rows.values()].map((row) => Math.round(end - row));
                }"""
            )
            assert set(ends) == {0}, f"{path} at {width} px: rows end {ends} px before the right"


def test_all_that_is_reading_works_without_scripts(opened: Open, finished: str, other: str) -> None:
    with opened(java_script_enabled=False) as watched:
        watched.page.goto("/")
        watched.page.get_by_role("link", name="browser-finished").click()
        expect(watched.page.locator("figure.curve svg path.best")).to_have_count(1)
        for link in ("Candidates", "Prompts", "Rows", "Log", "Settings"):
            watched.page.get_by_role("navigation", name="Of this job").get_by_role("link", name=link).click()
            expect(watched.page.get_by_role("heading", level=1)).to_contain_text("browser-finished")
        watched.page.goto(f"/page/compare?job={finished}&job={other}")
        expect(watched.page.get_by_role("heading", name="2 jobs side by side")).to_be_visible()


def test_what_users_wrote_is_text(opened: Open, finished: str) -> None:
    with opened() as watched:
        watched.page.on("dialog", lambda dialog: watched.wrong.append(f"dialog: {dialog.message}"))
        for below in ("", "/settings"):
            watched.page.goto(f"/page/jobs/{finished}{below}")
            settled(watched.page)
            assert watched.page.locator("main img").count() == 0
            assert "\u202e" not in watched.page.inner_text("main")
        expect(watched.page.locator(".hidden-character").first).to_contain_text("U+")


def test_a_running_job_is_live_and_ends_by_itself(opened: Open, running: Service, slow: Model) -> None:
    job_id = submit(running.http, payload(30, slow.url, **SEARCH))
    reached(running.http, job_id, {"running"})
    with opened() as watched:
        page = watched.page
        page.goto(f"/page/jobs/{job_id}")
        calls = page.locator(".tiles div", has_text="Metric calls").locator("dd")
        before = calls.inner_text()
        expect(calls).not_to_have_text(before, timeout=30_000)
        expect(page.locator("figure.curve")).to_have_count(1, timeout=60_000)
        seen = page.locator("#tail li").count()
        assert seen > 0
        slow.latency = 0.0
        expect(page.get_by_role("heading", name="Take it away")).to_be_visible(timeout=90_000)
        assert page.locator("#stream").count() == 0, "an ended job has nothing to wait for"


def test_candidates_come_by_themselves_and_one_is_opened_beside_its_parent(
    opened: Open, running: Service, slow: Model
) -> None:
    reflects = {"reflection_model_config": orjson.loads(payload(1, slow.url))["model_config"]}
    job_id = submit(running.http, payload(30, slow.url, **GEPA, **reflects))
    reached(running.http, job_id, {"running"})
    with opened() as watched:
        page = watched.page
        page.goto(f"/page/jobs/{job_id}/candidates")
        expect(page.locator(".lineage tbody tr").nth(1)).to_be_visible(timeout=90_000)
        slow.latency = 0.0
        assert ended(running.http, job_id)["status"] == "success"
        expect(page.locator("#stream")).to_have_count(0, timeout=60_000)
        page.get_by_role("navigation", name="Of this job").get_by_role("link", name="Overview").click()
        expect(page.locator("figure.curve")).to_contain_text("candidate")
    candidates = running.http.get(f"/jobs/{job_id}/candidates").json()
    child = next(each for each in candidates if each["parents"] and each["changes"])
    with opened(java_script_enabled=False) as watched:
        page = watched.page
        page.goto(f"/page/jobs/{job_id}/candidates")
        page.get_by_role("link", name=f"Candidate {child['n']}", exact=True).click()
        expect(page.get_by_role("heading", name=f"From candidate {child['parents'][0]}")).to_be_visible()
        expect(page.get_by_role("heading", name="From the program as given")).to_be_visible()
        expect(page.locator("pre.prompt ins").first).to_be_visible()
        assert page.locator("figure.curve").count() == 0


def away(watched: Watched, _: Service) -> None:
    watched.context.set_offline(True)
    watched.page.wait_for_timeout(1500)
    watched.context.set_offline(False)


def killed(_: Watched, running: Service) -> None:
    if not isinstance(running, WholeService):
        pytest.skip("kills a process of this machine")
    kill(running, "dspy-service-api")
    wait_for(lambda: answers(running), timeout=60, what="the API to be there again")


def answers(running: Service) -> bool:
    try:
        return running.http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("interruption", [away, killed])
def test_every_log_line_comes_once_across_a_break(
    opened: Open, running: Service, slow: Model, interruption: Callable[[Watched, Service], None]
) -> None:
    job_id = submit(running.http, payload(30, slow.url, **SEARCH))
    reached(running.http, job_id, {"running"})
    with opened() as watched:
        page = watched.page
        page.goto(f"/page/jobs/{job_id}/log")
        lines = page.locator("#tail li")
        expect(lines.nth(3)).to_be_visible(timeout=60_000)
        watched.offline = True
        interruption(watched, running)
        slow.latency = 0.0
        reached(running.http, job_id, {"success"})
        logs = [entry["message"].split("\n")[0] for entry in job(running.http, job_id, "/logs")]
        expect(lines).to_have_count(len(logs), timeout=60_000)
        watched.offline = False


def test_a_job_that_is_removed_while_it_is_looked_at_is_said(opened: Open, running: Service, slow: Model) -> None:
    job_id = submit(running.http, payload(30, slow.url, **SEARCH))
    reached(running.http, job_id, {"running"})
    with opened() as watched:
        watched.expected.add(404)
        watched.page.goto(f"/page/jobs/{job_id}")
        running.http.delete(f"/jobs/{job_id}")
        expect(watched.page.get_by_role("alert")).to_contain_text("Unknown job", timeout=60_000)


def test_from_the_form_to_the_files_by_keyboard_alone(
    opened: Open, running: Service, slow: Model, finished: str, tmp_path: Path
) -> None:
    """Send again, watch, stop, compare, download."""
    with opened(accept_downloads=True) as watched:
        page = watched.page
        page.goto(f"/page/jobs/{finished}")
        follow(page, "Send again")
        expect(page.locator("#outlook")).to_contain_text("It can be sent", timeout=60_000)
        reach(page, 'input[name="name"]')
        page.keyboard.type("by-keyboard")
        expect(page.locator("#outlook")).to_contain_text("It can be sent", timeout=60_000)
        reach(page, "#send button.main")
        page.keyboard.press("Enter")
        page.wait_for_url("**/page/jobs/*")
        job_id = page.url.rpartition("/")[2]
        reached(running.http, job_id, {"running"})
        progressed(running, job_id)
        page.reload()
        follow(page, "Stop and keep the best")
        expect(page.get_by_role("heading", name="Stop the search and keep the best program?")).to_be_visible()
        reach(page, "form button.main")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Take it away")).to_be_visible(timeout=90_000)
        assert job(running.http, job_id, "/summary")["status"] == "success"
        reach(page, 'a[href$="/files/state.json"]')
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        download.value.save_as(tmp_path / "state.json")
        assert (tmp_path / "state.json").read_text().startswith("{")
        page.goto("/")
        for each in (finished, job_id):
            reach(page, f'input[value="{each}"]')
            page.keyboard.press("Space")
        reach(page, "form.listing button")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="2 jobs side by side")).to_be_visible()


def progressed(running: Service, job_id: str) -> None:
    def found() -> bool:
        """The first candidate is the program as it was given."""
        return job(running.http, job_id, "/summary")["candidates_count"] > 1

    wait_for(found, timeout=120, interval=0.2, what="a search that has found something to keep")


def reach(page: Page, selector: str) -> None:
    """By Tab, as somebody without a mouse does."""
    for _ in range(200):
        if page.evaluate("(selector) => document.activeElement?.matches(selector) ?? false", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to {selector}")


def follow(page: Page, link: str) -> None:
    for _ in range(200):
        if page.evaluate("document.activeElement?.textContent.trim()") == link:
            page.keyboard.press("Enter")
            page.wait_for_load_state("load")
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to '{link}'")


def test_a_draft_survives_a_reload_and_no_key_is_kept(opened: Open) -> None:
    with opened() as watched:
        page = watched.page
        page.goto("/page/new")
        page.get_by_label("Note").fill("half a thought")
        page.locator('input[name="model_config.key"]').fill("sk-canary")
        page.reload()
        expect(page.get_by_label("Note")).to_have_value("half a thought")
        expect(page.locator('input[name="model_config.key"]')).to_have_value("")
        expect(page.locator("#draft")).to_be_visible()
        assert "sk-canary" not in page.evaluate("JSON.stringify(localStorage)")
        page.get_by_role("button", name="Discard it").click()
        expect(page.get_by_label("Note")).to_have_value("")


def test_mistakes_are_told_as_one_types(opened: Open, finished: str) -> None:
    with opened() as watched:
        page = watched.page
        page.goto(f"/page/new?from={finished}")
        outlook = page.locator("#outlook")
        expect(outlook).to_contain_text("It can be sent", timeout=60_000)
        page.locator('textarea[name="metric_code"]').fill("def metric(:")
        expect(outlook).to_contain_text("metric", timeout=60_000)
        expect(outlook).not_to_contain_text("It can be sent")
        page.locator('select[name="optimizer_name"]').select_option("miprov2")
        expect(page.locator('[name="argument.auto"]')).to_be_visible()


def test_the_list_is_live(opened: Open, running: Service, model: Model) -> None:
    with opened() as watched:
        watched.page.goto("/")
        submit(running.http, payload(30, model.url, run_options={"name": "seen-to-come"}))
        row = watched.page.locator("tr", has_text="seen-to-come")
        expect(row).to_contain_text("success", timeout=90_000)
        checked = row.get_by_role("checkbox")
        checked.check()
        watched.page.wait_for_timeout(2500)
        expect(checked).to_be_checked()
