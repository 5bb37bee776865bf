"""What pages show, made of answers: at the sizes that real jobs have, and of answers that are thin or strange."""

import csv
import io
from typing import Any

import pytest

from dspy_service_api.page.views.candidates import beside, lineage
from dspy_service_api.page.views.curve import curve_of
from dspy_service_api.page.views.differences import Piece, pieces
from dspy_service_api.page.views.payload_form import Unreadable, form_of, fractions, payload_of, read_rows
from dspy_service_api.page.views.prompts import predictors
from dspy_service_api.page.views.rows import as_csv


def row(n: int, score: float | None, **changes: Any) -> dict[str, Any]:
    answer = {"prediction": {"team": "a"}, "score": score, "error": None}
    return {
        "n": n, "outcome": None, "inputs": {"text": f"row {n}"}, "gold": {"team": "a"}, "baseline": answer,
        "optimized": None, **changes,
    }  # fmt: skip


def event(calls: float, best: float | None) -> dict[str, Any]:
    return {"event": "optimizer_progress", "metrics": {"tqdm_n": calls, "best_score": best}}


# Curves


def test_the_best_so_far_is_a_step_at_each_change() -> None:
    curve = curve_of([event(1, None), event(5, 40.0), event(9, 40.0), event(12, 60.0), event(20, 60.0)], {})
    assert curve is not None
    assert curve.best == ((5.0, 40.0), (9.0, 40.0), (12.0, 60.0), (20.0, 60.0))
    assert "from 40.0 to 60.0 within 20 metric calls" in curve.said


def test_nothing_scored_is_no_curve() -> None:
    assert curve_of([event(3, None)], {}) is None


def test_the_best_so_far_rises_where_its_candidate_came() -> None:
    """The result's own list counts the baseline's calls too."""
    found = [tried(1, score=40.0), tried(2, score=60.0), tried(3, score=50.0), tried(4, score=100.0, rows=2)]
    curve = curve_of([event(9, 40.0)], {"best_so_far": [[26, 40.0], [36, 60.0]]}, found)
    assert curve is not None
    assert curve.best == ((10.0, 40.0), (20.0, 60.0), (30.0, 60.0)), "it holds to the last of them"
    assert curve.candidates == ((10.0, 40.0), (20.0, 60.0), (30.0, 50.0))
    assert curve.on_few == ((40.0, 100.0),)


def test_an_attempt_that_began_again_does_not_draw_backwards() -> None:
    curve = curve_of([event(5, 40.0), event(9, 50.0), event(2, 45.0), event(12, 60.0)], {})
    assert curve is not None
    assert [calls for calls, _ in curve.best] == [5.0, 9.0, 12.0]


@pytest.mark.parametrize("scores", [[50.0], [0.0, 0.0], [-3.0, 1e6], [0.001, 0.002], [99.9, 100.0]])
def test_every_range_has_ticks_and_fits_in(scores: list[float]) -> None:
    curve = curve_of([], {"best_so_far": [[n, score] for n, score in enumerate(scores)]})
    assert curve is not None
    assert 1 <= len(curve.up) <= 8
    assert all(0 <= tick.at <= 220 for tick in curve.up)


def test_five_thousand_events_and_three_hundred_candidates_are_a_small_picture() -> None:
    best = [[n, n / 50] for n in range(5000)]
    curve = curve_of([], {"best_so_far": best, "candidate_scores": [[n * 10, 30.0] for n in range(300)]})
    assert curve is not None
    assert len(curve.dots) == 300
    assert len(curve.best) == 600
    assert (curve.best[0], curve.best[-1]) == ((0.0, 0.0), (4999.0, 99.98))


def tried(n: int, *parents: int, **told: Any) -> dict[str, Any]:
    known = {"at_call": n * 10, "score": 50.0, "rows": 6, "accepted": True, "changes": {}}
    return {"n": n, "parents": list(parents), **known, **told}


def test_candidates_are_points_and_those_of_a_batch_are_other_ones() -> None:
    found = [tried(1), tried(2, score=66.7), tried(3, score=100.0, rows=2), tried(4, score=None, rows=0)]
    curve = curve_of([], {"candidate_scores": [[1, 1.0]]}, found)
    assert curve is not None
    assert (curve.candidates, curve.on_few) == (((10.0, 50.0), (20.0, 66.7)), ((30.0, 100.0),))
    assert "3 candidates were scored" in curve.said
    assert len(curve.few) == 1


def test_figures_that_are_none_are_left_out() -> None:
    details = {"best_so_far": [[1, 50.0], [2, "x"], [3], None, [4, float("nan")]]}
    curve = curve_of([], details)
    assert curve is not None
    assert curve.best == ((1.0, 50.0),)


# Candidates


