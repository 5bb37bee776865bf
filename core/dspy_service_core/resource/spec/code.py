"""What a job carries beside its rows and settings: Python sources, a program with its files, a state to begin with."""

from typing import Annotated

from pydantic import Field, StringConstraints

from dspy_service_core.resource import sources
from dspy_service_core.resource.spec.program_paths import MOST_PATH_LENGTH, PATH_PATTERN
from dspy_service_core.resource.wire import JsonObject, KeyRef, PayloadRef, Wire

Code = Annotated[str, StringConstraints(min_length=1, max_length=16384)]
FileText = Annotated[str, StringConstraints(max_length=16384)]
ClassName = Annotated[str, StringConstraints(max_length=256)]
FilePath = Annotated[str, StringConstraints(min_length=1, max_length=MOST_PATH_LENGTH, pattern=PATH_PATTERN)]


class CodeSource(Wire):
    """Python source: exactly one of the three."""

    code: Code | None = Field(default=None, description="The Python source itself, up to 16 KiB.")
    config_map_key_ref: KeyRef | None = Field(
        default=None, description="Key of a ConfigMap in the job's namespace that holds the Python source."
    )
    payload: PayloadRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: the Python source lies in the job's payload document in the store.",
    )


class ProgramFile(Wire):
    """One file of a program: its path, and exactly one of the three."""

    path: FilePath = Field(
        description="Path below the program's folder: helpers/text.py. No part of it begins with a dot."
    )
    code: FileText | None = Field(default=None, description="The file's text itself, up to 16 KiB.")
    config_map_key_ref: KeyRef | None = Field(
        default=None, description="Key of a ConfigMap in the job's namespace that holds the file's text."
    )
    payload: PayloadRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: the text lies in the job's payload document in the store.",
    )


class Program(CodeSource):
    """A dspy.Module of the user's own: exactly one of code, configMapKeyRef and payload."""

    name: ClassName = Field(
        default="",
        description="Class to optimize. When empty, the only dspy.Module in the source that no other class there "
        "derives from or builds.",
    )
    kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments for the class's constructor.")
    files: Annotated[list[ProgramFile], Field(max_length=sources.MOST_FILES)] = Field(
        default_factory=list,
        description="Further modules and data files of the program, importable and readable below its folder; "
        "4 MB together.",
    )


class StateSource(Wire):
    """A program's state as JSON: exactly one of the two."""

    config_map_key_ref: KeyRef | None = Field(
        default=None,
        description="Key of a ConfigMap in the job's namespace that holds the state, as DSPy's program.save writes it.",
    )
    payload: PayloadRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: the state lies in the job's payload document in the store.",
    )


class JoinedSource(Wire):
    """Programs of earlier jobs as JSON: exactly one of the two."""

    config_map_key_ref: KeyRef | None = Field(
        default=None,
        description="Key of a ConfigMap in the job's namespace that holds a list of 2 to 16 programs, each with the "
        "fields of its own job's program_artifact, as GET /jobs/{id}/artifact answers it.",
    )
    payload: PayloadRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: the programs lie in the job's payload document in the store.",
    )
