"""The optimizer's pure rules, as tables: splits, scores, credentials, temperatures, names, totals."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_service_core.records.usage import Usage
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec.dataset import Columns, Split
from dspy_service_runner.optimizer.failures import Interrupt, JobFailed, StopToken
from dspy_service_runner.optimizer.inputs import wait_until_ready
from dspy_service_runner.optimizer.models.base_url_query import query_last
from dspy_service_runner.optimizer.models.models import NO_KEY, build, take_credentials
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.progress.progress import Progress
from dspy_service_runner.optimizer.settings import Settings, load as load_settings
from dspy_service_runner.optimizer.splits import split_examples
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric
from dspy_service_runner.optimizer.user_code.metrics.score import Score, UnusableScore, as_score
from dspy_service_runner.optimizer.values.fields import Fields
from dspy_service_runner.optimizer.values.rows import RowExample
from dspy_service_runner.optimizer.values.typed import typed_examples
from optimizer_job import make_spec

COLUMNS = Columns(inputs={"text": "body"}, outputs={"label": "class"})


def examples(count: int) -> list[RowExample]:
    rows = [{"body": str(i), "class": "x", "more": i} for i in range(count)]
    return typed_examples(rows, COLUMNS, Fields.of_signature(dspy.Signature("text -> label")))


@pytest.mark.parametrize(
    ("count", "fractions", "expected"),
    [
        (10, ("0.7", "0.15", "0.15"), (7, 1, 2)),
        (30, ("0.5", "0.3", "0.2"), (15, 9, 6)),
        (3, ("0.7", "0.15", "0.15"), (2, 0, 1)),
        (1, ("0", "0", "1"), (0, 0, 1)),
        (100, ("0.29", "0.29", "0.42"), (28, 28, 44)),
    ],
)
def test_splits_take_whole_rows(count: int, fractions: tuple[str, str, str], expected: tuple[int, int, int]) -> None:
    train, val, test = fractions
    splits = split_examples(examples(count), [{}] * count, Split(train=train, val=val, test=test, shuffle=False), 0)
    assert (len(splits.train), len(splits.val), len(splits.test)) == expected
    together = splits.train + splits.val + splits.test
    assert [example.text for example in together] == [str(i) for i in range(count)]


def test_rows_are_shuffled_by_the_seed_and_nothing_else() -> None:
    expected = [str(i) for i in range(20)]
    random.Random(0).shuffle(expected)
    splits = split_examples(examples(20), [{}] * 20, Split(train="0.5", val="0.25", test="0.25"), 0)
    assert [example.text for example in splits.train + splits.val + splits.test] == expected
    assert set(splits.train[0].inputs().keys()) == {"text"}
    assert "more" not in splits.train[0]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (True, Score(1.0)),
        (0, Score(0.0)),
        (0.25, Score(0.25)),
        (dspy.Prediction(score=0.5), Score(0.5)),
        (dspy.Prediction(score=False, feedback="no"), Score(0.0, "no")),
        ({"score": 1, "feedback": None}, Score(1.0)),
        ({"score": 0.3, "feedback": "so so"}, Score(0.3, "so so")),
    ],
)
def test_scores_of_every_kind(returned: Any, expected: Score) -> None:
    assert as_score(returned) == expected


@pytest.mark.parametrize(
    "returned", [None, "0.5", [1], (1, "x"), {}, {"feedback": "x"}, float("nan"), float("inf"), object()]
)
def test_what_is_no_score_is_named(returned: Any) -> None:
    with pytest.raises(UnusableScore, match="the metric returned"):
        as_score(returned)


@pytest.mark.parametrize(
    "function",
    [
        lambda gold, pred: 1,
        lambda gold, pred, trace: 1,
        lambda gold, pred, trace=None, pred_name=None, pred_trace=None: 1,
        lambda *given: len(given) == 5,
        lambda gold, pred, *, strict=True: 1,
    ],
)
def test_metrics_of_two_to_five_arguments_serve_all_optimizers(function: Any) -> None:
    heard: list[bool] = []
    metric = Metric(function, Settings())
    for_gepa = metric.bound(StopToken(), heard.append, feedback=True)
    plain = metric.bound(StopToken(), heard.append)

    assert for_gepa("gold", "pred", None, "predictor", []).feedback == "This trajectory got a score of 1.0."
    assert [plain("gold", "pred"), plain("gold", "pred", [])] == [1.0, 1.0]
    assert heard == [False, True], "a predictor's feedback is no call of the program"


def test_a_metric_that_never_works_shuts_the_gate() -> None:
    def broken(gold: Any, pred: Any) -> float:
        raise ValueError("no")

    stop_token, metric = StopToken(), Metric(broken, Settings(failing_metric_failures=3))
    bound = metric.bound(stop_token, lambda _: None)
    assert [bound(1, 2), bound(1, 2)] == [0.0, 0.0]
    with pytest.raises(Interrupt, match="ValueError: no"):
        bound(1, 2)


def test_a_program_that_failed_is_no_fault_of_the_metric() -> None:
    metric = Metric(lambda gold, pred: pred.label, Settings())
    assert metric.bound(StopToken(), lambda _: None)("gold", None) == 0.0
    assert metric.errors == 0


def withheld(**document: Any) -> dict[str, str]:
    return {"DSPY_SERVICE_CREDENTIALS_DEFAULT": json.dumps(document)}


def basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def models_of(default: dict[str, Any], environment: dict[str, str] | None = None) -> Any:
    variables = dict(environment or {})
    spec = OptimizationJobSpec.without_content(make_spec(models={"default": default}))
    built = build(spec, take_credentials(spec, variables))
    assert not variables
    return built.default


@pytest.mark.parametrize(
    ("model", "environment", "expected"),
    [
        ({"name": "openai/gpt-4o-mini"}, {}, {"temperature": 0.1}),
        ({"name": "openai/gpt-4o-mini", "temperature": "0"}, {}, {"temperature": 0.0}),
        ({"name": "openai/gpt-5-mini"}, {}, {"temperature": 1.0}),
        ({"name": "openai/o3"}, {}, {"temperature": 1.0}),
        ({"name": "openai/x", "extra": {"temperature": 0.7, "seed": 3}}, {}, {"temperature": 0.7, "seed": 3}),
        ({"name": "openai/x", "baseUrl": "http://h/v1"}, {}, {"api_base": "http://h/v1", "api_key": NO_KEY}),
        ({"name": "openai/x"}, {"DSPY_SERVICE_KEY_DEFAULT": "k\n"}, {"api_key": "k"}),
        (
            {"name": "openai/x", "extra": {"a": [{"n": 1, "token": None}]}},
            {"DSPY_SERVICE_CREDENTIALS_DEFAULT": json.dumps({"extra": {"api_key": "k", "a": [{"token": "t"}]}})},
            {"api_key": "k", "a": [{"n": 1, "token": "t"}]},
        ),
        (
            {"name": "openai/x", "baseUrl": "http://h/v1"},
            {"DSPY_SERVICE_CREDENTIALS_DEFAULT": '{"base_url": "http://u:p@h/v1?q=s"}'},
            {"api_base": "http://h/v1?q=s", "extra_headers": {"Authorization": basic("u:p")}},
        ),
        (
            {"name": "openai/x", "baseUrl": "http://h/v1"},
            {"DSPY_SERVICE_CREDENTIALS_DEFAULT": '{"base_url": "http://a%40b:p%3Aw@h/v1"}'},
            {"api_base": "http://h/v1", "extra_headers": {"Authorization": basic("a@b:p:w")}},
        ),
        (
            {"name": "openai/x", "baseUrl": "http://h/v1"},
            withheld(base_url="http://u@h/v1", extra={"extra_headers": {"X": "y"}}),
            {"api_base": "http://h/v1", "extra_headers": {"X": "y", "Authorization": basic("u:")}},
        ),
        (
            {"name": "openai/x", "baseUrl": "http://h/v1"},
            withheld(base_url="http://u:p@h/v1", extra={"headers": {"authorization": "mine"}}),
            {"api_base": "http://h/v1", "extra_headers": None, "headers": {"authorization": "mine"}},
        ),
    ],
)
def test_models_are_built_as_asked(
    model: dict[str, Any], environment: dict[str, str], expected: dict[str, Any]
) -> None:
    kwargs = models_of(model, environment).kwargs
    assert {name: kwargs.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"base_url": "http://u:p@elsewhere/v1"}, "another endpoint than its baseUrl"),
        ({"base_url": "http://h/v2"}, "another endpoint than its baseUrl"),
        ({"extra": {"api_base": "http://elsewhere/v1"}}, "'api_base', which belongs into the model's settings"),
    ],
)
def test_a_secret_sends_a_model_s_calls_nowhere_else(document: dict[str, Any], said: str) -> None:
    with pytest.raises(JobFailed, match=said) as raised:
        models_of({"name": "openai/x", "baseUrl": "http://h/v1"}, withheld(**document))
    assert raised.value.reason == "InvalidModel"


def test_a_temperature_that_dspy_refuses_is_the_model_s_fault() -> None:
    with pytest.raises(JobFailed, match="The default model 'openai/o3'") as raised:
        models_of({"name": "openai/o3", "temperature": "0.2"})
    assert raised.value.reason == "InvalidModel"


def test_progress_knows_what_is_left(tmp_path: Path) -> None:
    now = [0.0]
    progress = Progress(Outbox(tmp_path), Usage, 10, lambda: now[0])
    progress.expect_around(20)
    for _ in range(10):
        progress.called_around(False)
    progress.begin_optimizer("MIPROv2", 100, counts_demos=True)
    for call in range(30):
        now[0] += 1
        progress.called(for_demo=call < 5)

    events = [json.loads(line)["metrics"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["tqdm_n"] for event in events] == [10, 20, 30]
    assert events[-1] == {
        "tqdm_total": 105,
        "tqdm_n": 30,
        "tqdm_elapsed": 30.0,
        "tqdm_rate": 1.0,
        "tqdm_remaining": 75.0,
        "tqdm_percent": 28.57,
        "tqdm_desc": "MIPROv2",
        "best_score": None,
    }
    document = json.loads((tmp_path / "progress.json").read_text())
    assert (document["calls"], document["total"], document["etaSeconds"]) == (40, 125, 85.0)


def test_an_unknown_total_is_said_to_be_unknown(tmp_path: Path) -> None:
    progress = Progress(Outbox(tmp_path), Usage, 0)
    progress.begin_optimizer("Own", None, counts_demos=True)
    progress.called(for_demo=False)
    event = json.loads((tmp_path / "events.jsonl").read_text())["metrics"]
    assert (event["tqdm_total"], event["tqdm_percent"], event["tqdm_remaining"]) == (None, None, None)


def test_settings_come_from_the_environment() -> None:
    assert load_settings({"DSPY_SERVICE_OPTIMIZER_MOST_THREADS": "3"}).most_threads == 3
    assert load_settings({}).most_threads == 64
    assert all(field.description for field in Settings.model_fields.values())


def test_waiting_for_ready_polls_shortly_then_patiently(tmp_path: Path) -> None:
    now, naps = [0.0], []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += seconds

    assert wait_until_ready(tmp_path, 20, lambda: now[0], sleep) is False
    assert max(naps[:1000]) <= 0.01
    assert naps[-1] > naps[0]
    (tmp_path / "ready").touch()
    assert wait_until_ready(tmp_path, 20, lambda: now[0], sleep) is True


def test_inputs_that_never_come_are_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "refused").touch()
    assert wait_until_ready(tmp_path, 20, lambda: 0.0, lambda _: pytest.fail("it waits")) is False


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://h/v1?tenant=a/chat/completions", "https://h/v1/chat/completions?tenant=a"),
        ("https://h/v1/?a=1&b=2/responses", "https://h/v1/responses?a=1&b=2"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/v1/models?limit=3", "https://h/v1/models?limit=3"),
    ],
)
def test_a_query_goes_behind_the_path_of_each_call(url: str, asked: str) -> None:
    assert query_last(url) == asked


def test_azure_s_version_is_an_argument() -> None:
    url = "https://models.example.org/v1"
    built = models_of({"name": "azure/x", "baseUrl": url}, withheld(base_url=f"{url}?api-version=2024-12-01"))
    assert (built.kwargs["api_base"], built.kwargs["api_version"]) == (url, "2024-12-01")


@pytest.mark.parametrize(("given", "cached"), [(True, True), ({}, True), (False, False), (None, False)])
def test_prompts_are_cached_by_the_provider_where_that_is_asked_for(given: Any, cached: bool) -> None:
    built = models_of({"name": "openai/x", "extra": {"prompt_cache": given}})
    assert ("prompt_cache" in built.kwargs) == cached
