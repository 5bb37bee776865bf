"""Examples of every answer and every error, shown in the OpenAPI document and held to the shapes by a test."""

from typing import Any

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
    "run_options": {"labels": {"team": "support"}, "priority": 0},
    "model_config": {"name": "openai/gpt-4o-mini", "temperature": 0.1},
}

ACCEPTED: dict[str, Any] = {"job_id": JOB_ID, "status": "pending", "estimated_remaining_seconds": None}

METRICS: dict[str, Any] = {"train": 10, "val": 6, "test": 4, "baseline_test_metric": 50.0, "tqdm_percent": 55.0}

LOG: dict[str, Any] = {
    "timestamp": "2026-03-01T09:30:07.120Z",
    "level": "INFO",
    "logger": "dspy.evaluate.evaluate",
    "message": "Average Metric: 2.0 / 4 (50.0%)",
}

EVENTS: list[dict[str, Any]] = [
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

RUNNING: dict[str, Any] = {
    "job_id": JOB_ID,
    "status": "running",
    "message": "baseline_evaluated",
    "created_at": "2026-03-01T09:30:00Z",
    "started_at": "2026-03-01T09:30:05.010Z",
    "completed_at": None,
    "latest_metrics": METRICS,
    "progress_events": EVENTS,
    "logs": [LOG],
    "estimated_seconds_remaining": 42.3,
    "result": None,
}

ARTIFACT: dict[str, Any] = {
    "program_artifact_path": f"artifacts/{JOB_ID}",
    "program_artifact": {
        "path": f"artifacts/{JOB_ID}",
        "program_pickle_base64": "gASVEAAAAAAAAAB9lC4=",
        "metadata": {"job_id": JOB_ID, "dspy_version": "3.4.1"},
        "optimized_prompt": "# predict\n\nRoute the message to the team that handles it.\n",
        "program_state": {"predict": {"demos": [], "signature": {"instructions": "Route the message."}}},
        "digests": {"program.pkl": "sha256:bcad8cac68b26fe8e1acdf67dfc137b1c8ea9d09b5aa6f778fb0b23e0302de92"},
    },
}

RESULT: dict[str, Any] = {
    "module_name": "cot",
    "optimizer_name": "miprov2",
    "metric_name": "metric",
    "split_counts": {"train": 10, "val": 6, "test": 4},
    "baseline_test_metric": 50.0,
    "optimized_test_metric": 75.0,
    "optimization_metadata": {
        "optimizer": "miprov2",
        "optimizer_kwargs": {"auto": "light"},
        "compile_kwargs": {},
        "module_kwargs": {},
        "model_identifier": "openai/gpt-4o-mini",
    },
    "details": {
        "train": 10,
        "val": 6,
        "test": 4,
        "baseline_test_metric": 50.0,
        "optimized_test_metric": 75.0,
        "stopped_early": False,
        "candidate_scores": [[6, 50.0], [12, 66.67], [18, 33.33]],
        "best_so_far": [[6, 50.0], [12, 66.67], [18, 66.67]],
    },
    **ARTIFACT,
    "runtime_seconds": 61.5,
    "run_log": [LOG],
}

SUCCEEDED: dict[str, Any] = RUNNING | {
    "status": "success",
    "message": "Optimization completed successfully.",
    "completed_at": "2026-03-01T09:31:06.510Z",
    "estimated_seconds_remaining": None,
    "result": RESULT,
}

SUMMARY: dict[str, Any] = {
    "job_id": JOB_ID,
    "status": "running",
    "message": "optimizer_progress",
    "created_at": "2026-03-01T09:30:00Z",
    "started_at": "2026-03-01T09:30:05.010Z",
    "completed_at": None,
    "elapsed_seconds": None,
    "estimated_seconds_remaining": 35.6,
    "module_name": "cot",
    "optimizer_name": "miprov2",
    "dataset_rows": 20,
    "split_fractions": {"train": 0.5, "val": 0.3, "test": 0.2},
    "shuffle": True,
    "seed": 7,
    "optimizer_kwargs": {"auto": "light"},
    "compile_kwargs": {},
    "latest_metrics": METRICS,
}

LISTING: dict[str, Any] = {"jobs": [SUMMARY], "next_cursor": "WyIyMDI2LTAzLTAxVDA5OjMwOjAwWiIsIiIsInRpY2tldHMiXQ"}
RECORD_KEPT: dict[str, Any] = {
    "detail": "The job is stopped; its record stays until its finalizers are removed: example.org/backup.",
    "code": "record_kept",
    "finalizers": ["example.org/backup"],
}
LOG_PAGE: list[dict[str, Any]] = [{"n": 1, **LOG}]
EVENT_PAGE: list[dict[str, Any]] = [{"n": number, **event} for number, event in enumerate(EVENTS, 1)]

HEALTH: dict[str, Any] = {
    "status": "ok",
    "registered_assets": {"modules": ["cot", "predict"], "optimizers": ["gepa", "miprov2"]},
}

UNUSABLE = {
    "unknown optimizer": {"detail": "Unknown optimizer 'mipro': allowed are gepa, miprov2, or a dotted path in dspy."},
    "missing reflection model": {"detail": "The optimizer gepa needs a reflection_model_config."},
}
NO_TOKEN = {"no token": {"detail": "This service asks for a token: send it as 'Authorization: Bearer <token>'."}}
FOREIGN = {"foreign page": {"detail": "Origin 'https://example.org' may not call this service from a web page."}}
NOT_FOUND = {
    "unknown job": {"detail": f"Unknown job '{JOB_ID}'."},
    "no artifact": {"detail": "Job did not produce an artifact."},
}
CONFLICT = {
    "not finished": {"detail": "Job has not finished yet."},
    "other body": {"detail": "Idempotency-Key 'a1' was used with another body; use a new key for a new request."},
}
TOO_LARGE = {"too large": {"detail": "The request body is larger than this service's limit of 30000000 bytes."}}
NOT_JSON = {
    "form": {
        "detail": "The body's Content-Type is 'application/x-www-form-urlencoded': send JSON, as application/json."
    }
}
INVALID = {
    "empty dataset": {
        "error": "invalid_request",
        "detail": [{"field": "dataset", "message": "Dataset must contain at least one row.", "type": "value_error"}],
    }
}
FAULT = {
    "fault": {"detail": "Something went wrong inside the service; its log tells more under this request's id."},
}
UNAVAILABLE = {
    "cluster": {"detail": "The cluster cannot serve this: the API server does not answer: time-out."},
    "store": {"detail": "The store cannot serve this: cannot read 'default/jobs/x/result.json' in the store."},
}