def test_each_candidate_stands_below_its_first_parent() -> None:
    found = [tried(1), tried(2, 1), tried(3, 1, score=70.0), tried(4, 2), tried(5, 3, 4), tried(6, score=90.0, rows=2)]
    lines = lineage(found)
    assert [(line.n, line.depth) for line in lines] == [(1, 0), (2, 1), (4, 2), (3, 1), (5, 2), (6, 0)]
    assert next(line for line in lines if line.n == 5).parents == (3, 4)
    assert [line.n for line in lines if line.best] == [3], "a score on fewer rows is not the best"


def test_without_parents_they_come_in_order() -> None:
    assert [(line.n, line.depth) for line in lineage([tried(n) for n in range(1, 5)])] == [(n, 0) for n in range(1, 5)]
    assert lineage([]) == []


@pytest.mark.parametrize("parents", [[2], [9], [0], ["1", None, {}], "1", None, [1, 1]])
def test_parents_that_cannot_be_lose_no_candidate_and_make_no_circle(parents: Any) -> None:
    assert sorted(line.n for line in lineage([tried(1), tried(2) | {"parents": parents}, tried(3, 2)])) == [1, 2, 3]


def test_a_chain_of_two_thousand_is_a_lineage() -> None:
    lines = lineage([tried(n, n - 1) for n in range(1, 2001)])
    assert ([line.n for line in lines], lines[-1].depth) == (list(range(1, 2001)), 12)


def given(**texts: str) -> dict[str, Any]:
    return {name: {"signature": {"instructions": said}, "demos": []} for name, said in texts.items()}


def changing(**texts: str | None) -> dict[str, Any]:
    return {name: {"instructions": said, "demos": None} for name, said in texts.items()}


def test_a_candidate_is_told_apart_from_its_parent_and_from_the_program_as_given() -> None:
    parent = tried(2, changes=changing(route="Route it well."))
    candidate = tried(3, 2, changes=changing(route="Route it very well.", answer="Reply briefly."))
    first, last = beside(candidate, given(route="Route it.", answer="Reply.", other="Same."), [parent])
    assert (first.n, last.n) == (2, None)
    assert [each.name for each in first.predictors] == ["route", "answer"], "what is the same is left out"
    assert Piece("new", "very ") in first.predictors[0].instructions
    said = "".join(piece.text for piece in last.predictors[0].instructions if piece.kind != "new")
    assert said == "Route it."


def test_a_lone_predictors_candidate_too_and_demonstrations_alone() -> None:
    alone = {"signature": {"instructions": "Route it."}, "demos": []}
    changes = {"self": {"instructions": None, "demos": [{"text": "a", "augmented": True}]}}
    [only] = beside(tried(1, changes=changes), alone, [])
    assert [(each.name, each.demos, each.instructions_changed) for each in only.predictors] == [
        ("self", ({"text": "a"},), False)
    ]


@pytest.mark.parametrize("changes", [None, [], {"a": None}, {"a": {"instructions": 3, "demos": "x"}}])
def test_changes_of_any_shape_are_shown(changes: Any) -> None:
    assert beside(tried(2, 1, changes=changes), None, [tried(1)])


def test_three_hundred_candidates_of_100_kb_are_a_list_and_one_is_opened() -> None:
    text = "\n".join(f"Rule {n}: look at word {n * 7}." for n in range(3000))
    found = [tried(n, *([n // 2] if n > 1 else []), changes=changing(a=f"{text}\nLast {n}.")) for n in range(1, 301)]
    assert len(lineage(found)) == 300
    first, last = beside(found[299], given(a=text), [found[149]])
    assert [piece.text for piece in first.predictors[0].instructions if piece.kind != "same"] == ["150", "300"]
    assert last.predictors[0].instructions_changed


# Differences


def test_texts_are_told_apart_word_by_word() -> None:
    assert pieces("Route it to a team.", "Route it to the right team.") == [
        Piece("same", "Route it to "),
        Piece("gone", "a"),
        Piece("new", "the right"),
        Piece("same", " team."),
    ]


@pytest.mark.parametrize(("before", "after"), [("", "new\n"), ("a\nb\n", "a\nc\nb"), ("x", ""), ("中文 文", "中文 字")])
def test_both_texts_can_be_read_off(before: str, after: str) -> None:
    found = pieces(before, after)
    assert "".join(piece.text for piece in found if piece.kind != "new") == before
    assert "".join(piece.text for piece in found if piece.kind != "gone") == after


def test_texts_of_very_many_lines_are_not_compared_line_by_line() -> None:
    """It would take minutes where all lines are alike."""
    assert [piece.kind for piece in pieces("a\n" * 120_000, "a\n" * 119_999 + "b\n")] == ["gone", "new"]


def test_prompts_of_100_kb_are_compared() -> None:
    before = "\n".join(f"Rule {n}: look at word {n * 7}." for n in range(4000))
    after = before.replace("Rule 2000: look", "Rule 2000: do not look")
    assert [piece for piece in pieces(before, after) if piece.kind != "same"] == [Piece("new", " do not")]


def test_a_lone_predictor_and_many_are_found_alike() -> None:
    state = {"demos": [{"text": "a", "augmented": True}], "signature": {"instructions": "new"}}
    (lone,) = predictors({"demos": [], "signature": {"instructions": "old"}}, state)
    assert (lone.name, lone.demos, lone.demos_before) == ("self", ({"text": "a"},), 0)
    assert [each.name for each in predictors({}, {"one": state, "two": state, "metadata": {}})] == ["one", "two"]


@pytest.mark.parametrize("state", [None, [], {"p": 3}, {"p": {"signature": 1}}])
def test_a_state_that_is_none_has_no_predictors(state: Any) -> None:
    assert predictors(state, state) == []


# Rows


def test_no_cell_of_the_csv_is_a_formula() -> None:
    bad = [row(n, 0.0, inputs={"text": text}) for n, text in enumerate(["=1+1", "+1", "-1", "@x", "\tx", "plain"])]
    cells = [line["input.text"] for line in csv.DictReader(io.StringIO(as_csv(bad)))]
    assert cells == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "plain"]


def test_rows_with_other_columns_are_one_table() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv([row(1, 0.5), row(2, -0.5, inputs={"image": {"url": "x"}})]))))
    assert [line["input.image"] for line in lines] == ["", '{"url": "x"}']
    assert [line["baseline.score"] for line in lines] == ["0.5", "-0.5"]


