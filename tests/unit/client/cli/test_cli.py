import json
import pickle
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from dspy_service.cli import cli
from dspy_service.cli.commands import OWN, CommandGroup
from dspy_service.cli.connection import Connection
from fake_service import FakeService

PROGRESS = ("optimizer_progress", {"tqdm_n": 50, "tqdm_total": 100, "tqdm_percent": 50.0, "best_score": 40.0})
ENDED = ("optimized_evaluated", {"baseline_test_metric": 28.6, "optimized_test_metric": 51.2})


@pytest.fixture
def service() -> FakeService:
    return FakeService()


def invoke(service: FakeService, *arguments: str) -> Result:
    connection = Connection("http://service", transport=service.transport, sleep=service.sleep)
    return CliRunner().invoke(cli, arguments, obj=connection)


PAYLOAD = {"signature_code": "s", "metric_code": "m", "dataset": [{"a": 1}], "optimizer_kwargs": {"auto": "light"}}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "payload.json").write_text(json.dumps(PAYLOAD))
    (tmp_path / "payload.yaml").write_text("signature_code: |\n  s\nmetric_code: m\ndataset: [{a: 1}]\n")
    (tmp_path / "job.yaml").write_text("kind: OptimizationJob\n")
    (tmp_path / "list.yaml").write_text("[1, 2]\n")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "latin.json").write_bytes(b'{"signature_code": "\xe9"}')
    (tmp_path / "latin.yaml").write_bytes(b"signature_code: \xe9")
    (tmp_path / "deep.json").write_text('{"dataset": ' + "[" * 100_000)
    (tmp_path / "signature.py").write_text("class S(dspy.Signature): ...\n")
    (tmp_path / "metric.py").write_text("def metric(gold, pred): return 1\n")
    (tmp_path / "rows.csv").write_text("text,team\na,b\n")
    return tmp_path


def test_submitting_a_file_prints_the_job(service: FakeService, files: Path) -> None:
    result = invoke(service, "submit", str(files / "payload.json"))
    assert (result.exit_code, result.stdout) == (0, "job1\n")
    assert service.body() == {**PAYLOAD, "module_name": "predict", "optimizer_name": "miprov2"}


def test_settings_change_any_field(service: FakeService, files: Path) -> None:
    settings = [
        "optimizer_kwargs.auto=medium",
        "optimizer_kwargs.num_threads=4",
        "shuffle=false",
        "run_options.labels={a: b}",
        "seed=7",
        "optimizer_name=gepa",
        "model_config.name=openai/x:y=z",
    ]
    arguments = [word for setting in settings for word in ("--set", setting)]
    assert invoke(service, "submit", str(files / "payload.yaml"), *arguments).exit_code == 0
    body = service.body()
    assert body["optimizer_kwargs"] == {"auto": "medium", "num_threads": 4}
    assert (body["shuffle"], body["seed"], body["optimizer_name"]) == (False, 7, "gepa")
    assert body["run_options"] == {"labels": {"a": "b"}}
    assert body["model_config"] == {"name": "openai/x:y=z"}


def test_a_payload_from_options_alone(service: FakeService, files: Path) -> None:
    result = invoke(
        service,
        "submit",
        *("--signature", str(files / "signature.py"), "--metric", str(files / "metric.py")),
        *("--dataset", str(files / "rows.csv"), "--inputs", "text", "--outputs", "label=team"),
        *("--model", "openai/x", "--base-url", "http://m/v1", "--module", "cot", "--optimizer", "gepa"),
        *("--output", "json", "--idempotency-key", "k1"),
    )
    assert json.loads(result.stdout) == {"job_id": "job1", "status": "pending", "warning": None}
    assert service.requests[-1].headers["idempotency-key"] == "k1"
    assert service.body() == {
        "module_name": "cot",
        "optimizer_name": "gepa",
        "signature_code": "class S(dspy.Signature): ...\n",
        "metric_code": "def metric(gold, pred): return 1\n",
        "dataset": [{"text": "a", "team": "b"}],
        "column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": "team"}},
        "model_config": {"name": "openai/x", "base_url": "http://m/v1"},
    }


MODEL_CONFIGS = [
    (["judge=openai/x"], {"judge": {"name": "openai/x"}}),
    (["judge=openai/x:y=z"], {"judge": {"name": "openai/x:y=z"}}),
    (['judge={"name": "openai/x", "temperature": null}'], {"judge": {"name": "openai/x", "temperature": None}}),
    (["judge={name: openai/x}"], {"judge": {"name": "openai/x"}}),
    (
        ["judge=name=openai/x,temperature=0,extra.api_key=k,base_url=http://m/v1?a=b"],
        {
            "judge": {
                "name": "openai/x",
                "temperature": 0,
                "extra": {"api_key": "k"},
                "base_url": "http://m/v1?a=b",
            }
        },
    ),
    (["judge=openai/x", "judge=temperature=1"], {"judge": {"name": "openai/x", "temperature": 1}}),
    (
        ["judge=openai/x", "search=name=openai/e,model_type=embedding"],
        {"judge": {"name": "openai/x"}, "search": {"name": "openai/e", "model_type": "embedding"}},
    ),
]


