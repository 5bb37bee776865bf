"""Images install from locks of their own; nothing that a part declares may be missing there, or differ from what the
tests run on.
"""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LEFT_OUT = set((ROOT / "requirements" / "runner-slim.excludes").read_text().split())
LOCKS = {"api": ("api", "operator"), "runner": ("runner",), "runner-slim": ("runner",)}


def name(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-")


def declared_by(extra: str) -> list[str]:
    """With what the extras of ours declare that it names."""
    found = []
    for requirement in PROJECT["optional-dependencies"][extra]:
        own = re.fullmatch(r"dspy-service\[([\w,]+)\]", requirement)
        found += [it for each in own[1].split(",") for it in declared_by(each)] if own else [requirement]
    return found


def locked(lock: str) -> set[str]:
    """`name==version`."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return set(re.findall(r"^([a-z0-9._-]+==[^ ;\\]+)", text, re.M))


@pytest.mark.parametrize(("lock", "extras"), LOCKS.items())
def test_a_lock_has_all_that_its_part_declares(lock, extras):
    """After a change of pyproject.toml: `make lock`."""
    declared = {name(it) for it in (*PROJECT["dependencies"], *(it for extra in extras for it in declared_by(extra)))}
    assert {"obstore", "httpx"} <= declared
    left_out = LEFT_OUT if lock == "runner-slim" else set()
    assert declared - left_out <= {name(it) for it in locked(lock)}


@pytest.mark.parametrize("lock", LOCKS)
def test_images_run_what_the_tests_ran(lock):
    assert locked(lock) <= locked("dev")


def test_the_slim_runner_differs_by_what_is_excluded_and_what_it_brings():
    left_out = {name(it) for it in locked("runner") - locked("runner-slim")}
    assert {*LEFT_OUT, "tokenizers", "huggingface-hub", "arro3-core"} <= left_out
    assert not {"dspy", "openai", "optuna", "gepa"} & left_out
