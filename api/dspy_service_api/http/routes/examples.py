"""Examples of every answer and every error for the OpenAPI document. They are built by the same code as real answers,
from one made-up job."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from dspy_service_api.answers import error_codes, present
from dspy_service_api.answers.catalogue import catalogue
from dspy_service_api.answers.dry_runs import dry_run
from dspy_service_api.answers.listing import cursor_of
from dspy_service_api.answers.schemas.transcripts import Candidate, LogEntry, ProgressEvent
from dspy_service_api.answers.stream import News
from dspy_service_api.http.media import NotJson, refused_type
from dspy_service_api.http.origins import foreign_origin
from dspy_service_api.http.problems import SLOW_READER, UNFORESEEN, BodyTooLarge, Problem, problem_of
from dspy_service_api.jobs.artifact import Artifact
from dspy_service_api.jobs.from_resource import record_of
from dspy_service_api.jobs.position import Position
from dspy_service_api.jobs.rows import ProgramAnswer, RowResult
from dspy_service_api.serve.memory import Busy
from dspy_service_api.serve.streams import TooManyStreams
from dspy_service_api.submit.outlook import outlook
from dspy_service_api.submit.request_again import elsewhere
from dspy_service_api.submit.request_spec import WORDS, translated
from dspy_service_core import errors
from dspy_service_core.checks import job_checks
from dspy_service_core.checks.job_checks import Installation
from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.kube import errors as kube
from dspy_service_core.records.run import ResultDocument
from dspy_service_core.registry import registry
from dspy_service_core.registry.packages import RunnerPackages
from dspy_service_core.resource import names

JOB_ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"

REQUEST: dict[str, Any] = {
    "module_name": "cot",
    "module_kwargs": {},
    "signature_code": (
        "class Ticket(dspy.Signature):\n"
        '    """Route the message to the team that handles it."""\n\n'
        "    text: str = dspy.InputField()\n"
        "    team: str = dspy.OutputField()\n"
    ),
    "metric_code": "def metric(gold, pred, trace=None):\n    return gold.team == pred.team\n",
    "optimizer_name": "miprov2",
    "optimizer_kwargs": {"auto": "light"},
    "compile_kwargs": {},
    "dataset": [
        {"message": f"{text} ({number})", "team": team}
        for number in range(1, 6)
        for text, team in (
            ("My card was charged twice.", "billing"),
            ("The app closes when I open it.", "technical"),
            ("How do I change my address?", "account"),
            ("I want my money back.", "billing"),
        )
    ],
    "column_mapping": {"inputs": {"text": "message"}, "outputs": {"team": "team"}},
    "split_fractions": {"train": 0.5, "val": 0.3, "test": 0.2},
    "shuffle": True,
    "seed": 7,
    "run_options": {"name": "tickets-1", "labels": {"team": "support"}, "priority": 0},
    "model_config": {"name": "openai/gpt-4o-mini", "temperature": 0.1},
}

METRICS: dict[str, Any] = {"train": 10, "val": 6, "test": 4, "baseline_test_metric": 50.0, "tqdm_percent": 55.0}

LOG: LogEntry = {
    "timestamp": "2026-03-01T09:30:07.120Z",
    "level": "INFO",
    "logger": "dspy.evaluate.evaluate",
    "message": "Average Metric: 2.0 / 4 (50.0%)",
}

EVENTS: list[ProgressEvent] = [
    {
        "timestamp": "2026-03-01T09:30:05.010Z",
        "event": "dataset_splits_ready",
        "metrics": {"train": 10, "val": 6, "test": 4},
    },
    {
        "timestamp": "2026-03-01T09:30:07.121Z",
        "event": "baseline_evaluated",
        "metrics": {"baseline_test_metric": 50.0},
    },
]

_RESOURCE: dict[str, Any] = {
    "metadata": {
        "name": names.resource_name(JOB_ID),
        "namespace": "default",
        "uid": "0d6b2f6e-1a53-4a0e-b2c5-3f1f6f0f7a55",
        "resourceVersion": "17",
        "labels": {names.LABEL_NAME: REQUEST["run_options"]["name"]},
        "creationTimestamp": "2026-03-01T09:30:00Z",
    },
    "spec": {
        "module": {"name": REQUEST["module_name"]},
        "optimizer": {"name": REQUEST["optimizer_name"], "kwargs": REQUEST["optimizer_kwargs"]},
        "metric": {"code": REQUEST["metric_code"]},
        "dataset": {"rows": REQUEST["dataset"]},
        "split": {"train": "0.5", "val": "0.3", "test": "0.2", "shuffle": True, "seed": 7},
        "models": {"default": {"name": REQUEST["model_config"]["name"]}},
    },
}
_RUN: dict[str, Any] = {
    "startedAt": "2026-03-01T09:30:05.010Z",
    "progress": {
        "etaSeconds": "35.6",
        "bestScore": "66.67",
        "bestScoreOn": "validation",
        "bestScoreRows": 6,
        "bestScoreAtCall": 31,
    },
    "metrics": METRICS,
    "usage": {
        "calls": 62,
        "cachedCalls": 9,
        "promptTokens": 21340,
        "completionTokens": 1984,
        "cachedPromptTokens": 0,
        "reasoningTokens": 0,
        "costUsd": "0.0043914",
        "seconds": "38.201",
    },
    "candidates": 3,
    "message": "optimizer_progress",
}
_RESULT: dict[str, Any] = {
    "outcome": "Succeeded",
    "splitCounts": {"train": 10, "val": 6, "test": 4},
    "baselineScore": "50.0",
    "optimizedScore": "75.0",
    "verdict": "no_evidence",
    "comparison": {
        "difference": "25.0",
        "interval": ["-81.018", "100"],
        "confidence": "0.95",
        "method": "student_t_two_pseudo_rows",
        "rows": 4,
        "won": 1,
        "lost": 0,
        "tied": 3,
        "failedRows": 0,
    },
    "runtimeSeconds": "61.5",
    "artifact": {"path": f"artifacts/{JOB_ID}"},
}
_NOW = datetime(2026, 3, 1, 9, 30, 48, tzinfo=UTC)
_RUNNING = record_of(_RESOURCE | {"status": {"phase": "Running", "run": _RUN}})
_SUCCEEDED = record_of(
    _RESOURCE
    | {
        "status": {
            "phase": "Succeeded",
            "completedAt": "2026-03-01T09:31:06.510Z",
            "run": _RUN | {"result": _RESULT},
        }
    }
)
_SIGNATURE = "class Route(dspy.Signature):\n    text: str = dspy.InputField()\n    team: str = dspy.OutputField()\n"
_FOUND = Artifact(
    path=f"artifacts/{JOB_ID}",
    pickle_base64="gASVEAAAAAAAAAB9lC4=",
    metadata=orjson.dumps({"job_id": JOB_ID, "dspy_version": "3.4.1"}),
    prompt="# predict\n\nRoute the message to the team that handles it.\n",
    state=orjson.dumps({"predict": {"demos": [], "signature": {"instructions": "Route the message."}}}),
    digests={"program.pkl": "sha256:bcad8cac68b26fe8e1acdf67dfc137b1c8ea9d09b5aa6f778fb0b23e0302de92"},
    baseline_state=orjson.dumps({"predict": {"demos": [], "signature": {"instructions": "Route it."}}}),
    messages=orjson.dumps(
        {
            "adapter": "chat",
            "predictors": {
                "predict": {
                    "messages": [{"role": "user", "content": "[[ ## text ## ]]\n{{text}}"}],
                    "inputs": {"text": {"placeholder": "{{text}}", "type": "str"}},
                    "sent_otherwise": [],
                }
            },
        }
    ),
    signature_code=_SIGNATURE,
    arguments=orjson.dumps({"module": "dspy.ChainOfThought", "kwargs": {}, "adapter": "chat"}),
    submitted={"signature": f"sha256:{hashlib.sha256(_SIGNATURE.encode()).hexdigest()}"},
)
_SCORES = {
    "candidate_scores": [[6, 50.0], [12, 66.67], [18, 33.33]],
    "best_so_far": [[6, 50.0], [12, 66.67], [18, 66.67]],
    "candidates_count": 3,
}
_WON = RowResult(
    n=12,
    outcome="won",
    inputs={"text": "I was charged twice this month."},
    gold={"team": "billing"},
    baseline=ProgramAnswer({"team": "support"}, 0.0, None),
    optimized=ProgramAnswer({"team": "billing"}, 1.0, None),
)
CANDIDATE: Candidate = {
    "n": 3,
    "parents": [1],
    "at_call": 18,
    "score": 66.67,
    "rows": 6,
    "accepted": True,
    "changes": {
        "predict": {
            "instructions": "Route the message to the team that handles it. A refund is for billing.",
            "demos": None,
        }
    },
}
CANDIDATES = orjson.dumps([CANDIDATE])
LOGS = orjson.dumps([LOG])
PROGRESS = orjson.dumps(EVENTS)

ACCEPTED = present.accepted(JOB_ID)
_REQUEST = parse_run_request(orjson.dumps(REQUEST))
_JOB = translated(_REQUEST, {}, lambda: 7)
_OUTLOOK = outlook(
    _REQUEST, _JOB.spec, job_checks.check(_JOB.spec, Installation(registry.default()), _JOB.contents, WORDS)
)
DRY_RUN = dry_run(_OUTLOOK.split_counts, _OUTLOOK.estimate, ("Unknown keys were ignored: experiment",))
PAYLOAD = orjson.dumps(REQUEST)
SUMMARY = present.summary(_RUNNING, 0, lambda: _NOW)
LISTING = present.listing([present.summary_fields(_RUNNING, 0, lambda: _NOW)], cursor_of(_RUNNING), 12)
SUCCEEDED = present.detail(
    _SUCCEEDED,
    0,
    PROGRESS,
    LOGS,
    present.run_response(_SUCCEEDED, ResultDocument("Succeeded", details=_SCORES, metric_name="metric"), _FOUND, LOGS),
)
ARTIFACT = present.artifact(_FOUND)
_NEWS = (
    News("event", Position(2, 0), b'{"n":2,%b' % orjson.dumps(EVENTS[1])[1:]),
    News("log", Position(2, 1), b'{"n":1,%b' % orjson.dumps(LOG)[1:]),
    News("candidate", Position(2, 1, 3), orjson.dumps(CANDIDATE)),
    News("status", Position(2, 1, 3), SUMMARY),
)
STREAM = b"".join(news.encoded() for news in _NEWS).decode()
ROWS = present.rows([_WON])
RECORD_KEPT = present.record_kept(["example.org/backup"])
_TABLE = ("dspy.BootstrapFinetune", "dspy.ChainOfThought", "dspy.GEPA")
_ASSETS = registry.default()
CATALOGUE = catalogue(
    registry.Registry(
        modules=replace(_ASSETS.modules, assets={p: a for p, a in _ASSETS.modules.assets.items() if p in _TABLE}),
        optimizers=replace(
            _ASSETS.optimizers, assets={p: a for p, a in _ASSETS.optimizers.assets.items() if p in _TABLE}
        ),
    ),
    RunnerPackages(python="3.12", packages={"dspy": "3.4.1", "numpy": "2.5.5"}),
    WORDS,
)
HEALTH = present.health({"modules": ["cot", "predict"], "optimizers": ["gepa", "miprov2"]})

PROBLEMS: dict[str, Problem] = {
    "unknown optimizer": problem_of(
        errors.UnusableRequest("Unknown optimizer 'mipro'. Allowed: gepa, miprov2, or a dotted path in dspy.")
    ),
    "missing reflection model": problem_of(
        errors.UnusableRequest("Optimizer 'gepa' needs a reflection model: give reflection_model_config.")
    ),
    "the cluster's rules": problem_of(kube.Invalid("spec.dataset: the rows are over 16 KiB")),
    "no token": Problem(
        error_codes.NO_TOKEN, "This service asks for a token: send it as 'Authorization: Bearer <token>'."
    ),
    "no role": Problem(
        error_codes.FORBIDDEN,
        "User 'jane' may not create optimizationjobs.dspy-service.io in namespace 'default'.",
    ),
    "foreign host": Problem(
        error_codes.FOREIGN_HOST,
        "Host 'dspy.example.org' is not this service's: allowed are localhost, IP addresses.",
    ),
    "foreign page": Problem(
        error_codes.FOREIGN_ORIGIN, foreign_origin({b"origin": b"https://example.org"}, frozenset())
    ),
    "unknown job": problem_of(errors.JobNotFound(JOB_ID)),
    "no artifact": problem_of(errors.NoArtifact()),
    "content elsewhere": problem_of(elsewhere("spec.metric")),
    "ended already": problem_of(errors.JobEnded("success")),
    "not finished": problem_of(errors.JobNotFinished()),
    "nothing yet": problem_of(errors.NoBestYet()),
    "other body": problem_of(errors.IdempotencyConflict("a1")),
    "name in use": problem_of(errors.NameTaken("tickets-1")),
    "too large": problem_of(BodyTooLarge(30_000_000)),
    "form": problem_of(NotJson(refused_type([(b"content-type", b"application/x-www-form-urlencoded")]))),
    "empty dataset": problem_of(
        errors.InvalidRequest(
            [errors.FieldProblem("dataset", "Dataset must contain at least one row.", "dataset_empty")]
        )
    ),
    "fault": Problem(error_codes.INTERNAL_ERROR, UNFORESEEN),
    "busy": problem_of(Busy()),
    "too many streams": problem_of(TooManyStreams(1000)),
    "slow reader": SLOW_READER,
    "cluster out of reach": problem_of(kube.Unavailable("the API server does not answer: time-out")),
    "quota": problem_of(kube.Forbidden("exceeded quota: jobs, limited: count/optimizationjobs.dspy-service.io=100")),
    "store out of reach": problem_of(errors.StoreError("cannot read 'default/jobs/x/result.json' in the store")),
}
"""Each is shown at every route that declares its code."""
