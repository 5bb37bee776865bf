"""An `Acceptance` without core's checks: whatever is JSON is accepted, so that what follows can be tested alone."""

from typing import Any, get_args

import orjson

from dspy_service_api.answers.catalogue import catalogue
from dspy_service_api.submit.earlier_jobs import EarlierJobs
from dspy_service_api.submit.job_objects import AcceptedRequest
from dspy_service_api.submit.outlook import Outlook
from dspy_service_core.errors import FieldProblem, InvalidRequest, UnusableRequest
from dspy_service_core.estimate.bounds import just
from dspy_service_core.estimate.estimate import Estimate, StageCalls
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.records.usage import CallStage
from dspy_service_core.registry import registry
from dspy_service_core.registry.packages import of_our_image
from dspy_service_core.resource.words import resource_words

_CALLS = StageCalls(just(1), just(2))
OUTLOOK = Outlook(
    SplitCounts(1, 1, 1), Estimate(dict.fromkeys(get_args(CallStage), _CALLS), 1, "a rule", "another rule")
)


class SimpleAcceptance:
    async def accept(self, body: bytes | bytearray, earlier: EarlierJobs | None = None) -> AcceptedRequest:
        try:
            given = orjson.loads(body)
        except orjson.JSONDecodeError as exc:
            raise InvalidRequest([FieldProblem("", f"is no JSON: {exc}", "json_invalid")]) from None
        if given.get("unusable"):
            raise UnusableRequest("Unknown optimizer 'x': allowed are gepa, miprov2.")
        spec: dict[str, Any] = {
            "module": {"name": "predict", "kwargs": given.get("module_kwargs", {})},
            "optimizer": {"name": "miprov2", "kwargs": {}, "compileKwargs": {}},
            "signature": {"code": given.get("signature_code", "class S(dspy.Signature): ...")},
            "metric": {"code": given.get("metric_code", "def metric(gold, pred): ...")},
            "columns": {"inputs": {"text": "text"}, "outputs": {"team": "team"}},
            "split": {"train": "0.4", "val": "0.4", "test": "0.2", "shuffle": True, "seed": given.get("seed", 3)},
            "models": {"default": {"name": "openai/gpt-4o-mini"}},
            "run": {"priority": given.get("priority", 0), **given.get("run", {})},
        }
        if "program_code" in given:
            files = [{"path": path, "code": text} for path, text in given["program_files"].items()]
            spec["program"] = {**spec["module"], "name": "", "code": given["program_code"], "files": files}
            for replaced in ("module", "signature", "columns"):
                del spec[replaced]
        key = given.get("api_key")
        return AcceptedRequest(
            spec=spec,
            rows=given.get("dataset", [{"text": "a", "team": "b"}] * 3),
            outlook=lambda: OUTLOOK,
            labels=given.get("labels", {}),
            withheld={"default": orjson.dumps({"extra": {"api_key": key}})} if key else {},
            unknown_keys=tuple(given.get("unknown", ())),
        )

    def assets(self) -> dict[str, list[str]]:
        return {"modules": ["cot", "predict"], "optimizers": ["gepa", "miprov2"]}

    def catalogue(self) -> bytes:
        return catalogue(registry.default(), of_our_image(), resource_words)

    def request_schemas(self) -> dict[str, Any]:
        return {"RunRequest": {"type": "object"}}
