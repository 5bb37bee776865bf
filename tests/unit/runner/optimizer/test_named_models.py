"""Models that the job names: inside kwargs, where dspy wants an object."""

from pathlib import Path

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer


@pytest.mark.parametrize("optimizer", ["dspy.BootstrapFewShot", "dspy.BootstrapRS", "inferrules"])
def test_a_named_teacher_is_asked(
    optimizer: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    small = {"num_candidate_programs": 1} if optimizer == "dspy.BootstrapRS" else {}
    kwargs = {"teacher_settings": {"lm": "prompt"}, **small}
    if optimizer == "inferrules":
        kwargs["num_candidates"] = 1
    with ScriptedServer() as teacher:
        models = {
            "default": {"name": "openai/scripted", "baseUrl": server.url},
            "prompt": {"name": "openai/teacher", "baseUrl": teacher.url},
        }
        spec = make_spec(server.url, models=models, optimizer={"name": optimizer, "kwargs": kwargs})
        result = forge.run(make_folders(tmp_path / "job", spec))
        asked = teacher.stats.calls
    assert result["outcome"] == "Succeeded"
    assert asked > 1, "beyond the preflight"
    assert result["metadata"]["optimizer_kwargs"] == kwargs
