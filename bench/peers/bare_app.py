"""The peer of `POST /run`: a bare FastAPI app that validates the same payload with pydantic and commits it to SQLite.

No service around it: no second process, no watch, no checks of names, signature or metric. Run by `bench/run.py`.
"""

import sqlite3
import sys
import uuid
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field


class ModelConfig(BaseModel):
    name: str
    base_url: str | None = None
    temperature: float = 0.1
    max_tokens: int | None = None
    top_p: float | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


class Mapping(BaseModel):
    inputs: dict[str, str]
    outputs: dict[str, str]


class Run(BaseModel):
    module_name: str
    signature_code: str
    metric_code: str
    optimizer_name: str
    optimizer_kwargs: dict[str, Any] = Field(default_factory=dict)
    compile_kwargs: dict[str, Any] = Field(default_factory=dict)
    dataset: list[dict[str, Any]]
    column_mapping: Mapping
    settings: ModelConfig = Field(alias="model_config")


def create_app(database: str) -> FastAPI:
    app = FastAPI()
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, body TEXT)")

    @app.post("/run")
    async def run(body: Run) -> Response:
        identifier = str(uuid.uuid4())
        connection.execute("INSERT INTO runs VALUES (?, ?)", (identifier, body.model_dump_json()))
        return Response(f'{{"job_id":"{identifier}","status":"pending"}}', media_type="application/json")

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[2]), port=int(sys.argv[1]), log_level="warning")
