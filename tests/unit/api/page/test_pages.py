"""Every page from answers as runs leave them: what it shows, that text stays text, and what it refuses."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api_service import (
    Harness,
    api_service,
    entries,
    events,
    failed,
    put_artifact,
    put_result,
    put_segment,
    running,
    succeeded,
)
from dspy_service_api.http.access.permissions import PAGE, declared, leaves
from dspy_service_api.page.visit import POLICY
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.resource import names

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
OTHER = "5f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a11"
NASTY = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> \u202e evil \x1b[31m http://example.org {{ 7*7 }} 中文 עברית"
)
PAGES = ("", "/candidates", "/prompts", "/rows", "/log", "/settings", "/stop", "/delete")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    acceptance = CoreAcceptance.from_settings(Settings())
    async with api_service(tmp_path, acceptance) as harness:
        yield harness


@pytest.fixture
async def visitor(api: Harness) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://localhost:8000") as client:
        yield client


def state(instructions: str) -> bytes:
    return orjson.dumps({"predict": {"demos": [{"text": NASTY}], "signature": {"instructions": instructions}}})


async def finished(api: Harness, job_id: str = ID, **result: Any) -> None:
    comparison = {
        "difference": "25.0", "interval": ["3.0", "47.0"], "confidence": "0.95", "method": "sign_test",
        "rows": 4, "won": 1, "lost": 0, "tied": 3, "failedRows": 0,
    }  # fmt: skip
    told = {"verdict": "improved", "comparison": comparison, **result}
    job = await api.job(names.api_job(job_id), succeeded(30, 3, job_id=job_id, **told))
    logs = entries(30)
    logs[-1]["message"] = NASTY
    put_segment(api.store, job, "logs", logs)
    put_segment(api.store, job, "events", events(3))
    put_result(
        api.store, job, details={"best_so_far": [[1, 50.0], [5, 66.7]], "candidate_scores": [[3, 40.0], [5, 66.7]]}
    )
    answer = {"prediction": {"team": NASTY}, "score": 0.0, "error": None}
    lines = [
        {"n": n, "outcome": "won" if n == 1 else "tied", "inputs": {"text": NASTY}, "gold": {"team": "a"},
         "baseline": answer, "optimized": answer | {"score": float(n == 1)}}
        for n in range(4)
    ]  # fmt: skip
    contents = {
        "rows.jsonl": b"\n".join(map(orjson.dumps, lines)),
        "baseline.json": state("Route the message to a team."),
        "program.json": state(f"Route the message to the right team. {NASTY}"),
        "messages.json": orjson.dumps(
            {"adapter": "chat", "predictors": {"predict": {"messages": [{"role": "user", "content": NASTY}]}}}
        ),
    }
    put_artifact(api.store, job, contents=contents)


def shown(answer: httpx.Response) -> str:
    """The page's HTML, which must be one that carries the policy and holds no markup of a job's."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert "no-store" in answer.headers["cache-control"]
    assert "<script>alert" not in answer.text
    assert "onerror=alert(1)>" not in answer.text
    for hidden in ("\u202e", "\x1b"):
        assert hidden not in answer.text
    return answer.text