@pytest.mark.parametrize(("options", "expected"), MODEL_CONFIGS)
def test_further_models(service: FakeService, files: Path, options: list[str], expected: dict[str, object]) -> None:
    arguments = [word for option in options for word in ("--model-config", option)]
    assert invoke(service, "submit", str(files / "payload.json"), *arguments).exit_code == 0
    assert service.body()["model_configs"] == expected


def test_further_models_change_those_of_the_file(service: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(json.dumps({**PAYLOAD, "model_configs": {"judge": {"name": "openai/x", "top_p": 1}}}))
    assert invoke(service, "submit", str(file), "--model-config", "judge=openai/y").exit_code == 0
    assert service.body()["model_configs"] == {"judge": {"name": "openai/y", "top_p": 1}}


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("judge", "--model-config takes NAME=MODEL"),
        ("=openai/x", "--model-config takes NAME=MODEL"),
        ("judge=", "--model-config takes NAME=MODEL"),
        ("judge={name", "judge: this is no JSON object"),
        ("judge=name=openai/x,temperature", "'temperature' is no KEY=VALUE"),
    ],
)
def test_a_further_model_of_no_form_is_wrong_usage(service: FakeService, files: Path, option: str, told: str) -> None:
    result = invoke(service, "submit", str(files / "payload.json"), "--model-config", option)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())
    assert not service.requests


@pytest.mark.parametrize(
    "name", ["job.yaml", "list.yaml", "broken.json", "latin.json", "latin.yaml", "deep.json", "absent.json"]
)
def test_a_file_that_is_no_payload_is_wrong_usage(service: FakeService, files: Path, name: str) -> None:
    result = invoke(service, "submit", str(files / name))
    assert result.exit_code == 2
    assert name in result.stderr
    assert not service.requests


@pytest.mark.parametrize(
    ("name", "content", "options", "told"),
    [
        ("p.json", '{"dataset": [{"a": 1}, {"a": NaN}]}', [], "dataset[1].a is NaN"),
        ("p.json", '{"dataset": [{"a": [1e999]}]}', [], "dataset[0].a[0] is Infinity"),
        ("p.yaml", "dataset: [{a: .nan}]", [], "dataset[0].a is NaN"),
        ("p.yaml", "dataset: []", ["--set", "optimizer_kwargs.x=-.inf"], "optimizer_kwargs.x is -Infinity"),
        ("rows.jsonl", '{"a": 1}\n{"a": -Infinity}\n', [], "line 2: a is -Infinity"),
        ("rows.json", '[{"a": 1}, {"a": {"b": NaN}}]', [], "item 1: a.b is NaN"),
    ],
)
def test_what_json_does_not_have_is_told_in_one_line(
    service: FakeService, tmp_path: Path, name: str, content: str, options: list[str], told: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    given = [str(path)] if name.startswith("p.") else ["--dataset", str(path)]
    result = invoke(service, "submit", *given, *options)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "null" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not service.requests


def test_what_yaml_has_and_json_has_not_is_sent(service: FakeService, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("dataset: [{day: 2025-01-02, tags: !!set {b, a}, 3: x}]\n")
    assert invoke(service, "submit", str(path)).exit_code == 0
    assert service.body()["dataset"] == [{"day": "2025-01-02", "tags": ["a", "b"], "3": "x"}]


def test_a_setting_without_a_value_is_wrong_usage(service: FakeService, files: Path) -> None:
    result = invoke(service, "submit", str(files / "payload.json"), "--set", "seed")
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "fault", "code", "told"),
    [
        (["list"], httpx.ConnectError("refused"), 3, "http://service"),
        (["list"], httpx.Response(503, json={"detail": "no cluster"}), 3, "no cluster"),
        (["list"], httpx.Response(500, text="oops"), 3, "500"),
        (["list"], httpx.Response(401, json={"detail": "a token is needed"}), 2, "a token is needed"),
        (["watch", "nope"], None, 4, "Unknown job 'nope'"),
        (["logs", "nope"], None, 4, "Unknown job 'nope'"),
        (["delete", "nope"], None, 4, "Unknown job 'nope'"),
        (["artifact", "nope"], None, 4, "Unknown job 'nope'"),
        (["artifact", "job1"], httpx.Response(409, json={"detail": "Job has not finished yet."}), 4, "not finished"),
        (["watch"], None, 2, "Missing argument"),
        (["frobnicate"], None, 2, "No such command"),
    ],
)
def test_exit_codes(
    service: FakeService, arguments: Sequence[str], fault: httpx.Response | Exception | None, code: int, told: str
) -> None:
    service.faults = [fault] * 9 if fault is not None else []
    result = invoke(service, *arguments)
    assert (result.exit_code, told in result.stderr) == (code, True), result.stderr


