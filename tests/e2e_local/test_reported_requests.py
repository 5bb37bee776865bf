"""Requests of the kinds that people reported as going wrong with DSPy and its like, each in forms of our own.

All of them are submitted to one service at once; then each is looked at. The model knows what is right
(`KnowingModel`): an optimized score below full marks is never its fault.
"""

import base64
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy
import pytest

from knowing_model import KnowingModel
from scripted_lm import ScriptedServer
from whole_jobs import ended
from whole_service import Service, service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Check = Callable[["Ended"], None]
HALF = {"train": 0.5, "val": 0.25, "test": 0.25}


@dataclass(frozen=True)
class Ended:
    """A job's whole answer, and what the model was asked with the job's key."""

    answer: Mapping[str, Any]
    body: Mapping[str, Any]
    calls: Sequence[Mapping[str, Any]]

    @property
    def result(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.answer["result"]
        return found

    @property
    def asked(self) -> str:
        return json.dumps([call["request"]["messages"] for call in self.calls])


@dataclass(frozen=True)
class Reported:
    """`refused`: words that the refusal at submit holds; else `check` looks at the ended job."""

    kind: int
    name: str
    fields: str
    rows: Sequence[Mapping[str, Any]]
    """Each with `right`, what the model answers, and perhaps `gold`, where the column holds it in another form."""
    metric: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    manners: Sequence[str] = ()
    refused: Sequence[str] = ()
    check: Check | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def row(gold: Mapping[str, Any], right: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    """A row whose columns hold `gold`, where a right answer is `right`."""
    return {"gold": gold, "right": right or gold, "inputs": inputs}


def times(count: int, make: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    return [make(number) for number in range(count)]


# ------------------------------------------------------------------------------------------------------------- checks


def right_answers_score(end: Ended) -> None:
    assert end.answer["status"] == "success", end.answer["message"]
    assert end.result["optimized_test_metric"] == 100.0


def and_the_state_loads_as_the_pickle(end: Ended) -> None:
    """The same prompt from both, byte for byte."""
    right_answers_score(end)
    artifact = end.result["program_artifact"]
    pickled = pickle.loads(base64.b64decode(artifact["program_pickle_base64"]))
    rebuilt = rebuilt_program(end.body["signature_code"])
    rebuilt.load_state(artifact["program_state"])
    assert rebuilt.demos
    assert prompt(rebuilt) == prompt(pickled)


def rebuilt_program(code: str) -> dspy.Predict:
    names: dict[str, Any] = {"__name__": "rebuilt_signature"}
    exec(code, names)
    kinds = [v for v in names.values() if isinstance(v, type) and issubclass(v, dspy.Signature)]
    return dspy.Predict(kinds[-1])


def prompt(program: dspy.Predict) -> str:
    inputs = dict.fromkeys(program.signature.input_fields, "x")
    return json.dumps(dspy.ChatAdapter().format(program.signature, program.demos, inputs))


def failed_with(*words: str) -> Check:
    def check(end: Ended) -> None:
        assert end.answer["status"] == "failed"
        said = end.answer["message"]
        assert [word for word in words if word not in said] == [], said

    return check


# -------------------------------------------------------------------------------------------------------------- cases

TYPED = """
import datetime, enum
from decimal import Decimal
from typing import Literal, Optional
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"
class Reading(dspy.Signature):
    \"\"\"Read the note.\"\"\"
    note: str = dspy.InputField()
    level: Level = dspy.OutputField()
    mood: Mood = dspy.OutputField()
    seen: datetime.datetime = dspy.OutputField()
    price: Decimal = dspy.OutputField()
    share: float = dspy.OutputField()
    open: bool = dspy.OutputField()
    grade: Literal[1, 2] = dspy.OutputField()
    until: Optional[datetime.date] = dspy.OutputField()
"""
TYPED_ROWS = times(
    10,
    lambda n: row(
        {
            "level": "2",
            "mood": "good",
            "seen": f"2025-03-0{n % 9 + 1}T10:00:00",
            "price": f"{n}.50",
            "share": "0.25",
            "open": "true",
            "grade": "1",
            "until": "" if n % 2 else "2026-01-31",
        },
        {
            "level": 2,
            "mood": "good",
            "seen": f"2025-03-0{n % 9 + 1}T10:00:00",
            "price": f"{n}.50",
            "share": 0.25,
            "open": True,
            "grade": 1,
            "until": None if n % 2 else "2026-01-31",
        },
    ),
)
ALL_EQUAL = """
def metric(gold, pred, trace=None):
    return all(getattr(gold, name) == getattr(pred, name) for name in {names})
"""


def all_equal(*names: str) -> str:
    return ALL_EQUAL.format(names=list(names))


PARTS = """
import pydantic
class Part(pydantic.BaseModel):
    code: str
    count: int = 1
class Order(pydantic.BaseModel):
    parts: list[Part]
    note: str | None = None
class Reading(dspy.Signature):
    \"\"\"Read the order.\"\"\"
    note: str = dspy.InputField()
    order: Order = dspy.OutputField()
"""
CHAT = """
class Support(dspy.Signature):
    \"\"\"Go on with the conversation.\"\"\"
    turns: dspy.History = dspy.InputField()
    note: str = dspy.InputField()
    reply: str = dspy.OutputField()
"""
PICTURES = """
class Compare(dspy.Signature):
    \"\"\"Which of the pictures?\"\"\"
    note: str = dspy.InputField()
    pictures: list[dspy.Image] = dspy.InputField()
    which: str = dspy.OutputField()
"""
TALLY = """
import enum, datetime
class Team(enum.Enum):
    RED = "red"
    BLUE = "blue"
class Tally(dspy.Signature):
    \"\"\"Count.\"\"\"
    note: str = dspy.InputField()
    by_year: dict[int, list[str]] = dspy.OutputField()
    teams: set[Team] = dspy.OutputField()
    days: list[datetime.date] = dspy.OutputField()
    large: int = dspy.OutputField()
"""
PLAIN = """
class Ask(dspy.Signature):
    \"\"\"Answer.\"\"\"
    note: str = dspy.InputField()
    reply: str = dspy.OutputField()
"""
SAME = all_equal("reply")


def plain(count: int, **inputs: Any) -> list[dict[str, Any]]:
    return times(count, lambda n: row({"reply": f"right {n}"}, **inputs))


def turns_are_sent(end: Ended) -> None:
    right_answers_score(end)
    told = [message["content"] for call in end.calls for message in call["request"]["messages"]]
    assert any(content.startswith("[[ ## note ## ]]\nwhat I asked before") for content in told)


def pictures_are_sent(end: Ended) -> None:
    right_answers_score(end)
    parts = [
        part
        for call in end.calls
        for message in call["request"]["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
    ]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert urls
    assert all(url.startswith("https://pics.example.org/") for url in urls)


def fields_are_sent(*texts: str) -> Check:
    def check(end: Ended) -> None:
        right_answers_score(end)
        assert [text for text in texts if text not in end.asked] == []

    return check


def no_worse(end: Ended) -> None:
    assert end.answer["status"] == "success", end.answer["message"]
    assert end.result["optimized_test_metric"] >= end.result["baseline_test_metric"]


def reserved(name: str, output: bool = False) -> str:
    kind = "OutputField" if output else "InputField"
    reply = "" if output else "    reply: str = dspy.OutputField()\n"
    note = "    note: str = dspy.InputField()\n"
    return f'class Ask(dspy.Signature):\n    """Answer."""\n{note}    {name}: str = dspy.{kind}()\n{reply}'


SHORT_JUDGE = """
judge = dspy.Predict("candidate, expected -> agree: bool")
def metric(gold, pred, trace=None):
    agree = judge(candidate=pred.reply, expected=gold.reply).agree
    return float(agree and gold.reply == pred.reply)
"""
NAMED_JUDGE = """
judge = dspy.Predict("candidate, expected -> agree: bool")
def metric(gold, pred, trace=None):
    with dspy.context(lm=models["critic"]):
        agree = judge(candidate=pred.reply, expected=gold.reply).agree
    return float(agree and gold.reply == pred.reply)
"""
KEYLESS_JUDGE = """
judge = dspy.Predict("candidate, expected -> agree: bool")
judge.lm = dspy.LM("anthropic/some-judge")
def metric(gold, pred, trace=None):
    return judge(candidate=pred.reply, expected=gold.reply).agree
"""
WORDS = """
def metric(gold, pred, trace=None):
    return all(word in pred.reply for word in gold.words)
"""
LOWER = """
def metric(gold, pred, trace=None):
    return gold.reply.strip().lower() == pred.reply.strip().lower()
"""
STARTS = """
def metric(gold, pred, trace=None):
    return pred.reply.startswith(gold.reply)
"""


def some_rows_count_zero(end: Ended) -> None:
    assert end.answer["status"] == "success", end.answer["message"]
    assert end.result["optimized_test_metric"] > 0


def state_and_program_are_there(end: Ended) -> None:
    assert end.answer["status"] == "success", end.answer["message"]
    artifact = end.result["program_artifact"]
    rebuilt = rebuilt_program(end.body["signature_code"])
    rebuilt.load_state(artifact["program_state"])
    assert rebuilt.demos
    assert '\\ud83d"' not in json.dumps(artifact["program_state"])


def no_temperature_is_sent(end: Ended) -> None:
    right_answers_score(end)
    assert not any("temperature" in call["request"] for call in end.calls)


def their_own_key_is_used(end: Ended) -> None:
    right_answers_score(end)
    assert "candidate" not in end.asked, "the judge was asked with the job's key"


SIMBA = {"optimizer_name": "simba", "optimizer_kwargs": {"max_steps": 1, "num_candidates": 2, "bsize": 8}}

CASES = [
    Reported(
        1,
        "a CSV of many types",
        TYPED,
        TYPED_ROWS,
        all_equal(*TYPED_ROWS[0]["gold"]),
        check=and_the_state_loads_as_the_pickle,
    ),
    Reported(
        1,
        "a model of models as JSON text in a CSV",
        PARTS,
        times(
            10,
            lambda n: row(
                {"order": json.dumps({"parts": [{"code": f"c{n}"}]})}, {"order": {"parts": [{"code": f"c{n}"}]}}
            ),
        ),
        all_equal("order"),
        check=and_the_state_loads_as_the_pickle,
    ),
    Reported(
        1,
        "a conversation of several turns",
        CHAT,
        times(
            8,
            lambda n: row(
                {"reply": f"right {n}"},
                turns={
                    "messages": [{"note": f"what I asked before {n}", "reply": "that"}, {"note": "and", "reply": "so"}]
                },
            ),
        ),
        SAME,
        check=turns_are_sent,
    ),
    Reported(
        1,
        "lists of pictures by URL",
        PICTURES,
        times(
            8,
            lambda n: row(
                {"which": f"right {n}"},
                pictures=[f"https://pics.example.org/{n}.png", f"https://pics.example.org/{n}b.png"],
            ),
        ),
        all_equal("which"),
        check=pictures_are_sent,
    ),
    Reported(
        2,
        "keys that are numbers, sets of enums, dates, large integers",
        TALLY,
        times(
            8,
            lambda n: row(
                {
                    "by_year": {str(2000 + n): ["a"]},
                    "teams": ["red", "blue"],
                    "days": [f"2025-01-0{n + 1}"],
                    "large": 10**17 + n,
                }
            ),
        ),
        all_equal("by_year", "teams", "days", "large"),
        check=and_the_state_loads_as_the_pickle,
    ),
    Reported(
        3,
        "SIMBA with a judge",
        PLAIN,
        plain(24),
        SHORT_JUDGE,
        SIMBA,
        check=right_answers_score,
    ),
    Reported(3, "SIMBA without it", PLAIN, plain(24), SAME, SIMBA, check=right_answers_score),
    Reported(
        4,
        "labeled demos that no context holds",
        PLAIN,
        plain(60),
        SAME,
        {
            "optimizer_name": "dspy.BootstrapRS",
            "optimizer_kwargs": {"num_candidate_programs": 2, "max_labeled_demos": 12},
            "split_fractions": {"train": 0.3, "val": 0.4, "test": 0.3},
        },
        manners=["context-1100"],
        check=no_worse,
    ),
    Reported(
        4,
        "content that the model's host refuses",
        PLAIN,
        [*plain(11), row({"reply": "right 11"}, note="FORBIDDEN")],
        SAME,
        manners=["filter"],
        check=no_worse,
    ),
    Reported(
        5,
        "prose for the first rows",
        PARTS.replace("order: Order", "order: list[Part]"),
        [row({"order": [{"code": f"c{n}", "count": 2}]}, note="MUMBLE" if n == 0 else "") for n in range(12)],
        all_equal("order"),
        {"shuffle": False},
        manners=["prose"],
        check=right_answers_score,
    ),
    Reported(
        5,
        "a first row without gold",
        PLAIN,
        [row({"reply": None}, {"reply": "right 0"}), *plain(11)],
        LOWER,
        {"shuffle": False},
        check=some_rows_count_zero,
    ),
    Reported(6, "come again in a week", PLAIN, plain(8), SAME, manners=["wait-604800"], check=failed_with("ate limit")),
    *(
        Reported(
            7,
            f"an input named {name}",
            reserved(name),
            plain(8, **{name: f"some {name}"}),
            SAME,
            refused=[name, "ename"],
        )
        for name in ("config", "lm")
    ),
    *(
        Reported(
            7,
            f"an output named {name}",
            reserved(name, output=True),
            times(8, lambda n, name=name: row({name: f"right {n}"})),  # type: ignore[misc]
            f"def metric(gold, pred, trace=None):\n    return gold.{name} == pred.{name}\n",
            check=right_answers_score,
        )
        for name in ("labels", "keys", "copy")
    ),
    Reported(
        7,
        "an output named fields",
        reserved("fields", output=True),
        times(8, lambda n: row({"fields": f"right {n}"})),
        all_equal("fields"),
        refused=["fields", "ename"],
    ),
    Reported(
        8,
        "GEPA with one full evaluation",
        PLAIN,
        plain(12),
        SAME,
        {"optimizer_name": "gepa", "optimizer_kwargs": {"max_metric_calls": 3}, "reflection_model_config": True},
        refused=["max_metric_calls"],
    ),
    Reported(
        9,
        "AvatarOptimizer",
        PLAIN,
        plain(8),
        SAME,
        {"optimizer_name": "dspy.AvatarOptimizer"},
        refused=["AvatarOptimizer"],
    ),
    Reported(
        9,
        "BetterTogether with weights",
        PLAIN,
        plain(8),
        SAME,
        {"optimizer_name": "dspy.BetterTogether", "compile_kwargs": {"strategy": "w -> p"}},
        refused=["BetterTogether"],
    ),
    Reported(
        10,
        "COPRO's own temperature and a reasoning model",
        PLAIN,
        plain(8),
        SAME,
        {
            "optimizer_name": "dspy.COPRO",
            "optimizer_kwargs": {"breadth": 2, "depth": 1},
            "prompt_model_config": {"name": "openai/o3-mini"},
        },
        manners=["only-temperature-1"],
        refused=["init_temperature"],
    ),
    Reported(
        11,
        "a free name that takes max_completion_tokens",
        PLAIN,
        plain(8),
        SAME,
        {"model_config": {"name": "openai/our-thinker", "temperature": 1.0, "extra": {"max_completion_tokens": 9000}}},
        manners=["never-max_tokens", "only-temperature-1"],
        check=right_answers_score,
    ),
    Reported(
        11,
        "an alias that takes no temperature",
        PLAIN,
        plain(8),
        SAME,
        {"model_config": {"name": "openai/gateway-alias", "temperature": None}},
        manners=["never-temperature"],
        check=no_temperature_is_sent,
    ),
    Reported(
        12,
        "no column with a gold text",
        PLAIN,
        times(8, lambda n: row({}, {"reply": f"right {n}"}, words=["right", str(n)])),
        WORDS,
        {"column_mapping": {"inputs": {"note": "note"}, "outputs": {"reply": None}}},
        check=right_answers_score,
    ),
    Reported(
        12,
        "a metric that reads a column that is mapped to nothing",
        PLAIN,
        times(8, lambda n: row({"reply": ""}, {"reply": f"right {n}"}, words=["right", str(n)])),
        WORDS,
        check=right_answers_score,
    ),
    Reported(
        13,
        "a judge with a model of its own",
        PLAIN,
        plain(8),
        NAMED_JUDGE,
        {"model_configs": {"critic": {"name": "openai/critic", "extra": {"api_key": "k-critic"}}}},
        check=their_own_key_is_used,
    ),
    Reported(13, "a judge without a key", PLAIN, plain(8), KEYLESS_JUDGE, check=failed_with("model_configs")),
    Reported(
        14,
        "a teacher that is no model of the job",
        PLAIN,
        plain(8),
        SAME,
        {"optimizer_kwargs": {"teacher_settings": {"lm": "anthropic/claude-x"}}},
        refused=["teacher_settings.lm"],
    ),
    Reported(
        14,
        "a prompt model by name among the kwargs",
        PLAIN,
        plain(12),
        SAME,
        {"optimizer_name": "miprov2", "optimizer_kwargs": {"auto": "light", "teacher_settings": {"lm": "gpt-9"}}},
        refused=["teacher_settings.lm"],
    ),
    Reported(
        17,
        "half an emoji in plain text",
        PLAIN,
        plain(8),
        STARTS,
        manners=["surrogate"],
        check=state_and_program_are_there,
    ),
]


# ----------------------------------------------------------------------------------------------------------- machinery


def key_of(case: Reported) -> str:
    return f"sk-of-case-{CASES.index(case):04}"


def model_of(case: Reported, server: ScriptedServer, given: Any = None) -> dict[str, Any]:
    base = {"name": "openai/knows", "base_url": server.url_as(*case.manners), "extra": {"api_key": key_of(case)}}
    chosen = given if isinstance(given, dict) else {}
    return base | chosen | {"extra": base["extra"] | chosen.get("extra", {})}


def body_of(case: Reported, server: ScriptedServer, model: KnowingModel) -> dict[str, Any]:
    dataset = []
    for number, one in enumerate(case.rows):
        wrong = {name: _wrong(value) for name, value in one["right"].items()}
        item = model.know(f"{case} {number}", one["right"], wrong)
        inputs = {**one["inputs"], "note": f"{item} {one['inputs'].get('note', '')}"}
        dataset.append(inputs | one["gold"])
    gold = list(case.rows[-1]["gold"])
    inputs = [name for name in {"note": 0, **case.rows[0]["inputs"]} if f"{name}:" in case.fields]
    body: dict[str, Any] = {
        "module_name": "predict",
        "signature_code": f"import dspy\n{case.fields}",
        "metric_code": case.metric,
        "optimizer_name": "dspy.BootstrapFewShot",
        "dataset": dataset,
        "column_mapping": {"inputs": {n: n for n in inputs}, "outputs": {n: n for n in gold}},
        "split_fractions": HALF,
        "seed": 3,
    }
    body |= case.changes
    configs = {"model_config", *(name for name in case.changes if name.endswith("model_config"))}
    body |= {name: model_of(case, server, case.changes.get(name)) for name in configs}
    further = case.changes.get("model_configs", {})
    return body | ({"model_configs": {n: model_of(case, server, m) for n, m in further.items()}} if further else {})


def _wrong(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return 1
    return "wrong" if isinstance(value, str) and value.startswith("right") else value


@dataclass(frozen=True)
class Submitted:
    body: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(model=KnowingModel()) as running:
        running.keep_requests = True
        yield running


@pytest.fixture(scope="module")
def reported_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service("--concurrency", "3", data_dir=tmp_path_factory.mktemp("reported")) as started:
        yield started


@pytest.fixture(scope="module")
def submitted(reported_service: Service, server: ScriptedServer) -> Mapping[str, Submitted]:
    model = server.model
    assert isinstance(model, KnowingModel)
    found = {}
    for case in CASES:
        body = body_of(case, server, model)
        answer = reported_service.http.post("/run", json=body)
        found[str(case)] = Submitted(body, answer.status_code, answer.json())
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_ends_as_it_should(
    case: Reported, submitted: Mapping[str, Submitted], reported_service: Service, server: ScriptedServer
) -> None:
    sent = submitted[str(case)]
    if case.refused:
        assert sent.status in (400, 422), sent.answer
        said = json.dumps(sent.answer["detail"])
        assert [word for word in case.refused if word not in said] == [], said
        return
    assert sent.status == 200, sent.answer
    answer = ended(reported_service.http, sent.answer["job_id"], timeout=300)
    assert case.check
    case.check(Ended(answer, sent.body, server.calls_of(key_of(case))))


def test_a_judge_changes_no_candidate_s_score(
    submitted: Mapping[str, Submitted], reported_service: Service, server: ScriptedServer
) -> None:
    """It says yes to everything here: with it and without it the program's own scores are the same."""
    jobs = [submitted[f"3: SIMBA {how}"].answer["job_id"] for how in ("with a judge", "without it")]
    judged, alone = (full_scores(reported_service, job_id) for job_id in jobs)
    assert judged == alone
    assert len(set(judged)) == 2, "the program as it was given, and a better one"


def full_scores(reported_service: Service, job_id: str) -> list[float]:
    """Of the candidates that were scored on the whole of the training rows. Sorted: SIMBA scores them at the same time,
    so which of them is through first is chance."""
    ended(reported_service.http, job_id, timeout=300)
    candidates = reported_service.http.get(f"/jobs/{job_id}/candidates").json()
    most = max(each["rows"] for each in candidates)
    return sorted(each["score"] for each in candidates if each["rows"] == most)


SCRIPT = '''
import datetime, enum, sys
from dataclasses import dataclass

import dspy
import numpy
from dspy_service import Client, build_payload

DROPPED = {"the", "a"}


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Measure(dspy.Signature):
    """How large is it?"""

    note: str = dspy.InputField()
    asked_on: datetime.date = dspy.InputField()
    size: Size = dspy.OutputField()


@dataclass
class Near:
    worth: float


near = Near(0.5)


def words(text):
    return [word for word in text.split() if word not in DROPPED]


def graded(example, prediction, trace=None):
    assert isinstance(prediction.size, Size) and words("the x") == ["x"]
    return 1.0 if prediction.size is Size(example.size) else near.worth * 0


if __name__ == "__main__":
    url, model, *items = sys.argv[1:]
    same = {"asked_on": datetime.date(2025, 1, 1), "size": Size.SMALL, "n": numpy.int64(3)}
    rows = [{"note": note, **same} for note in items]
    payload = build_payload(
        signature=Measure,
        metric=graded,
        rows=rows,
        inputs=["note", "asked_on"],
        outputs=["size"],
        optimizer="dspy.BootstrapFewShot",
        model={"name": "openai/m", "base_url": model, "extra": {"api_key": "sk-of-the-script"}},
        split=(0.5, 0.25, 0.25),
    )
    with Client(url) as client:
        print(client.submit(payload).job_id)
'''


def test_the_client_sends_what_a_script_gave_it(
    reported_service: Service, server: ScriptedServer, tmp_path: Path
) -> None:
    """A metric of another name, with helpers, an enum in common with the signature, dates and numpy values in rows."""
    model = server.model
    assert isinstance(model, KnowingModel)
    items = [model.know(f"measure {n}", {"size": "small"}, {"size": "large"}) for n in range(8)]
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = [sys.executable, "script.py", reported_service.url, server.url, *items]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer = ended(reported_service.http, done.stdout.strip())
    right_answers_score(Ended(answer, {}, []))
    assert "2025-01-01" in json.dumps([call["request"] for call in server.calls_of("sk-of-the-script")])


@pytest.mark.parametrize("written", ["NaN", "-Infinity", "[1, NaN]"])
def test_what_json_does_not_have_is_named_by_row_and_column(reported_service: Service, written: str) -> None:
    body = json.dumps({"dataset": [{"note": "a", "price": 1}] * 3 + [{"note": "a", "price": "@"}]})
    answer = reported_service.http.post("/run", content=body.replace('"@"', written))
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["field"].startswith("dataset[3].price")
    assert "null" in problem["message"]


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_the_command_line_says_so_in_one_line(reported_service: Service, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"payload.{ending}"
    path.write_text('{"dataset": [{"price": 1}, {"price": ' + {"json": "NaN", "yaml": ".nan"}[ending] + "}]}")
    command = [str(Path(sys.executable).parent / "dspy-service"), "--url", reported_service.url, "submit", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "dataset[1].price is NaN" in done.stderr
    assert "null" in done.stderr
