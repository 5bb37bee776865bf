"""How a field is declared whose value the service holds in another form, and whether others may follow."""

from dataclasses import dataclass
from typing import Annotated, Any

from orjson import Fragment
from pydantic import ConfigDict, Field, GetCoreSchemaHandler, with_config
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Shows:
    """The type that clients see, for a field whose value the service holds as encoded JSON or as an unchecked dict."""

    kind: Any

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.kind)


JsonObject = Annotated[Fragment, Shows(dict[str, Any])]
JsonValue = Annotated[Fragment, Shows(Any)]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

closed = with_config(ConfigDict(extra="forbid"))
"""An answer of this shape has no other fields."""
open_ended = with_config(ConfigDict(extra="allow"))
"""Other fields may follow: an optimizer may report more."""