async def page(visitor: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await visitor.get(path)
    assert answer.status_code == status, answer.text
    return shown(answer)


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def test_an_empty_service_says_how_to_begin(visitor: httpx.AsyncClient) -> None:
    html = await page(visitor, "/")
    assert "There are no jobs yet" in html
    assert "dspy-service submit" in html


async def test_the_list_shows_jobs_and_keeps_its_filters_in_the_address(
    api: Harness, visitor: httpx.AsyncClient
) -> None:
    await finished(api)
    await api.job("kubectl-job", running(metrics={"tqdm_percent": 40.0, "best_score": 61.5}, last_events=1))
    html = await page(visitor, "/")
    said = text(html)
    assert "improved +25.0 [+3.0, +47.0]" in said
    assert "61.5 validation" in said
    assert "about 42 s left" in said
    assert 'value="40.0"' in html
    only = await page(visitor, "/?status=running")
    assert "kubectl-job" in only
    assert ID[:8] not in only
    assert ID[:8] in await page(visitor, "/?words=MIPRO+success")
    assert "No job is so" in await page(visitor, "/?words=nothing-like-it")
    assert (await visitor.get("/?status=unheard")).status_code == 422


async def test_a_list_that_is_as_it_was_is_not_sent_again(api: Harness, visitor: httpx.AsyncClient) -> None:
    await api.job("a", running())
    html = await page(visitor, "/")
    again = re.search(r'hx-get="([^"]+)"', html)
    assert again is not None
    asked = again[1].replace("&amp;", "&")
    assert (await visitor.get(asked, headers={"HX-Request": "true"})).status_code == 204
    await api.update("a", {"status": running(metrics={"best_score": 90.0})})
    part = await visitor.get(asked, headers={"HX-Request": "true"})
    assert "90.0" in shown(part)
    assert "<html" not in part.text


async def test_older_jobs_follow_by_cursor(api: Harness, visitor: httpx.AsyncClient) -> None:
    for n in range(60):
        await api.job(f"job-number-{n}", {"phase": "Pending"})
    first = await page(visitor, "/")
    assert first.count("<tr id=") == 50
    following = re.search(r'href="(/\?[^"]*cursor=[^"]+)"', first)
    assert following is not None
    assert (await page(visitor, following[1].replace("&amp;", "&"))).count("<tr id=") == 10


async def test_a_finished_job_tells_its_whole_story(api: Harness, visitor: httpx.AsyncClient) -> None:
    await finished(api)
    said = text(await page(visitor, f"/page/jobs/{ID}"))
    assert "won 1 , lost 0 and tied 3" in said
    assert "new instructions" in said
    assert "went from 50.0 to 66.7" in await page(visitor, f"/page/jobs/{ID}")
    prompts = await page(visitor, f"/page/jobs/{ID}/prompts")
    assert "<del>a</del><ins>the right</ins>" in prompts
    rows = await page(visitor, f"/page/jobs/{ID}/rows?which=won")
    assert text(rows).count("▲ won") == 1
    assert "U+202E" in rows


@pytest.mark.parametrize("below", PAGES)
async def test_text_stays_text_and_every_page_holds_for_every_job(
    api: Harness, visitor: httpx.AsyncClient, below: str
) -> None:
    await finished(api)
    await api.job("waits", {"phase": "Pending", "message": NASTY})
    await api.job("runs", running(logs=2, last_events=2, notice=NASTY))
    await api.job("died", failed(NASTY))
    for job in (ID, "waits", "runs", "died"):
        await page(visitor, f"/page/jobs/{job}{below}")


def tried(n: int, *parents: int, said: str = "Route it to the right team.", **told: Any) -> dict[str, Any]:
    changes = {"predict": {"instructions": said, "demos": None}} if said else {}
    known = {"at_call": n * 6, "score": 40.0 + n, "rows": 6, "accepted": True, "changes": changes}
    return {"parents": list(parents), **known, **told}


async def test_candidates_are_a_lineage_each_beside_its_parent_and_the_program_as_given(
    api: Harness, visitor: httpx.AsyncClient
) -> None:
    await finished(api)
    found = [
        tried(1, said=""), tried(2, 1, said=f"Route the message to the right team. {NASTY}"), tried(3, 1),
        tried(4, 2, said=f"Route the message to the best team. {NASTY}", accepted=False, score=100.0, rows=2),
    ]  # fmt: skip
    job = await api.update(names.api_job(ID), {"status": {"run": {"candidates": 4}}})
    put_segment(api.store, job, "candidates", found)
    html = await page(visitor, f"/page/jobs/{ID}/candidates")
    assert re.findall(r'<tr id="candidate-(\d)"', html) == ["1", "2", "4", "3"]
    assert "✕ rejected" in html
    assert re.search(r'candidate-3".*<b>best</b>', html)
    opened = await page(visitor, f"/page/jobs/{ID}/candidates/4")
    assert opened.index("From <a") < opened.index("From the program as given")
    assert "to the <del>right</del><ins>best</ins> team" in opened
    assert "to <del>a</del><ins>the best</ins> team" in opened
    assert "Nothing is different" in await page(visitor, f"/page/jobs/{ID}/candidates/1")
    overview = await page(visitor, f"/page/jobs/{ID}")
    assert (overview.count('class="candidate"'), overview.count('class="few"')) == (3, 1)
    for missing in ("5", "0", "x", "-1", "²", "9" * 40):
        assert "has not tried" in await page(visitor, f"/page/jobs/{ID}/candidates/{missing}", 404)


async def test_of_three_hundred_candidates_a_page_is_shown_at_a_time(api: Harness, visitor: httpx.AsyncClient) -> None:
    """With prompts of 100 KB, while the search goes on: what is given is not known then."""
    job = await api.job("runs", running(candidates=300, last_events=2))
    for first in range(1, 301, 50):
        items = [tried(n, *([n - 1] if n > 1 else []), said=f"{n} " * 25_000) for n in range(first, first + 50)]
        put_segment(api.store, job, "candidates", items, first=first)
    seen: list[str] = []
    path = "/page/jobs/runs/candidates"
    for begin in range(0, 300, 50):
        html = await page(visitor, f"{path}?from={begin}")
        assert len(html) < 60_000
        assert ('rel="next"' in html) == (begin < 250)
        seen += re.findall(r'<tr id="candidate-(\d+)"', html)
    assert seen == [str(n) for n in range(1, 301)]
    assert ".c300" in html, "the stream brings those alone that the page has not"
    opened = await page(visitor, f"{path}/300")
    assert "is known once the job has ended" in opened
    assert len(opened) < 1_000_000
    live = await page(visitor, "/page/jobs/runs/live")
    assert live.count('class="candidate"') == 300
    assert "There are no more" in await page(visitor, f"{path}?from=900")


async def test_progress_against_the_budget(api: Harness, visitor: httpx.AsyncClient) -> None:
    usage = {"calls": 40, "promptTokens": 900, "completionTokens": 100, "costUsd": "0.25"}
    budget = {"modelCalls": 160, "tokens": 4000, "costUsd": "1.0"}
    await api.job("runs", running(usage=usage), budget=budget)
    html = await page(visitor, "/page/jobs/runs/live")
    said = text(html)
    assert "40 of 160" in said
    assert "1,000 of 4,000" in said
    assert "$0.25 of $1.00" in said
    assert html.count('value="25.0" aria-label="Of the budget') == 3
    await api.job("free", running())
    assert "Budget" not in await page(visitor, "/page/jobs/free/live")
    await api.job("spent", running(metrics={"baseline_test_metric": 50.0, "budget_hit": "model_calls"}))
    assert "The budget is spent (model calls)" in text(await page(visitor, "/page/jobs/spent/live"))


async def test_the_one_sentence_says_which_cap_ended_it(api: Harness, visitor: httpx.AsyncClient) -> None:
    await finished(api, stoppedEarly=True, budgetHit="tokens")
    assert "Stopped early by the budget&#39;s tokens" in await page(visitor, f"/page/jobs/{ID}")


async def scores(api: Harness, job_id: str, given: list[float], first: int = 0, **payload: Any) -> None:
    """A job of so many test rows, which its optimized program scored so."""
    job = await api.job(names.api_job(job_id), succeeded(job_id=job_id), **payload)
    answer = {"prediction": {"team": "a"}, "score": 0.0, "error": None}
    lines = [
        {"n": n, "outcome": "won" if score else "tied", "inputs": {"text": f"row {n}"}, "gold": {"team": "a"},
         "baseline": answer, "optimized": answer | {"score": score}}
        for n, score in enumerate(given, first)
    ]  # fmt: skip
    put_artifact(api.store, job, contents={"rows.jsonl": b"\n".join(map(orjson.dumps, lines))})


async def test_two_jobs_side_by_side(api: Harness, visitor: httpx.AsyncClient) -> None:
    await finished(api)
    await finished(api, OTHER)
    html = await page(visitor, f"/page/compare?job={ID}&job={OTHER}")
    assert "2 jobs side by side" in html
    said = text(html)
    assert "No evidence of a difference . On the same 4 test rows 5f0c6b6e won 0 , lost 0 and tied 4 against" in said
    assert "Both have the same score on each of 4 test rows." in said
    assert "Select two or more" in await page(visitor, f"/page/compare?job={ID}", 400)


async def test_of_two_jobs_on_the_same_rows_the_better_one_is_told_with_its_interval(
    api: Harness, visitor: httpx.AsyncClient
) -> None:
    await scores(api, ID, [0.0] * 30 + [1.0] * 2970)
    await scores(api, OTHER, [1.0] * 30 + [0.0] * 10 + [1.0] * 2960)
    said = text(await page(visitor, f"/page/compare?job={ID}&job={OTHER}"))
    assert "5f0c6b6e is better . On the same 3,000 test rows 5f0c6b6e won 30 , lost 10 and tied 2,960" in said
    assert "The difference is +0.7 points, and the true one lies between +0.2 and +1.1 with 95 % confidence" in said
    assert said.count("row 3") == 11, "rows 3, and 30 to 39"
    turned = text(await page(visitor, f"/page/compare?job={OTHER}&job={ID}"))
    assert "5f0c6b6e is better . On the same 3,000 test rows 4f0c6b6e won 10 , lost 30" in turned
    assert "between \u22121.1 and \u22120.2" in turned


async def test_two_jobs_on_other_rows_or_with_other_metrics_have_no_verdict_and_it_is_said_why(
    api: Harness, visitor: httpx.AsyncClient
) -> None:
    await scores(api, ID, [0.0] * 4)
    await scores(api, OTHER, [1.0] * 4, first=2)
    said = text(await page(visitor, f"/page/compare?job={ID}&job={OTHER}"))
    assert "There is no verdict. They were not scored on the same test rows: the first has 4 and the second 4" in said
    assert "row 3" in said, "what both have is shown all the same"
    third = "6f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a12"
    await scores(api, third, [1.0] * 4, metric={"code": "def metric(gold, pred, trace=None):\n    return 1.0"})
    said = text(await page(visitor, f"/page/compare?job={ID}&job={third}"))
    assert "There is no verdict. They were scored by different metrics" in said
    await api.job("runs", running())
    said = text(await page(visitor, f"/page/compare?job={ID}&job=runs"))
    assert "The second has test rows" not in said
    assert "has no test rows that were scored" in said


async def test_a_row_that_was_shown_before_is_another_one_when_its_job_has_changed(
    api: Harness, visitor: httpx.AsyncClient
) -> None:
    await api.job("one", running())
    first = await page(visitor, "/")
    assert "running" in text(first[first.index('id="row-one"') :])
    await api.update("one", {"status": failed("The model does not answer")})
    changed = await page(visitor, "/")
    assert "failed" in text(changed[changed.index('id="row-one"') :])


async def test_health_counts_what_waits_and_what_failed_of_what(api: Harness, visitor: httpx.AsyncClient) -> None:
    for n in range(3):
        await api.job(f"a{n}", failed(f"The model does not answer: time-out {n}"))
    await api.job("b", {"phase": "Pending"})
    await api.job("c", {"phase": "Pending"}, suspend=True)
    await api.job("d", running())
    said = text(await page(visitor, "/page/health"))
    assert "slots in use 1 in the queue 1 paused 1" in said
    assert "3 The model does not answer" in said
    assert "pending 2" in said


async def test_health_counts_more_jobs_than_a_page_of_the_list_holds(api: Harness, visitor: httpx.AsyncClient) -> None:
    for n in range(1203):
        await api.job(f"w{n}", {"phase": "Pending"}, suspend=n % 3 == 0)
    for n in range(501):
        await api.job(f"f{n}", failed("The model does not answer"))
    said = text(await page(visitor, "/page/health"))
    assert "in the queue 802 paused 401 pending 1,203" in said
    assert "failed 501" in said
    assert "Failed jobs by reason of the newest 500" in said
    assert "or more" not in said


async def test_what_a_form_does_is_done(api: Harness, visitor: httpx.AsyncClient) -> None:
    await api.job("runs", running())
    html = await page(visitor, "/page/jobs/runs/pause")
    assert "Calls that are on their way" in html
    done = await visitor.post("/page/jobs/runs/pause", data=word(html))
    assert (done.status_code, done.headers["location"]) == (303, "/page/jobs/runs")
    assert "Resume" in await page(visitor, "/page/jobs/runs")
    gone = await visitor.post("/page/jobs/runs/delete", data=word(html))
    assert (gone.status_code, gone.headers["location"]) == (303, "/")
    await page(visitor, "/page/jobs/runs", 404)


def word(html: str) -> dict[str, str]:
    return {"form_word": html.partition('name="form_word" value="')[2].partition('"')[0]}


async def test_what_has_ended_says_so_when_it_is_stopped(api: Harness, visitor: httpx.AsyncClient) -> None:
    await api.job("died", failed("x"))
    html = await page(visitor, "/page/jobs/died/stop")
    answer = await visitor.post("/page/jobs/died/stop", data=word(html))
    assert answer.status_code == 409
    assert "ended" in shown(answer)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("rows.csv", "text/csv"), ("log.txt", "text/plain"), ("state.json", "application/json"),
        ("messages.json", "application/json"), ("prompt.md", "text/plain"), ("program.pkl", "application/octet-stream"),
    ],
)  # fmt: skip
async def test_files_are_taken_away_and_never_shown(
    api: Harness, visitor: httpx.AsyncClient, file: str, kind: str
) -> None:
    await finished(api)
    answer = await visitor.get(f"/page/jobs/{ID}/files/{file}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"].startswith(kind)
    assert answer.content


