"""Every optimizer that a job can name, as a resource has it, with arguments by which it ends soon."""

from typing import Any

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "LabeledFewShot": {"name": "dspy.LabeledFewShot", "kwargs": {"k": 3}},
    "BootstrapFewShot": {"name": "dspy.BootstrapFewShot", "kwargs": {"max_bootstrapped_demos": 3}},
    "BootstrapRS": {"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 2}},
    "Optuna": {
        "name": "dspy.teleprompt.BootstrapFewShotWithOptuna",
        "kwargs": {"num_candidate_programs": 2},
        "compileKwargs": {"max_demos": 2},
    },
    "MIPROv2": {
        "name": "dspy.MIPROv2",
        "kwargs": {"auto": None, "num_candidates": 3},
        "compileKwargs": {"num_trials": 4, "minibatch_size": 5},
    },
    "GEPA": {"name": "gepa", "kwargs": {"max_metric_calls": 60}},
    "COPRO": {"name": "dspy.COPRO", "kwargs": {"breadth": 3, "depth": 2}},
    "SIMBA": {"name": "simba", "kwargs": {"bsize": 8, "num_candidates": 2, "max_steps": 2}},
    "InferRules": {"name": "dspy.teleprompt.InferRules", "kwargs": {"num_candidates": 2}},
    "KNNFewShot": {"name": "dspy.KNNFewShot", "kwargs": {"k": 3, "vectorizer": "near"}},
    "BetterTogether": {
        "name": "dspy.BetterTogether",
        "kwargs": {
            "p": {"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 1}},
            "g": {"name": "gepa", "kwargs": {"max_metric_calls": 30}},
        },
        "compileKwargs": {"strategy": "p -> g"},
    },
}


def models_beside(url: str) -> dict[str, Any]:
    """The further models that some of them name."""
    return {"near": {"name": "openai/scripted-embedding", "modelType": "embedding", "baseUrl": url}}
