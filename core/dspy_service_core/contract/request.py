"""Makes a `RunRequest` of the JSON body of `POST /run`, or a list of what is wrong with its shape.

There may be many thousands of rows, so each is parsed once and checked once: orjson reads the body, `request_json`
checks the rows, and pydantic validates everything else without seeing them. Checks beyond the shape are in `checks`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SkipValidation,
    StrictBool,
    StringConstraints,
    ValidationError,
    model_validator,
)

from dspy_service_core.contract import program_files as files, request_json, request_rules as rules, unbuilt
from dspy_service_core.contract.request_size import Body
from dspy_service_core.errors import FieldProblem, InvalidRequest
from dspy_service_core.resource import sources
from dspy_service_core.resource.adapters import DEFAULT_ADAPTER, Adapter
from dspy_service_core.resource.job import MAX_SECRET_LENGTH, MOST_SECRETS
from dspy_service_core.resource.spec.budget import MOST_COUNTED, MOST_USD
from dspy_service_core.resource.spec.models import MOST_NAMED_MODELS
from dspy_service_core.resource.spec.run import MAX_NOTE_LENGTH
from dspy_service_core.resource.spec.run_defaults import LONGEST_DEADLINE_SECONDS, LONGEST_TTL_SECONDS, MOST_RETRIES
from dspy_service_core.resource.splits import DEFAULTS

Integer = Annotated[int, BeforeValidator(rules.number)]
Number = Annotated[float, BeforeValidator(rules.number)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(rules.no_control_characters)]
MappedName = Annotated[str, StringConstraints(max_length=256), AfterValidator(rules.no_control_characters)]
Mapping128 = Annotated[dict[MappedName, MappedName], Field(max_length=128)]
GoldMapping = Annotated[dict[MappedName, MappedName | None], Field(max_length=128)]
Source = Annotated[str, StringConstraints(min_length=1)]
SecretValue = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_SECRET_LENGTH), AfterValidator(rules.secret_value)
]
Kwargs = dict[str, JsonValue]


class Nested(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnMapping(Nested):
    """Maps fields of the signature to columns of the dataset; an output without gold in any column, to null."""

    inputs: Mapping128 = Field(min_length=1, examples=[{"question": "question"}])
    outputs: GoldMapping = Field(default_factory=dict, examples=[{"answer": "answer"}])

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        rules.disjoint(self.inputs.values(), self.gold.values())
        return self

    @property
    def gold(self) -> dict[str, str]:
        return {field: column for field, column in self.outputs.items() if column is not None}

    @property
    def without_gold(self) -> list[str]:
        return [field for field, column in self.outputs.items() if column is None]


class SplitFractions(Nested):
    train: Number = Field(default=DEFAULTS.train, ge=0)
    val: Number = Field(default=DEFAULTS.val, ge=0)
    test: Number = Field(default=DEFAULTS.test, ge=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        rules.whole(self.train, self.val, self.test)
        return self


DEAREST = 1_000_000
"""US dollars for a million tokens; more is a mistake."""


class Prices(Nested):
    """US dollars for a million tokens."""

    input: Number = Field(ge=0, le=DEAREST)
    output: Number = Field(default=0, ge=0, le=DEAREST)
    cached: Number | None = Field(default=None, ge=0, le=DEAREST, description="Left out: as the input.")


class ModelSettings(Nested):
    """A language model as `dspy.LM` takes it."""

    name: Name = Field(examples=["openai/gpt-4o-mini"])
    base_url: Annotated[str, StringConstraints(max_length=2048), AfterValidator(rules.base_url)] | None = None
    model_type: Literal["chat", "text", "responses"] | None = None
    temperature: Number | None = Field(
        default=None, ge=0, le=2, description="Left out: 0.1, or what the model demands. Null: none is sent."
    )
    max_tokens: Integer | None = Field(default=None, ge=1, le=2**31 - 1)
    top_p: Number | None = Field(default=None, ge=0, le=1)
    extra: Annotated[Kwargs, AfterValidator(rules.extra)] = Field(default_factory=dict)
    prices: Prices | None = Field(
        default=None, description="What the model's tokens cost. Left out: as providers' price tables say."
    )

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        rules.one_limit(self.max_tokens, self.extra)
        return self

    @property
    def sends_no_temperature(self) -> bool:
        return self.temperature is None and "temperature" in self.model_fields_set


class NamedModelSettings(ModelSettings):
    """One of `model_configs`, which may be an embedder too."""

    model_type: Literal["chat", "text", "responses", "embedding"] | None = None  # type: ignore[assignment]

    @model_validator(mode="after")
    def _embeds(self) -> Self:
        if self.model_type == "embedding":
            rules.embedder(self.temperature, self.max_tokens, self.top_p)
        return self


class RunOptions(Nested):
    """What is left out has the service's default."""

    name: Annotated[str, AfterValidator(rules.job_name)] | None = Field(
        default=None,
        examples=["tickets-1"],
        description="Name by which people call the job, beside its id. No two jobs that have not ended share one.",
    )
    note: Annotated[str, Field(max_length=MAX_NOTE_LENGTH), AfterValidator(rules.no_control_characters)] | None = Field(
        default=None, description="What its submitter wants to remember of the job."
    )
    labels: Annotated[dict[str, str], Field(max_length=32), AfterValidator(rules.labels)] = Field(default_factory=dict)
    priority: Integer = Field(default=0, ge=-1_000_000, le=1_000_000)
    deadline_seconds: Integer | None = Field(default=None, ge=1, le=LONGEST_DEADLINE_SECONDS)
    retries: Integer | None = Field(default=None, ge=0, le=MOST_RETRIES)
    ttl_seconds: Integer | None = Field(default=None, ge=0, le=LONGEST_TTL_SECONDS)
    threads: Integer | None = Field(
        default=None,
        examples=[16],
        description="How many model calls may be under way at once, at most, up to the service's setting (64). The job "
        "finds by itself, up to this, how many bring the most answers. Left out: up to the setting.",
    )
    hedge: StrictBool = Field(
        default=False,
        description="A model call that takes much longer than nearly all others like it is made once more; the first "
        "answer is taken, and both are counted and paid for.",
    )
    require: Literal["improved"] | None = Field(
        default=None,
        description="The job fails unless its verdict is this one; its scores, rows and program are kept in any case.",
    )
    max_failed_rows: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of a score's rows that may fail, each counted as 0. When left out, 0.2.",
    )