async def test_a_job_is_sent_from_the_form_and_checked_on_the_way(api: Harness, visitor: httpx.AsyncClient) -> None:
    html = await page(visitor, "/page/new")
    form = form_of(html)
    empty = await visitor.post("/page/new/check", data=form)
    assert "Dataset must contain at least one row" in shown(empty)
    form["pasted"] = "question,answer\n" + "".join(f"{n},{n}\n" for n in range(40))
    form |= {
        "split.train": "20",
        "split.val": "12",
        "split.test": "8",
        "model_config.key": "sk-canary-key",
        "name": "by-hand",
    }
    checked = text(shown(await visitor.post("/page/new/check", data=form)))
    assert "It can be sent" in checked
    assert "20 rows to train, 12 to choose by, 8 to test" in checked
    refused = await visitor.post("/page/new", data=form | {"argument.auto": "heaviest"})
    assert refused.status_code == 400
    assert "sk-canary-key" not in shown(refused)
    assert "heaviest" in refused.text, "what was typed is not lost"
    sent = await visitor.post("/page/new", data=form)
    assert sent.status_code == 303, sent.text
    job_id = sent.headers["location"].rpartition("/")[2]
    settings = await page(visitor, f"/page/jobs/{job_id}/settings")
    assert "sk-canary-key" not in settings
    again = form_of(await page(visitor, f"/page/new?from={job_id}"))
    assert (again["split.train"], again["model_config.key"]) == ("20", "")
    other = await visitor.post("/page/new", data=again | {"argument.auto": "medium"})
    assert other.status_code == 303, other.text


