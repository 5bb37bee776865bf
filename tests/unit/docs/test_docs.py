"""The pages hold what they say: links lead somewhere, examples parse, commands exist, notebooks were run.

Pages are read as text, so that no check needs the service; that the examples do what the pages say is e2e's to show.
"""

import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from dspy_service.cli import cli
from dspy_service_runner.introspect import introspect
from pages import FENCE, PAGES, ROOT, blocks, command_lines

NOTEBOOKS = sorted(ROOT.glob("usage_guide/*.ipynb"))
EXAMPLES = sorted(path for path in ROOT.glob("examples/*") if path.is_file())

_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.M)
_MACHINE = re.compile(r"(?<![\w.])/(?:home|Users|root|work|tmp|private|var/folders)/[\w.-]+|site-packages/")
"""Folders of somebody's machine."""


def commands(page: str) -> Iterator[list[str]]:
    """Command lines of shell blocks and of inline code, as words."""
    inline = _INLINE.findall(FENCE.sub("", page))
    for line in [*command_lines(page), *inline]:
        if re.search(r"dspy[-_]service|^make ", line):
            yield from _words(line)


def _words(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # prose in code marks with an apostrophe in it
        return
    yield words


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_links(page: Path, text: str) -> list[str]:
    prose = FENCE.sub("", text)
    targets = [found["target"] for found in _LINK.finditer(prose) if not re.match(r"\w+:", found["target"])]
    return [target for target in targets if not _leads_somewhere(page, target)]


def _leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    aim = page.parent / path if path else page
    if not anchor:
        return aim.exists()
    headings = _HEADING.findall(FENCE.sub("", aim.read_text())) if aim.is_file() else []
    return anchor in {slug(heading) for heading in headings}


def misused(words: list[str]) -> list[str]:
    """What a command line names that there is not."""
    words = list(takewhile(lambda word: word != "|", words))
    program, rest = Path(words[0]).name, words[1:]
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        return [word for word in rest[:1] if word not in targets]
    if program.startswith("python") and rest[:1] == ["-m"]:
        return [rest[1]] if rest[1].startswith("dspy_service") and find_spec(rest[1]) is None else []
    if program == "dspy-service-catalogue":
        return [word for word in rest if word.startswith("-") and word not in _catalogue_options()]
    return _misused_by_client(rest) if program == "dspy-service" and rest else []


def _misused_by_client(words: list[str]) -> list[str]:
    context = click.Context(cli)
    known = _options(cli)
    while words and words[0].startswith("-"):
        if words[0] not in known:
            return words[:1]
        words = words[2:]
    if not words:
        return []
    command = cli.get_command(context, words[0])
    if command is None:
        return words[:1]
    given = [word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-zA-Z]", word)]
    return [option for option in given if option not in _options(command)]


def _options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def _catalogue_options() -> set[str]:
    return set(re.findall(r'add_argument\("(--[a-z]+)"', Path(introspect.__file__).read_text()))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check() -> None:
    assert {"README.md", "docs/troubleshooting.md", "usage_guide/README.md"} <= {named(page) for page in PAGES}
    assert [notebook.stem for notebook in NOTEBOOKS] == ["first_job", "gepa_feedback", "programs"]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_examples_parse(page: Path) -> None:
    text = page.read_text()
    for block in blocks(text, "json"):
        json.loads(block)
    for block in blocks(text, "yaml"):
        assert list(yaml.safe_load_all(block))
    for block in blocks(text, "python"):
        compile(block, named(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_exist(page: Path) -> None:
    wrong = {" ".join(words): misused(words) for words in commands(page.read_text())}
    assert {line: what for line, what in wrong.items() if what} == {}


LOCAL = "tests/e2e_local"
RUN_BY = {
    r"make \w": "people and CI; that the target exists is checked above",
    r"dspy-service up --port": f"{LOCAL}/test_up.py",
    r"\.venv/bin/python -m dspy_service_local\.demo\.model": f"{LOCAL}/test_notebooks.py",
    r"cd usage_guide|uv venv|uv pip install -r pyproject": f"{LOCAL}/test_notebooks.py, in another folder",
    r"\.venv/bin/python examples/optimize\.py": "tests/e2e/test_examples.py",
    r"dspy-service (submit (--program|again|examples/)|estimate|payload)": f"{LOCAL}/test_programs_page.py",
    r"curl -s \$SERVICE/jobs/\$A/artifact": "tests/e2e/test_ensemble.py",
    r"dspy-service watch tickets": f"{LOCAL}/test_command_line_page.py",
    r"curl -s http://127\.0\.0\.1:8000|export KUBECONFIG=|kubectl (apply|wait|get) ": f"{LOCAL}/test_readme.py",
    r"(DSPY_SERVICE_REGISTRY=.* )?\.venv/bin/(python -m pip|dspy-service)": f"{LOCAL}/test_tutorial.py",
    r"(docker|helm|kubectl|cluster/docker) |eval |export DSPY_SERVICE_(TOKEN|URL)=|sed s,": "tests/cluster, or people",
}
"""What a page may tell people to type, and who types it so that it stays true. Nothing else may be on a page."""


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_is_one_that_somebody_runs(page: Path) -> None:
    lines = command_lines(page.read_text())
    assert [line for line in lines if not any(re.match(pattern, line) for pattern in RUN_BY)] == []


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS, *EXAMPLES], ids=named)
def test_no_folder_of_a_developers_machine(path: Path) -> None:
    assert _MACHINE.findall(path.read_text()) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=named)
def test_the_notebook_was_run_as_it_stands(notebook: Path) -> None:
    cells: list[dict[str, Any]] = [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("dspy-service up --port 1 --data-dir x", []),
        ("dspy-service --url http://x list -n 3", []),
        ("dspy-service up --prot 1", ["--prot"]),
        ("dspy-service upp", ["upp"]),
        (".venv/bin/dspy-service-catalogue a.B --outptu x", ["--outptu"]),
        ("make teest", ["teest"]),
        ("python -m dspy_service_local.dmo", ["dspy_service_local.dmo"]),
    ],
)
def test_a_wrong_command_is_found(line: str, wrong: list[str]) -> None:
    [words] = commands(f"```bash\n{line}\n```\n")
    assert misused(words) == wrong


def test_a_broken_link_is_found() -> None:
    page = ROOT / "README.md"
    text = "[a](docs/api.md) [b](docs/none.md) [c](docs/troubleshooting.md#failed-jobs) [d](docs/api.md#none)"
    assert broken_links(page, text) == ["docs/none.md", "docs/api.md#none"]


def test_every_row_of_the_security_table_names_a_test_that_there_is() -> None:
    rows = [line.rsplit("|", 2)[1] for line in (ROOT / "docs/security.md").read_text().splitlines() if line[:2] == "| "]
    held = [re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row) for row in rows[2:] if "which test" not in row]
    assert len(held) > 20
    assert all(held)
    missing = [(path, test) for row in held for path, test in row if not _defines(ROOT / path, test)]
    assert missing == []


def _defines(path: Path, test: str) -> bool:
    return path.is_file() and re.search(rf"^\s*(?:async )?def {test}\(", path.read_text(), re.M) is not None