class Budget(Nested):
    """Caps of the whole job. At one of them no further call starts, those in flight are taken, and the best program so
    far is kept."""

    metric_calls: Integer | None = Field(
        default=None, ge=1, le=MOST_COUNTED, description="Rows scored, before, in and after the search."
    )
    model_calls: Integer | None = Field(
        default=None, ge=1, le=MOST_COUNTED, description="Calls that the job's models answer."
    )
    tokens: Integer | None = Field(
        default=None, ge=1, le=MOST_COUNTED, description="Tokens sent and received, added up."
    )
    cost_usd: Number | None = Field(
        default=None, gt=0, le=MOST_USD, description="US dollars; each model's price has to be known."
    )
    seconds: Integer | None = Field(
        default=None, ge=1, le=LONGEST_DEADLINE_SECONDS, description="Seconds of the run, all attempts together."
    )


class Initial(Nested):
    """Where the state comes from that the program begins with: exactly one of the two."""

    job_id: Name | None = Field(default=None, description="An earlier job, whose optimized program's state is taken.")
    program_state: dict[str, JsonValue] | None = Field(
        default=None, description="The state itself, as DSPy's program.save writes it and answers hold it."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        rules.exactly_one(job_id=self.job_id, program_state=self.program_state)
        return self


class RunRequest(BaseModel):
    """Unknown keys at the top level are accepted, since existing clients send some; a Warning header names them."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    module_name: Name | None = Field(
        default=None,
        examples=["cot"],
        description="DSPy's module. Beside program_code, where it can be left out, the class there that is meant.",
    )
    module_kwargs: Kwargs = Field(default_factory=dict)
    program_code: Source | None = Field(
        default=None,
        description="Python source of the dspy.Module to optimize, in place of one of DSPy's modules and a signature.",
    )
    program_files: SkipValidation[Annotated[dict[str, str], Field(max_length=sources.MOST_FILES)]] = Field(
        default_factory=dict,
        description="Further modules and data files of the program by their paths below its folder, 4 MB together.",
    )
    signature_code: Source | None = Field(
        default=None,
        description="Required without program_code. Beside it, it runs first, and the program sees its names.",
    )
    metric_code: Source
    optimizer_name: Name = Field(examples=["miprov2"])
    optimizer_kwargs: Kwargs = Field(default_factory=dict)
    compile_kwargs: Kwargs = Field(default_factory=dict)
    dataset: SkipValidation[Annotated[list[dict[str, JsonValue]], Field(min_length=1)]]
    column_mapping: ColumnMapping | None = Field(
        default=None,
        description="Required without program_code. Left out, columns of the program's own names are used.",
    )
    split_fractions: SplitFractions = Field(default_factory=SplitFractions)
    shuffle: StrictBool = True
    seed: Annotated[Integer, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    split_column: Annotated[MappedName, Field(min_length=1)] | None = Field(
        default=None,
        description="Column in which each row says where it belongs: train, val (validation, dev) or test.",
    )
    adapter: Adapter | None = Field(default=None, description=f"DSPy's adapter; {DEFAULT_ADAPTER} when left out.")
    initial: Initial | None = Field(default=None, description="State of this program that the job begins with.")
    secrets: Annotated[
        dict[Annotated[str, AfterValidator(rules.secret_name)], SecretValue], Field(max_length=MOST_SECRETS)
    ] = Field(
        default_factory=dict, description="Environment variables of the job's code alone, kept as models' keys are."
    )
    budget: Budget | None = Field(
        default=None, description="What the job may take at most.", examples=[{"model_calls": 500, "cost_usd": 2.5}]
    )
    run_options: RunOptions = Field(default_factory=RunOptions)
    default_model_config: ModelSettings = Field(alias="model_config")
    reflection_model_config: ModelSettings | None = None
    prompt_model_config: ModelSettings | None = None
    task_model_config: ModelSettings | None = None
    model_configs: Annotated[
        dict[Annotated[str, AfterValidator(rules.model_name)], NamedModelSettings], Field(max_length=MOST_NAMED_MODELS)
    ] = Field(
        default_factory=dict,
        description="Further models, for judges and programs: the job's code finds each as models[name].",
    )

    MODEL_FIELDS: ClassVar[dict[str, str]] = {
        "default": "model_config",
        "reflection": "reflection_model_config",
        "prompt": "prompt_model_config",
        "task": "task_model_config",
    }
    """The request's field for each role."""

    @property
    def models(self) -> dict[str, ModelSettings]:
        """The given models by their role or name."""
        given = {
            "default": self.default_model_config,
            "reflection": self.reflection_model_config,
            "prompt": self.prompt_model_config,
            "task": self.task_model_config,
        }
        return {role: model for role, model in given.items() if model is not None} | dict(self.model_configs)

    @classmethod
    def model_field(cls, name: str) -> str:
        """The request's field for the model of that role or name."""
        return cls.MODEL_FIELDS.get(name, f"model_configs.{name}")

    @property
    def code(self) -> dict[str, str]:
        """The source texts by the names that the spec has for them."""
        given = {
            sources.SIGNATURE: self.signature_code,
            sources.METRIC: self.metric_code,
            sources.PROGRAM: self.program_code,
        }
        return {name: text for name, text in given.items() if text is not None}

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        return tuple(sorted(self.model_extra or ()))


class _SignatureRequest(RunRequest):
    """A request without a program of its own, of which more is required."""

    module_name: Name
    signature_code: Source
    column_mapping: ColumnMapping


_MESSAGES = {
    "too_short": "Should have at least one entry",
    "dict_type": "Should be an object",
    "model_type": "Should be an object",
}
"""Messages for cases in which pydantic's own message speaks of its internals."""


def parse_run_request(body: Body, limits: request_json.RequestLimits = request_json.DEFAULTS) -> RunRequest:
    """Raises `InvalidRequest` with every problem of the shape."""
    document = request_json.parse_object(body, limits)
    problems = unbuilt.problems(document)
    if "dataset" in document and not any(problem.field.startswith("dataset.") for problem in problems):
        problems += request_json.dataset_problems(document["dataset"], limits)
    has_program = document.get("program_code") is not None
    if not any(problem.field == files.FIELD for problem in problems):
        problems += _file_problems(document, has_program)
    try:
        request = (RunRequest if has_program else _SignatureRequest).model_validate(document)
    except ValidationError as exc:
        named = {problem.field for problem in problems}
        raise InvalidRequest(problems + [p for p in _problems(exc) if p.field not in named]) from None
    if problems:
        raise InvalidRequest(problems)
    return request


def _file_problems(document: Mapping[str, Any], has_program: bool) -> list[FieldProblem]:
    if files.FIELD not in document:
        return []
    found = files.problems(document[files.FIELD])
    if document[files.FIELD] and not has_program:
        found.append(FieldProblem(files.FIELD, "Belongs to program_code, which is missing", "no_program"))
    return found


def _problems(exc: ValidationError) -> list[FieldProblem]:
    found = exc.errors(include_url=False, include_context=False, include_input=False)
    return [
        FieldProblem(_path(e["loc"]), _MESSAGES.get(e["type"], e["msg"]), e["type"])
        for e in found[: request_json.MOST_PROBLEMS]
    ]


def _path(loc: tuple[int | str, ...]) -> str:
    """`('column_mapping', 'inputs', 'text')` as `column_mapping.inputs.text`, places in lists as `[0]`."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else part
    return path or request_json.BODY