# Forms

PAYLOAD = {
    "module_name": "predict",
    "signature_code": "class A: ...\n",
    "metric_code": "def metric(gold, pred): ...\n",
    "optimizer_name": "miprov2",
    "optimizer_kwargs": {"auto": "light", "num_threads": 3},
    "compile_kwargs": {"requires_permission_to_run": False},
    "column_mapping": {"inputs": {"a": "a"}, "outputs": {"b": "b"}},
    "model_config": {"name": "openai/x", "temperature": 0.5, "extra": {"seed": 1}},
    "split_fractions": {"train": 0.5, "val": 0.2, "test": 0.3},
    "seed": 7,
    "shuffle": False,
    "run_options": {"note": "why", "labels": {"team": "support"}},
}
ROWS = [{"a": str(n), "b": "x"} for n in range(10)]


def test_a_budget_comes_back_and_is_a_cap_each() -> None:
    payload = {"optimizer_name": "gepa", "budget": {"model_calls": 500, "cost_usd": 2.5}}
    form = form_of(payload, 0)
    assert (form["budget.model_calls"], form["budget.cost_usd"], form["budget.tokens"]) == ("500", "2.5", "")
    assert "budget" not in form["rest"]
    assert payload_of(form, [])["budget"] == payload["budget"]
    assert "budget" not in payload_of({**form, "budget.model_calls": "", "budget.cost_usd": " "}, [])
    assert payload_of({**form, "budget.tokens": "many"}, [])["budget"]["tokens"] == "many", (
        "the service says what is wrong"
    )


def test_an_earlier_job_comes_back_as_it_was() -> None:
    """But for its name, which is its own."""
    form = form_of({**PAYLOAD, "run_options": {**PAYLOAD["run_options"], "name": "taken"}}, len(ROWS))
    found = payload_of(form, ROWS)
    split = found.pop("split_fractions")
    assert found == {name: value for name, value in PAYLOAD.items() if name != "split_fractions"} | {"dataset": ROWS}
    assert [int(10 * split[each]) for each in ("train", "val")] == [5, 2]


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 0, 1), (108, 43, 66), (1, 1, 1), (3333, 3333, 3334), (7, 0, 2)])
def test_numbers_of_rows_become_the_fractions_that_give_them(counts: tuple[int, int, int]) -> None:
    found, total = fractions(counts), sum(counts)
    train, val = int(total * found["train"]), int(total * found["val"])
    assert (train, val, total - train - val) == counts
    assert sum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rest": "{"}, "rest"),
        ({"rest": "[1]"}, "rest"),
        ({"model_config.rest": "x"}, "model_config.rest"),
        ({"split.train": "-1"}, "split.train"),
        ({"split.val": "²"}, "split.val"),
    ],
)
def test_what_cannot_be_read_names_its_field(changes: dict[str, str], field: str) -> None:
    with pytest.raises(Unreadable) as caught:
        payload_of(form_of(PAYLOAD, 10) | changes, ROWS)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'[{"a": 1}]', [{"a": 1}]),
        (b'{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b"\xef\xbb\xbfa,b\r\n1,\"x\ny\"\r\n", [{"a": "1", "b": "x\ny"}]),
    ],
)  # fmt: skip
def test_rows_are_read_by_what_they_are(content: bytes, rows: list[Any]) -> None:
    assert read_rows("rows", content) == rows


@pytest.mark.parametrize(("content", "said"), [(b"\xff\xfe", "UTF-8"), (b"[1,", "JSON"), (b'{"a":1}\n{', "Line 2")])
def test_a_file_that_holds_no_rows_says_so(content: bytes, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_rows("rows.csv", content)
