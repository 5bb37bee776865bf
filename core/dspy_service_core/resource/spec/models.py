"""The language models of a job, and the parts that they play."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dspy_service_core.records.record import DECIMAL_LENGTH, DECIMAL_PATTERN
from dspy_service_core.resource.wire import Decimal, JsonObject, KeyRef, Wire

NO_TEMPERATURE = "none"
"""A model's temperature where none is to be sent."""
Temperature = Annotated[
    str, StringConstraints(pattern=rf"^{NO_TEMPERATURE}$|{DECIMAL_PATTERN}", max_length=DECIMAL_LENGTH)
]
MOST_NAMED_MODELS = 16


class Prices(Wire):
    """What a model's tokens cost, in US dollars for a million."""

    input: Decimal = Field(description="US dollars for a million tokens sent.")
    output: Decimal = Field(default="0", description="US dollars for a million tokens received.")
    cached: Decimal | None = Field(
        default=None,
        description="US dollars for a million tokens sent that the provider reads from its own cache. When absent, "
        "those cost what the others do.",
    )

    def numbers(self) -> dict[str, float]:
        given = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: float(value) for name, value in given if value is not None}


class Model(Wire):
    """A language model as `dspy.LM` takes it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(
        description="Name of the model as DSPy writes it, with the provider first: openai/gpt-4o-mini."
    )
    base_url: Annotated[str, StringConstraints(max_length=2048)] = Field(
        default="",
        description="URL of the endpoint, without user name and query. When empty, the provider's own endpoint.",
    )
    model_type: Literal["chat", "text", "responses", "embedding"] | None = Field(
        default=None,
        description="Kind of the endpoint's API. When absent, chat. Only in modelConfigs it can be embedding.",
    )
    temperature: Temperature | None = Field(
        default=None,
        description="Sampling temperature, 0 to 2, or none: send none. When absent, 0.1, or what the model requires.",
    )
    max_tokens: int | None = Field(default=None, ge=1, le=2**31 - 1, description="How many tokens an answer may have.")
    top_p: Decimal | None = Field(
        default=None, description="Nucleus sampling: the probability mass that tokens are drawn from, 0 to 1."
    )
    extra: JsonObject = Field(
        default_factory=dict,
        description="Further keyword arguments for dspy.LM. Anybody who may read the job can read them: keep "
        "credentials out.",
    )
    prices: Prices | None = Field(
        default=None,
        description="What the model's tokens cost, which goes before what is known of providers' prices.",
    )
    key_from: KeyRef | None = Field(
        default=None,
        description="Key of a Secret in the job's namespace that holds the model's API key. The Secret needs the label "
        "dspy-service.io/model-key: 'true' and must not belong to a job or to the service.",
    )
    credentials_from: KeyRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: key of the job's own Secret that holds the credentials which were part "
        "of baseUrl and extra.",
    )

    @property
    def sends_no_temperature(self) -> bool:
        return self.temperature == NO_TEMPERATURE

    @property
    def given_temperature(self) -> float | None:
        """None where none is given, and where none is to be sent."""
        return None if self.temperature is None or self.sends_no_temperature else float(self.temperature)


class Models(Wire):
    default: Model = Field(
        description="Model that the program calls; it serves as prompt and as task model too where those are absent."
    )
    reflection: Model | None = Field(
        default=None,
        description="Model with which GEPA reflects on failures and proposes instructions. GEPA requires it.",
    )
    prompt: Model | None = Field(
        default=None,
        description="Model with which MIPROv2, COPRO and SIMBA propose prompts. When absent, the default model.",
    )
    task: Model | None = Field(
        default=None,
        description="Model with which MIPROv2 runs the program while it searches. When absent, the default model.",
    )

    def roles(self) -> Iterator[tuple[str, Model]]:
        """All given models, each with its name in the spec."""
        for role in type(self).model_fields:
            model: Model | None = getattr(self, role)
            if model is not None:
                yield role, model
