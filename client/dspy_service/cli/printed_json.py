"""Answers as JSON on stdout, for scripts."""

import json
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from dspy_service.cli.said import say_json


def print_json(value: Any) -> None:
    say_json(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def print_line(value: Any) -> None:
    """One of many that belong together (JSON Lines), each complete as soon as it is there."""
    say_json(json.dumps(value, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
