"""Pages of the largest and the smallest jobs in a real Chromium: no error, none too wide, and what is on them works.

They are held by a service of this machine, wherever the others run. That a page becomes usable is asserted by using it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from browser import Watched, tab
from heavy_jobs import CANDIDATES, Heavy, heavy_jobs

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(600)]

OF_JOB = ("", "/candidates", "/candidates/300", "/prompts", "/rows", "/log", "/settings")
Opened = Callable[..., AbstractContextManager[Watched]]


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heavy]:
    with heavy_jobs(tmp_path_factory.mktemp("heavy")) as found:
        yield found


@pytest.fixture
def watched(launched: Browser, heavy: Heavy) -> Opened:
    def open_tab(**options: Any) -> AbstractContextManager[Watched]:
        return tab(launched, heavy.url, **options)

    return open_tab


def used(page: Page, link: str, heading: str) -> None:
    """Follows one of the page's own links, for which its scripts must have come to an end."""
    page.get_by_role("link", name=link, exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("which", ["large", "searching", "single"])
def test_every_page_of_such_a_job_holds(heavy: Heavy, watched: Opened, which: str, width: int) -> None:
    job_id = getattr(heavy, which)
    with watched(viewport={"width": width, "height": 800}) as found:
        page = found.page
        for below in OF_JOB if which != "single" else [each for each in OF_JOB if "300" not in each]:
            page.goto(f"/page/jobs/{job_id}{below}")
            page.wait_for_timeout(300)  # for what scripts draw
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{which}{below} at {width} px is {over} px too wide"
            used(page, "Health", "Health")


def test_five_thousand_events_and_three_hundred_candidates_are_a_curve_with_a_cursor(
    heavy: Heavy, watched: Opened
) -> None:
    for job_id in (heavy.large, heavy.searching):
        with watched() as found:
            page = found.page
            page.goto(f"/page/jobs/{job_id}")
            page.locator("figure.curve .plot").hover()
            expect(page.locator("figure.curve .u-legend")).not_to_contain_text("best so far: –")


def test_three_hundred_candidates_are_gone_through_and_one_of_100_kb_is_opened(heavy: Heavy, watched: Opened) -> None:
    with watched() as found:
        page, seen = found.page, 0
        page.goto(f"/page/jobs/{heavy.large}/candidates")
        while True:
            seen += page.locator(".lineage tbody tr").count()
            following = page.locator('a[rel="next"]')
            if not following.count():
                break
            following.click()
        assert seen == CANDIDATES
        page.goto(f"/page/jobs/{heavy.large}/candidates/300")
        expect(page.get_by_role("heading", name="From candidate 150")).to_be_visible()
        expect(page.locator("pre.prompt ins").first).to_have_text("300")


def test_ten_thousand_rows_are_paged_compared_and_sent_again(heavy: Heavy, watched: Opened) -> None:
    with watched() as found:
        page = found.page
        page.goto(f"/page/jobs/{heavy.large}/rows?which=won")
        expect(page.locator("table.rows tbody tr")).to_have_count(50)
        page.locator('a[rel="next"]').click()
        expect(page.locator("table.rows tbody tr").first.get_by_role("rowheader")).to_have_text("500")
        page.goto(f"/page/compare?job={heavy.large}&job={heavy.other}")
        expect(page.locator("main")).to_contain_text("large is better. On the same 10,000 test rows other won 0")
        expect(page.locator("table.rows tbody tr")).to_have_count(50)
        page.goto(f"/page/new?from={heavy.large}")
        expect(page.locator("#outlook")).to_contain_text("It can be sent", timeout=60_000)


def test_what_is_written_from_the_right_is_shown_so(heavy: Heavy, watched: Opened) -> None:
    with watched() as found:
        page = found.page
        page.goto(f"/page/jobs/{heavy.single}/prompts")
        assert page.locator("pre.prompt").first.evaluate("element => element.matches(':dir(rtl)')")
        page.goto(f"/page/jobs/{heavy.single}/rows")
        gold = page.locator("table.rows tbody tr td:nth-child(4) [dir=auto]").first
        assert gold.evaluate("element => element.matches(':dir(rtl)')")
        expect(page.locator("table.rows tbody tr")).to_have_count(1)