async def test_each_argument_says_what_it_takes_and_means(visitor: httpx.AsyncClient) -> None:
    said = text(await page(visitor, "/page/new/arguments?optimizer_name=gepa"))
    assert "max_metric_calls int, at least 1. The maximum number of metric calls to perform." in said
    assert 'str. The auto budget to use for the run. Options: "light", "medium", "heavy".' in unescape(said)
    html = await page(visitor, "/page/new/arguments?optimizer_name=miprov2")
    assert 'name="argument.num_candidates"' in html
    assert 'aria-describedby="about-argument.num_candidates"' in html
    assert "Maximum number of labeled demonstrations to include." in text(html)


def form_of(html: str) -> dict[str, str]:
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.form: dict[str, str] = {}
            self.area = self.select = ""
            self.inside = False

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = {key: value or "" for key, value in attrs}
            if tag == "form":
                self.inside = given.get("id") == "send"
            if not self.inside:
                return
            if tag == "input" and given.get("type") != "file":
                self.form[given["name"]] = given.get("value", "")
            elif tag == "textarea":
                self.area = given["name"]
                self.form[self.area] = ""
            elif tag == "select":
                self.select = given["name"]
                self.form[self.select] = ""
            elif tag == "option" and self.select and "selected" in given:
                self.form[self.select] = given.get("value", "\0")

        def handle_data(self, data: str) -> None:
            if self.area:
                self.form[self.area] += data
            elif self.select and self.form[self.select] == "\0":
                self.form[self.select] = data

        def handle_endtag(self, tag: str) -> None:
            if tag == "textarea":
                self.area = ""
            elif tag == "select":
                self.select = ""

    reader = Reader()
    reader.feed(html)
    return {key: value for key, value in reader.form.items() if value != "\0"}