def test_a_refused_payload_names_every_field(service: FakeService, files: Path) -> None:
    problems = [{"field": f"dataset[{n}].x", "message": "missing", "type": "t"} for n in range(2)]
    service.faults = [httpx.Response(422, json={"error": "invalid_request", "detail": problems})]
    result = invoke(service, "submit", str(files / "payload.json"))
    assert result.exit_code == 2
    assert "dataset[0].x: missing" in result.stderr
    assert "dataset[1].x: missing" in result.stderr


@pytest.mark.parametrize(("end", "code"), [("success", 0), ("failed", 1), ("cancelled", 1)])
def test_watching_ends_with_the_jobs_outcome(service: FakeService, end: str, code: int) -> None:
    service.add("pending", "running", "running", end, events=[PROGRESS, ENDED], message="the reason")
    result = invoke(service, "watch", "job1")
    assert result.exit_code == code
    assert "50 of 100 metric calls" in result.stdout
    assert ("28.6 -> 51.2" if end == "success" else "the reason") in result.stdout


def test_submit_and_watch(service: FakeService, files: Path) -> None:
    result = invoke(service, "submit", str(files / "payload.json"), "--watch")
    assert result.exit_code == 0
    assert result.stdout.startswith("job1\n")
    assert "dspy-service artifact job1" in result.stdout


@pytest.mark.parametrize("follow", [(), ("-f",)])
def test_logs(service: FakeService, follow: tuple[str, ...]) -> None:
    job = service.add("running", "success", logs=[f"line {n}" for n in range(4)])
    job.looks = 0 if follow else 2
    result = invoke(service, "logs", "job1", "--after", "1", *follow)
    assert result.exit_code == 0
    assert [line.rpartition("line ")[2] for line in result.stdout.splitlines()] == ["1", "2", "3"]


def test_the_list_is_tabbed_lines_in_a_pipe_and_json_on_demand(service: FakeService) -> None:
    for status in ("success", "failed", "running"):
        service.add(status, events=[ENDED]).looks = 1
    service.jobs["job2"].usage |= {"calls": 62, "cost_usd": 0.0044}
    lines = invoke(service, "list").stdout.splitlines()
    assert [line.split("\t")[-3:-1] for line in lines] == [["", ""], ["62", "$0.0044"], ["", ""]]
    assert [line.split("\t")[:4] for line in lines] == [
        ["job1", "success", "miprov2", "30"],
        ["job2", "failed", "miprov2", "30"],
        ["job3", "running", "miprov2", "30"],
    ]
    assert "51.2" in lines[0]
    found = json.loads(invoke(service, "list", "--output", "json", "-n", "2").stdout)
    assert [job["job_id"] for job in found] == ["job1", "job2"]


def test_the_list_hands_its_filters_on(service: FakeService) -> None:
    invoke(service, "list", "--status", "failed", "--optimizer", "gepa", "--label", "team=a")
    assert dict(service.requests[0].url.params) == {"status": "failed", "optimizer": "gepa", "label": "team=a"}


def test_an_artifact_is_written(service: FakeService, tmp_path: Path) -> None:
    service.add("success")
    result = invoke(service, "artifact", "job1", "-o", str(tmp_path / "program"))
    assert result.exit_code == 0
    assert pickle.loads((tmp_path / "program" / "program.pkl").read_bytes()) == {"a": "program"}
    assert "program.pkl" in result.stdout


def test_a_damaged_artifact_has_an_exit_code_of_its_own(service: FakeService, tmp_path: Path) -> None:
    bundle = {"path": "p", "program_pickle_base64": "AAAA", "metadata": {}}
    service.faults = [httpx.Response(200, json={"program_artifact_path": "p", "program_artifact": bundle})]
    assert invoke(service, "artifact", "job1", "-o", str(tmp_path / "program")).exit_code == 5


def test_deleting_several(service: FakeService) -> None:
    service.add("running")
    service.add("success")
    result = invoke(service, "delete", "job1", "job2")
    assert (result.exit_code, service.jobs) == (0, {})


