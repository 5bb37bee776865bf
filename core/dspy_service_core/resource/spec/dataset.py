"""The rows of a job, which of their columns fill which fields, and how they are divided."""

from typing import Annotated

from pydantic import Field, StringConstraints

from dspy_service_core.resource.sources import ConfigMapKey
from dspy_service_core.resource.splits import DEFAULTS, Fractions
from dspy_service_core.resource.wire import Decimal, Digest, FieldName, JsonObject, KeyRef, Wire


class DatasetPayload(Wire):
    digest: Digest = Field(description="SHA-256 digest that the job's payload document in the store must have.")
    rows: int = Field(ge=1, description="How many rows the payload document holds.")
    bytes: int = Field(ge=1, description="Size of the payload document in bytes.")


class Dataset(Wire):
    """The rows: exactly one of the four."""

    rows: Annotated[list[JsonObject], Field(min_length=1, max_length=2000)] | None = Field(
        default=None,
        description="The rows themselves, as objects; for small datasets, since a spec should stay below 16 KiB.",
    )
    config_map_key_ref: KeyRef | None = Field(
        default=None,
        description="Key of a ConfigMap in the job's namespace that holds the rows. The key's ending tells the format: "
        ".jsonl, .ndjson, .json, .csv or .tsv.",
    )
    uri: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = Field(
        default=None,
        description="URI that the rows are read from. Whoever runs the service lists the allowed prefixes. The URI's "
        "ending tells the format: .jsonl, .ndjson, .json, .csv, .tsv or, with the full runner, .parquet.",
    )
    digest: Digest | None = Field(
        default=None,
        description="SHA-256 digest that the content of uri must have, as sha256:<64 hex digits>. Required with uri.",
    )
    payload: DatasetPayload | None = Field(
        default=None, description="Set by the HTTP API alone: the rows lie in the job's payload document in the store."
    )

    @property
    def config_map_key(self) -> ConfigMapKey | None:
        ref = self.config_map_key_ref
        return ConfigMapKey(ref.name, ref.key) if ref is not None else None


class Columns(Wire):
    inputs: dict[FieldName, FieldName] = Field(
        min_length=1,
        max_length=128,
        description="For each input field of the signature, the dataset's column that fills it.",
    )
    outputs: dict[FieldName, FieldName] = Field(
        default_factory=dict,
        max_length=128,
        description="For each output field of the signature, the dataset's column with the expected answer.",
    )
    without_gold: Annotated[list[FieldName], Field(max_length=128)] | None = Field(
        default=None,
        description="Output fields of the signature for which no column holds an expected answer. The metric judges "
        "them by the row's other columns.",
    )


class Split(Wire):
    train: Decimal = Field(
        default=str(DEFAULTS.train),
        description="Share of the rows that the optimizer trains on. The three shares add up to 1.",
    )
    val: Decimal = Field(default=str(DEFAULTS.val), description="Share of the rows that the optimizer validates on.")
    test: Decimal = Field(
        default=str(DEFAULTS.test),
        description="Share of the rows held out for the scores before and after the optimization.",
    )
    shuffle: bool = Field(
        default=True, description="Whether the rows are shuffled, by the seed, before they are split."
    )
    seed: int | None = Field(
        default=None,
        ge=-(2**63),
        le=2**63 - 1,
        description="Seed of the shuffle. When absent, it is derived from the resource's namespace and name, so that "
        "every attempt splits the rows alike.",
    )
    column: FieldName = Field(
        default="",
        description="Column in which each row says where it belongs: train, val (or validation, dev) or test. The "
        "shares and the shuffle then have no say. When empty, rows are split by the shares.",
    )

    @property
    def fractions(self) -> Fractions:
        return Fractions(float(self.train), float(self.val), float(self.test))
