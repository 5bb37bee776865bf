"""uv, for tests that install something into an environment of its own; they are skipped where that cannot be done."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL_SECONDS = 240


def uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is not on this machine")
    return found


def fresh_python(folder: Path, *requirements: str) -> Path:
    """The interpreter of a new environment in `folder` that holds these requirements and what they need."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    python = folder / "bin" / "python"
    install = [uv(), "pip", "install", "--quiet", "--python", str(python), *requirements]
    try:
        done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{' '.join(requirements)} could not be installed within {INSTALL_SECONDS} s")
    if done.returncode:
        pytest.skip(f"{' '.join(requirements)} cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return python