async def test_a_payloads_file_becomes_the_form(api: Harness, visitor: httpx.AsyncClient) -> None:
    html = await page(visitor, "/page/new")
    payload = {
        "module_name": "cot",
        "optimizer_name": "gepa",
        "dataset": [{"a": 1}],
        "metric_code": "def metric(): ...",
    }
    files = {"payload": ("p.json", orjson.dumps(payload), "application/json")}
    read = form_of(shown(await visitor.post("/page/new/file", data=word(html), files=files)))
    assert (read["module_name"], read["optimizer_name"], read["pasted"]) == ("cot", "gepa", '[{"a":1}]')
    wrong = await visitor.post(
        "/page/new/file", data=word(html), files={"payload": ("p.json", b"[", "application/json")}
    )
    assert "is no JSON" in shown(wrong)


async def test_a_cluster_out_of_reach_is_said(api: Harness, visitor: httpx.AsyncClient) -> None:
    await visitor.get("/")
    api.service.reflector.synced.clear()
    assert "still reading the jobs" in await page(visitor, "/", 503)


async def test_the_page_reads_nothing_by_itself(api: Harness) -> None:
    """Whatever has no right of its own is a page, and pages ask other routes."""
    pages = {route.path for route in leaves(api.app.routes) if declared(route) == PAGE}
    assert all(path == "/" or path.startswith("/page/") for path in pages)
    assert "/page/jobs/{job_id}/stream" in pages


async def test_there_may_be_no_page(tmp_path: Path) -> None:
    async with api_service(tmp_path / "b", CoreAcceptance.from_settings(Settings()), page=False) as bare:
        assert (await bare.client.get("/")).status_code == 404
