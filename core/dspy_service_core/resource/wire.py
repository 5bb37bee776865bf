"""What all models of the resource have in common: how they are read and written, and the types of their fields.

Unknown fields are ignored, because another version of the service may have written them. Decimals are strings, as the
Kubernetes API conventions ask. DSPy's own values (kwargs, events' metrics) stay plain JSON, because their types are not
ours to define. Limits here become limits of the CRD's schema: they bound the cost of its CEL rules and keep a resource
within 16 KiB of spec and 16 KiB of status.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from dspy_service_core.records.record import DECIMAL_LENGTH, DECIMAL_PATTERN

Decimal = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN, max_length=DECIMAL_LENGTH)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
DataKey = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
DottedName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
FieldName = Annotated[str, StringConstraints(max_length=256)]
JsonObject = dict[str, JsonValue]


class Wire(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        validate_default=False,
        defer_build=True,  # a process pays for the models that it uses: the optimizer never reads a status
    )

    def wire(self) -> dict[str, Any]:
        """As the API server stores it: in camelCase, and without fields that are null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class KeyRef(Wire):
    """One key of a ConfigMap or Secret of the job's namespace."""

    name: ObjectName = Field(description="Name of the object, in the job's own namespace.")
    key: DataKey = Field(description="Key inside the object's data.")


class PayloadRef(Wire):
    digest: Digest = Field(description="SHA-256 digest that the job's payload document in the store must have.")
