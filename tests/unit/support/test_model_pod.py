"""The scripted model of a real cluster's pod consists of the files that are sent there, and of nothing else of ours."""

import shutil
import subprocess
import sys
from pathlib import Path

import model_pod
import scripted_lm


def test_the_scripts_of_the_pod_need_no_other(tmp_path: Path) -> None:
    for script in model_pod.SCRIPTS:
        shutil.copy(Path(scripted_lm.__file__).with_name(script), tmp_path)
    command = [sys.executable, tmp_path / "scripted_lm.py", "--help"]
    subprocess.run(command, check=True, capture_output=True, env={})