@pytest.mark.parametrize(
    ("verb", "said"),
    [("cancel", "cancelling"), ("stop", "stopping"), ("pause", "pausing"), ("resume", "resuming")],
)
def test_controlling_several(service: FakeService, verb: str, said: str) -> None:
    service.add("running")
    service.add("running")
    result = invoke(service, verb, "job1", "job2")
    status = "cancelled" if verb == "cancel" else "running"
    assert (result.exit_code, result.stdout) == (0, f"{said} job1 ({status})\n{said} job2 ({status})\n")


def test_what_has_ended_is_not_controlled(service: FakeService) -> None:
    service.add("success")
    service.jobs["job1"].looks = 1
    result = invoke(service, "stop", "job1")
    assert result.exit_code == 2
    assert "The job has ended already: success." in result.stderr


def test_deleting_tells_of_a_record_that_stays(service: FakeService) -> None:
    answer = {"detail": "The job is stopped; its record stays.", "code": "record_kept", "finalizers": ["example.org/a"]}
    service.faults = [httpx.Response(202, json=answer)]
    result = invoke(service, "delete", "job1")
    assert (result.exit_code, result.stdout) == (0, "stopped job1: The job is stopped; its record stays.\n")


def test_every_command_has_help_and_is_named_in_the_groups(service: FakeService) -> None:
    listed = invoke(service, "--help").stdout
    for name in OWN:
        assert name in listed
        assert invoke(service, name, "--help").exit_code == 0


def found_group(value: str) -> click.Group:
    return CommandGroup("dspy-service", found=[EntryPoint("other", value, "dspy_service.commands")])


def test_a_command_of_another_part_is_found_by_its_entry_point() -> None:
    result = CliRunner().invoke(found_group("dspy_service.cli.delete:command"), ["other", "--help"])
    assert result.exit_code == 0
    assert "Stop each job" in result.stdout


@pytest.mark.parametrize("arguments", [["other"], ["other", "--help"], ["other", "--port", "1", "x"]])
def test_a_missing_extra_is_told_in_a_sentence(arguments: list[str]) -> None:
    result = CliRunner().invoke(found_group("a_module_that_is_not_there:command"), arguments)
    assert result.exit_code == 2
    assert "pip install 'dspy-service[local]'" in result.stderr
    assert "a_module_that_is_not_there" in result.stderr


def test_a_broken_part_is_not_called_missing() -> None:
    with pytest.raises(ModuleNotFoundError):
        CliRunner().invoke(found_group("dspy_service.nothing_here:command"), ["other"], catch_exceptions=False)


def test_the_catalogue_is_a_table_and_json(service: FakeService) -> None:
    table = invoke(service, "catalogue").stdout.splitlines()
    packages = invoke(service, "catalogue", "--which", "packages", "--output", "json").stdout

    assert table == [
        "module\tpredict\tdspy.Predict\t",
        "optimizer\tgepa\tdspy.GEPA\tauto=light",
        "optimizer\t\tdspy.Avatar\\x1b[2J\tcannot be named: its constructor fails",
        "python\tpython\t3.12\t",
        "package\tdspy\t3.4.1\t",
    ]
    assert json.loads(packages) == {"dspy": "3.4.1"}


def test_an_estimate_in_lines_and_as_json(service: FakeService, files: Path) -> None:
    arguments = ("estimate", str(files / "payload.json"), "--set", "optimizer_kwargs.auto=heavy", "--optimizer", "gepa")
    result = invoke(service, *arguments)
    assert result.exit_code == 0, result.output
    assert service.jobs == {}
    assert service.body()["optimizer_kwargs"] == {"auto": "heavy"}
    assert service.body()["optimizer_name"] == "gepa"
    assert result.stderr == "Warning: Unknown keys were ignored: a\n"
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["rows", "20", "train,", "0", "val,", "10", "test"]
    assert lines[1].split() == ["metric", "calls", "24", "to", "40"]
    assert lines[3].split() == ["model", "calls", "at", "least", "25"]
    assert lines[7].split() == ["cost", "in", "USD", "unknown"]
    assert "\x1b" not in result.stdout
    found = json.loads(invoke(service, *arguments, "--output", "json").stdout)
    assert found["estimate"]["model_calls"]["most"] is None
    assert found["estimate"]["by_stage"].keys() == {"preflight", "baseline", "optimize", "final"}


def test_a_payload_is_json_for_another_submit(service: FakeService, tmp_path: Path) -> None:
    service.add("success", payload={"module_name": "cot", "secrets": {"KEY": ""}})
    result = invoke(service, "payload", "job1")
    assert json.loads(result.stdout) == {"module_name": "cot", "secrets": {"KEY": ""}}
    assert result.stderr == "Empty: secrets.KEY\n"
    (tmp_path / "again.json").write_text(result.stdout)
    assert invoke(service, "submit", str(tmp_path / "again.json"), "--set", "secrets.KEY=x").exit_code == 0
    assert service.body()["secrets"] == {"KEY": "x"}
