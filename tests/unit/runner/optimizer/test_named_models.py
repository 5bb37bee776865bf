"""Models that the job names: inside kwargs, where dspy wants an object."""

import json
from pathlib import Path

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer


@pytest.mark.parametrize("optimizer", ["dspy.BootstrapFewShot", "dspy.BootstrapRS", "inferrules"])
def test_a_named_teacher_is_asked(
    optimizer: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    small = {"num_candidate_programs": 1} if optimizer == "dspy.BootstrapRS" else {}
    kwargs = {"teacher_settings": {"lm": "prompt"}, **small}
    if optimizer == "inferrules":
        kwargs["num_candidates"] = 1
    with ScriptedServer() as teacher:
        models = {
            "default": {"name": "openai/scripted", "baseUrl": server.url},
            "prompt": {"name": "openai/teacher", "baseUrl": teacher.url},
        }
        spec = make_spec(server.url, models=models, optimizer={"name": optimizer, "kwargs": kwargs})
        result = forge.run(make_folders(tmp_path / "job", spec))
        asked = teacher.stats.calls
    assert result["outcome"] == "Succeeded"
    assert asked > 1, "beyond the preflight"
    assert result["metadata"]["optimizer_kwargs"] == kwargs


JUDGED = """
judge = dspy.Predict("question, answer -> verdict")
def metric(gold, pred, trace=None):
    with dspy.context(lm=models[{name!r}]):
        judge(question=gold.text, answer=pred.label)
    return gold.label == pred.label
"""


@pytest.mark.parametrize("name", ["judge", "a", "judge_2"])
def test_the_metric_finds_a_further_model_with_its_key(
    name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    with ScriptedServer() as judging:
        further = {name: {"name": "openai/judging", "baseUrl": judging.url}}
        spec = make_spec(server.url, modelConfigs=further, metric={"code": JUDGED.format(name=name)})
        key = {f"DSPY_SERVICE_KEY_{name.upper()}": "sk-of-the-judge-0123"}
        result = forge.run(make_folders(tmp_path / "job", spec), **key)
        assert set(judging.stats.by_auth) == {"sk-of-the-judge-0123"}
        assert judging.stats.calls > 10
        asked = judging.stats.calls + server.stats.calls
    assert result["outcome"] == "Succeeded"
    assert result["usage"]["calls"] == asked, "counted as all others"


@pytest.mark.parametrize("name", ["default", "reflection", "prompt", "task"])
def test_roles_are_among_the_models(name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    """A role that the job does not fill is the model that takes its part."""
    spec = make_spec(server.url, metric={"code": JUDGED.format(name=name)})
    assert forge.run(make_folders(tmp_path / "job", spec))["outcome"] == "Succeeded"


def test_a_name_that_no_model_has_says_where_models_are_given(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    spec = make_spec(server.url, metric={"code": JUDGED.format(name="umpire")})
    result = forge.run(make_folders(tmp_path / "job", spec))
    assert result["reason"] == "MetricFailed"
    assert "this job has no model 'umpire'" in result["message"]
    assert "model_configs" in result["message"]


def test_a_dead_judge_fails_the_preflight(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    further = {"judge": {"name": "openai/judging", "baseUrl": server.url_of("401")}}
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, modelConfigs=further)))
    assert result["reason"] == "ModelAuthFailed"
    assert "The judge model openai/judging" in result["message"]


@pytest.mark.parametrize("lm", ['dspy.LM("openai/large", api_base={url!r})', 'dspy.LM("openai/large")'])
def test_a_judge_without_a_key_says_where_one_is_given(
    lm: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    code = f"lm = {lm.format(url=server.url)}\n" + JUDGED.format(name="x").replace("models['x']", "lm")
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, metric={"code": code})))
    assert result["reason"] == "MetricFailed"
    assert "the request's field model_configs" in result["message"]
    assert 'models["judge"]' in result["message"]


def test_no_temperature_is_sent_where_none_is_wanted(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """Not by an optimizer either: COPRO and MIPROv2 ask at temperatures of their own."""
    server.keep_requests = True
    models = {"default": {"name": "openai/scripted", "baseUrl": server.url, "temperature": "none"}}
    optimizer = {"name": "copro", "kwargs": {"breadth": 3, "depth": 1}}
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, models=models, optimizer=optimizer)))
    assert result["outcome"] == "Succeeded"
    assert not [entry for entry in server.requests if "temperature" in entry["request"]]


@pytest.mark.parametrize(
    ("settings", "refused", "sent"),
    [
        ({"maxTokens": 20000}, "max_tokens", {"max_completion_tokens": 20000}),
        ({"extra": {"max_completion_tokens": 20000}}, "max_tokens", {"max_completion_tokens": 20000}),
        ({}, "temperature", {}),
        ({"maxTokens": 50, "extra": {"engine": "litellm"}}, "max_tokens", {"max_completion_tokens": 50}),
    ],
)
def test_a_setting_is_sent_in_the_form_that_the_model_takes(
    settings: dict[str, object],
    refused: str,
    sent: dict[str, int],
    forge: OptimizerForge,
    server: ScriptedServer,
    tmp_path: Path,
) -> None:
    server.refused_settings, server.keep_requests = {refused}, True
    models = {"default": {"name": "openai/scripted", "baseUrl": server.url, **settings}}
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, models=models)))
    assert result["outcome"] == "Succeeded", result["message"]
    for entry in server.requests:
        assert sent.items() <= entry["request"].items()
        assert refused not in entry["request"]


def test_a_temperature_that_was_asked_for_is_not_dropped_silently(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.refused_settings = {"temperature"}
    models = {"default": {"name": "openai/scripted", "baseUrl": server.url, "temperature": "0.7"}}
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, models=models)))
    assert result["reason"] == "ModelRejectedRequest"
    assert "set the temperature of the default model to null" in result["message"]


@pytest.mark.parametrize("engine", ["native", "litellm"])
def test_the_engine_that_ran_is_told(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    extra = {"engine": "litellm"} if engine == "litellm" else {}
    models = {"default": {"name": "openai/scripted", "baseUrl": server.url, "extra": extra}}
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, models=models)))
    assert result["details"]["engine"] == engine


def test_a_query_reaches_the_endpoint(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    spec = make_spec(server.url)
    spec["models"] = {"default": {"name": "openai/scripted", "baseUrl": server.url}}
    withheld = json.dumps({"base_url": f"{server.url}?api-version=2024-12-01&tenant=a"})
    result = forge.run(make_folders(tmp_path / "job", spec), DSPY_SERVICE_CREDENTIALS_DEFAULT=withheld)
    assert result["outcome"] == "Succeeded"
    assert server.queries == {"api-version=2024-12-01&tenant=a"}
