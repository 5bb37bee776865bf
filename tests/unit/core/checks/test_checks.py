"""All that a submit or a resource is refused for, by what it says."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from checked_jobs import check_request, check_resource
from dspy_service_core.checks.checked_job import CheckedJob
from dspy_service_core.checks.job_checks import Contents, Installation
from dspy_service_core.errors import InvalidRequest, UnusableRequest
from dspy_service_core.registry import registry
from dspy_service_core.resource.job import OptimizationJobSpec
from run_requests import METRIC, SIGNATURE, run_request, ticket_rows

Changes = dict[str, Any]
GEPA: Changes = {"optimizer_name": "gepa", "reflection_model_config": {"name": "openai/gpt-4o"}}


def checked(**changes: Any) -> CheckedJob:
    return check_request(run_request(**changes))


def refusal(**changes: Any) -> str:
    with pytest.raises(UnusableRequest) as refused:
        checked(**changes)
    return str(refused.value)


def test_what_is_found_out() -> None:
    job = checked(rows=40, optimizer_kwargs={"auto": "medium"})

    assert (job.module.path, job.optimizer.path) == ("dspy.ChainOfThought", "dspy.MIPROv2")
    assert job.optimizer_kwargs == {"auto": "medium"}
    assert job.split_counts is not None
    assert (job.split_counts.train, job.split_counts.val, job.split_counts.test) == (28, 6, 6)
    assert job.signature is not None
    assert (job.signature.name, job.signature.inputs, job.signature.outputs) == ("Ticket", ("text",), ("label",))
    assert job.metric is not None
    assert job.metric.name == "metric"
    assert job.uses_validation_rows


def test_an_optimizer_without_validation_set() -> None:
    assert not checked(optimizer_name="dspy.COPRO").uses_validation_rows


SAID: Changes = {"split_column": "part"}


def said(**rows: int) -> list[dict[str, Any]]:
    return [{"text": "x", "label": "y", "part": word} for word, count in rows.items() for _ in range(count)]


ACCEPTED: dict[str, Changes] = {
    "gepa": GEPA | {"optimizer_kwargs": {"auto": "light"}},
    "gepa by its path": GEPA | {"optimizer_name": "dspy.teleprompt.GEPA", "optimizer_kwargs": {"max_metric_calls": 50}},
    "gepa with a null budget": GEPA | {"optimizer_kwargs": {"auto": None, "max_full_evals": 3}},
    "gepa with the least budget": GEPA | {"optimizer_kwargs": {"max_metric_calls": 7}},
    "gepa with one evaluation": GEPA | {"optimizer_kwargs": {"max_full_evals": 1}},
    "gepa with two evaluations of the training rows": GEPA
    | {"optimizer_kwargs": {"max_full_evals": 2}, "split_fractions": {"train": 0.8, "val": 0, "test": 0.2}},
    "miprov2 by hand": {
        "optimizer_kwargs": {"auto": None, "num_candidates": 4},
        "compile_kwargs": {"num_trials": 6, "minibatch": False},
    },
    "miprov2 with a small batch": {
        "optimizer_kwargs": {"auto": None, "num_candidates": 4},
        "compile_kwargs": {"num_trials": 6, "minibatch_size": 6},
    },
    "miprov2 without validation rows": {"split_fractions": {"train": 0.8, "val": 0, "test": 0.2}},
    "simba": {"optimizer_name": "simba", "rows": 60},
    "simba with a smaller batch": {"optimizer_name": "simba", "optimizer_kwargs": {"bsize": 8}},
    "copro": {"optimizer_name": "copro", "compile_kwargs": {"eval_kwargs": {"num_threads": 2}}},
    "copro leaves validation rows unused": {"optimizer_name": "copro", "rows": 3},
    "random search": {"optimizer_name": "dspy.BootstrapRS", "compile_kwargs": {"restrict": [-3, 0]}},
    "labeled": {"optimizer_name": "labeledfewshot", "optimizer_kwargs": {"k": 3}},
    "a score": {"optimizer_name": "evaluate"},
    "a score of one row": {"optimizer_name": "evaluate", "rows": 1},
    "a score whatever the shares are": {
        "optimizer_name": "evaluate",
        "split_fractions": {"train": 1, "val": 0, "test": 0},
    },
    "rows that say where they belong": SAID | {"dataset": said(train=30, dev=5, test=5)},
    "no row for validation": SAID | {"dataset": said(train=30, test=5)},
    "shares and shuffle beside a column": SAID
    | {
        "dataset": said(train=1, validation=1, test=1),
        "split_fractions": {"train": 0, "val": 0, "test": 1},
        "shuffle": False,
    },
    "a score of the rows that say test": SAID | {"optimizer_name": "evaluate", "dataset": said(train=3, test=1)},
    "a score of test rows alone": SAID | {"optimizer_name": "evaluate", "dataset": said(test=1)},
    "rules": {"optimizer_name": "dspy.InferRules", "optimizer_kwargs": {"max_bootstrapped_demos": 2}},
    "a module's own kwargs": {"module_kwargs": {"temperature": 0.7, "n": 3}},
    "an integer for a float": {"optimizer_kwargs": {"init_temperature": 1}},
    "a reasoning model": {"model_config": {"name": "openai/o3"}},
    "a reasoning model as it likes": {"model_config": {"name": "openai/gpt-5", "temperature": 1, "max_tokens": 16000}},
    "miprov2 without any demos": {"optimizer_kwargs": {"max_bootstrapped_demos": 0, "max_labeled_demos": 0}},
    "miprov2 with few sets of demos": {
        "optimizer_kwargs": {"auto": None, "num_candidates": 3, "max_bootstrapped_demos": 0},
        "compile_kwargs": {"num_trials": 3, "minibatch": False},
    },
    "a reasoning model that proposes": {
        "prompt_model_config": {"name": "openai/gpt-5-mini"},
        "optimizer_kwargs": {"init_temperature": 1.0},
    },
    "a reasoning model that runs what another proposes": {
        "model_config": {"name": "openai/gpt-5"},
        "prompt_model_config": {"name": "openai/gpt-4o"},
        "optimizer_kwargs": {"init_temperature": 0.5},
    },
    "a teacher that is a further model": {
        "model_configs": {"judge": {"name": "openai/gpt-4o"}},
        "optimizer_kwargs": {"teacher_settings": {"lm": "judge"}},
    },
    "an embedder": {"model_configs": {"search": {"name": "openai/text-embedding-3-small", "model_type": "embedding"}}},
    "nearest neighbours": {
        "optimizer_name": "dspy.KNNFewShot",
        "optimizer_kwargs": {"k": 3, "vectorizer": "search", "max_bootstrapped_demos": 0},
        "model_configs": {"search": {"name": "openai/text-embedding-3-small", "model_type": "embedding"}},
    },
    "optimizers together": {
        "optimizer_name": "dspy.BetterTogether",
        "optimizer_kwargs": {
            "p": {"name": "simba", "kwargs": {"bsize": 4}},
            "o": {"name": "dspy.BootstrapFewShotWithOptuna"},
        },
        "compile_kwargs": {"strategy": "p -> o -> p", "optimizer_compile_args": {"o": {"max_demos": 2}}},
    },
    "no temperature at all": {"model_config": {"name": "openai/think-large", "temperature": None}},
    "a teacher that is one of the job's models": {
        "prompt_model_config": {"name": "openai/gpt-4o"},
        "optimizer_kwargs": {"teacher_settings": {"lm": "prompt"}},
    },
    "an unreadable signature": {"signature_code": "from acme import B\nclass T(B): pass"},
    "an output without gold": {"column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": None}}},
    "names of methods": {
        "signature_code": SIGNATURE + "    items: str = dspy.OutputField()\n    keys: str = dspy.InputField()\n",
        "column_mapping": {"inputs": {"text": "text", "keys": "text"}, "outputs": {"label": "label", "items": None}},
    },
    "an output of the name of an argument": {
        "signature_code": SIGNATURE + "    demos: str = dspy.OutputField()\n",
        "column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": "label", "demos": None}},
    },
    "a name that only another module takes": {
        "module_name": "predict",
        "signature_code": SIGNATURE + "    reasoning: str = dspy.InputField()\n",
        "column_mapping": {"inputs": {"text": "text", "reasoning": "text"}, "outputs": {"label": "label"}},
    },
    "a gold of another type": {
        "signature_code": SIGNATURE + "    m: int = dspy.OutputField()\n",
        "column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": "label", "m": "more"}},
        "dataset": [{"text": "x", "label": "y", "more": "many"}] * 40,
    },
    "one column for two fields": {
        "signature_code": SIGNATURE + "    more: str = dspy.InputField()\n",
        "column_mapping": {"inputs": {"text": "text", "more": "text"}, "outputs": {"label": "label"}},
    },
}

EMBEDDED: Changes = {"model_configs": {"near": {"name": "openai/text-embedding-3-small", "model_type": "embedding"}}}
KNN: Changes = {
    "optimizer_name": "dspy.KNNFewShot",
    "optimizer_kwargs": {"k": 3, "vectorizer": "near", "max_bootstrapped_demos": 2},
    **EMBEDDED,
}
CHAIN: Changes = {
    "optimizer_name": "dspy.BetterTogether",
    "optimizer_kwargs": {
        "p": {"name": "bootstrapfewshotwithrandomsearch", "kwargs": {"num_candidate_programs": 2}},
        "g": {"name": "gepa", "kwargs": {"auto": "light"}},
    },
    "compile_kwargs": {"strategy": "p -> g"},
    "reflection_model_config": {"name": "openai/gpt-4o"},
}


def chain_of(step: dict[str, Any], **compile_kwargs: Any) -> Changes:
    """One of a single step, `p`."""
    return CHAIN | {"optimizer_kwargs": {"p": step}, "compile_kwargs": {"strategy": "p", **compile_kwargs}}


REASONING_PROPOSER: Changes = {"prompt_model_config": {"name": "openai/gpt-5-mini"}}

TYPED: Changes = {
    "signature_code": SIGNATURE + "    n: list[int] = dspy.InputField()\n    m: int = dspy.OutputField()\n",
    "column_mapping": {"inputs": {"text": "text", "n": "stars"}, "outputs": {"label": "label", "m": None}},
}
BAD_STARS = {"text": "x", "stars": [3, "four"], "label": "y"}

REFUSED: dict[str, tuple[Changes, str]] = {
    "module": ({"module_name": "cto"}, "Unknown module 'cto'. Allowed: cot, predict, or a dotted path such as"),
    "a path outside dspy": ({"module_name": "os.system"}, "Unknown module 'os.system'"),
    "optimizer": ({"optimizer_name": "mipro"}, "Unknown optimizer 'mipro'. Allowed: bootstrapfewshot, "),
    "a module of modules": (
        {"module_name": "dspy.Refine"},
        "Module 'dspy.Refine' cannot be used here: it takes no signature",
    ),
    "a module of tools": (
        {"module_name": "dspy.ReAct"},
        "needs the keyword argument 'tools': give it in module_kwargs",
    ),
    "an ensemble of nothing": (
        {"optimizer_name": "dspy.Ensemble", "optimizer_kwargs": {"programs": ["a", "b"]}},
        "Optimizer 'dspy.Ensemble' needs optimizer_kwargs.programs: the programs of earlier jobs, which it joins.",
    ),
    "nearest neighbours without an embedder": (
        {"optimizer_name": "dspy.KNNFewShot", "optimizer_kwargs": {"k": 3}},
        "Optimizer 'dspy.KNNFewShot' needs the keyword argument 'vectorizer': give it in optimizer_kwargs.",
    ),
    "nearest neighbours without their number": (
        {"optimizer_name": "dspy.KNNFewShot", "optimizer_kwargs": {"vectorizer": "near"}, **EMBEDDED},
        "needs the keyword argument 'k'",
    ),
    "nearest neighbours of no job's embedder": (
        KNN | {"model_configs": {}},
        "optimizer_kwargs.vectorizer takes an embedder, and is 'near': name one of the job's further models whose "
        "model_type is embedding.",
    ),
    "nearest neighbours by a language model": (
        {"optimizer_name": "dspy.KNNFewShot", "optimizer_kwargs": {"k": 3, "vectorizer": "default"}, **EMBEDDED},
        "takes an embedder, and is 'default': name one of the job's further models (near) whose",
    ),
    "nearest neighbours by an embedder written out": (
        {"optimizer_name": "dspy.KNNFewShot", "optimizer_kwargs": {"k": 3, "vectorizer": {"model": "x"}}, **EMBEDDED},
        "takes an embedder, and is no name",
    ),
    "nearest neighbours with a threshold": (
        KNN | {"optimizer_kwargs": {"k": 3, "vectorizer": "near", "metric_threshold": 0.5}},
        "optimizer_kwargs.metric_threshold cannot be set for Optimizer 'dspy.KNNFewShot': no metric is asked",
    ),
    "nearest neighbours with a teacher": (
        KNN | {"optimizer_kwargs": {"k": 3, "vectorizer": "near", "teacher_settings": {"lm": "default"}}},
        "optimizer_kwargs.teacher_settings cannot be set",
    ),
    "nearest neighbours with a metric": (
        KNN | {"optimizer_kwargs": {"k": 3, "vectorizer": "near", "metric": "m"}},
        "optimizer_kwargs.metric cannot be set: the service sets it",
    ),
    "nearest neighbours with an unknown argument": (
        KNN | {"optimizer_kwargs": {"k": 3, "vectorizer": "near", "breadth": 2}},
        "has no keyword argument 'breadth' (optimizer_kwargs). Supported: k, vectorizer, ",
    ),
    "none of the nearest neighbours": (
        KNN | {"optimizer_kwargs": {"k": 0, "vectorizer": "near"}},
        "optimizer_kwargs.k must be at least 1",
    ),
    "nearest neighbours of one row": (
        KNN | {"rows": 4, "split_fractions": {"train": 0.25, "val": 0.25, "test": 0.5}},
        "looks for the nearest of at least 2 training rows",
    ),
    "an embedder for a language model": (
        {"optimizer_kwargs": {"teacher_settings": {"lm": "near"}}, **EMBEDDED},
        "teacher_settings.lm takes a model, and is 'near'",
    ),
    "a broken optimizer": ({"optimizer_name": "dspy.AvatarOptimizer"}, "its constructor fails"),
    "weight tuning": (
        {"optimizer_name": "dspy.BootstrapFinetune"},
        "Optimizer 'dspy.BootstrapFinetune' cannot be used: it tunes a model's weights",
    ),
    "weight tuning by another path": (
        {"optimizer_name": "dspy.teleprompt.BootstrapFinetune"},
        "Optimizer 'dspy.teleprompt.BootstrapFinetune' cannot be used: it tunes a model's weights",
    ),
    "reinforcement": (
        {"optimizer_name": "dspy.GRPO"},
        "Optimizer 'dspy.GRPO' cannot be used: it trains a model's weig",
    ),
    "reinforcement by its path": ({"optimizer_name": "dspy.teleprompt.grpo.GRPO"}, "cannot be used: it trains"),
    "optimizers together without any": (
        {"optimizer_name": "dspy.BetterTogether", "optimizer_kwargs": {}},
        "Optimizer 'dspy.BetterTogether' needs the optimizers of its strategy in optimizer_kwargs, each under a name",
    ),
    "optimizers together by another path": (
        {
            "optimizer_name": "dspy.teleprompt.BetterTogether",
            "optimizer_kwargs": {},
            "compile_kwargs": {"strategy": "p"},
        },
        "needs the optimizers of its strategy",
    ),
    "a chain by the default strategy": (
        CHAIN | {"compile_kwargs": {}},
        "compile_kwargs.strategy must be names of optimizer_kwargs with ' -> ' between them, such as 'p -> g'; 'w' is",
    ),
    "a chain of what is not there": (CHAIN | {"compile_kwargs": {"strategy": "p->g"}}, "'p->g' is none of them"),
    "a chain of text": (
        CHAIN | {"optimizer_kwargs": {"p": "gepa"}, "compile_kwargs": {"strategy": "p"}},
        'optimizer_kwargs.p must be an optimizer by its name and arguments, such as {"name": "gepa"',
    ),
    "a step with more": (chain_of({"name": "gepa", "compile": {}}), "optimizer_kwargs.p must be an optimizer by its"),
    "a step that nobody knows": (chain_of({"name": "gepard"}), "optimizer_kwargs.p: Unknown optimizer 'gepard'"),
    "a step that tunes weights": (
        chain_of({"name": "dspy.BootstrapFinetune"}),
        "Optimizer 'dspy.BootstrapFinetune' cannot be used: it tunes a model's weights",
    ),
    "a chain in a chain": (
        chain_of({"name": "dspy.BetterTogether"}),
        "optimizer_kwargs.p cannot be 'dspy.BetterTogether': it is no step of a chain.",
    ),
    "nearest neighbours in a chain": (
        chain_of({"name": "dspy.KNNFewShot", "kwargs": {"k": 3, "vectorizer": "near"}}) | EMBEDDED,
        "optimizer_kwargs.p cannot be 'dspy.KNNFewShot'",
    ),
    "a step that scores": (chain_of({"name": "evaluate"}), "optimizer_kwargs.p cannot be 'evaluate'"),
    "a step's argument that it has not": (
        chain_of({"name": "simba", "kwargs": {"breadth": 2}}),
        "Optimizer 'simba' has no keyword argument 'breadth' (optimizer_kwargs.p.kwargs). Supported: bsize,",
    ),
    "a step's argument of another type": (
        chain_of({"name": "simba", "kwargs": {"bsize": "8"}}),
        "optimizer_kwargs.p.kwargs.bsize: Optimizer 'simba' takes int",
    ),
    "a step's argument that the service sets": (
        chain_of({"name": "simba", "kwargs": {"metric": "m"}}),
        "optimizer_kwargs.p.kwargs.metric cannot be set",
    ),
    "a step's model that the job has not": (
        chain_of({"name": "bootstrapfewshot", "kwargs": {"teacher_settings": {"lm": "gpt"}}}),
        "optimizer_kwargs.p.kwargs.teacher_settings.lm takes a model, and is 'gpt'",
    ),
    "a step's credential": (
        chain_of({"name": "gepa", "kwargs": {"wandb_api_key": "sk-1234567890"}}),
        "optimizer_kwargs.p.kwargs.wandb_api_key holds a credential",
    ),
    "a step that finds nothing within its budget": (
        chain_of({"name": "gepa", "kwargs": {"max_metric_calls": 3}}),
        "optimizer_kwargs.p.kwargs.max_metric_calls 3 is spent on the",
    ),
    "a step without a budget": (
        chain_of({"name": "gepa"}),
        "Optimizer 'gepa' needs exactly one of auto, max_full_evals, max_metric_calls in optimizer_kwargs.p.kwargs",
    ),
    "a step's compile argument that it needs": (
        chain_of({"name": "dspy.BootstrapFewShotWithOptuna"}),
        "needs the keyword argument 'max_demos': give it in compile_kwargs.optimizer_compile_args.p.",
    ),
    "a step's compile argument that it has not": (
        chain_of({"name": "simba"}, optimizer_compile_args={"p": {"epochs": 2}}),
        "The compile of optimizer 'simba' has no keyword argument 'epochs' (compile_kwargs.optimizer_compile_args.p)",
    ),
    "compile arguments of a step that is not there": (
        chain_of({"name": "simba"}, optimizer_compile_args={"q": {}}),
        "compile_kwargs.optimizer_compile_args names an optimizer that is not in optimizer_kwargs",
    ),
    "a chain with all rows for validation": (
        chain_of({"name": "labeledfewshot"}, valset_ratio=1.0),
        "compile_kwargs.valset_ratio must be at least 0 and less than 1, not 1.",
    ),
    "a proposal temperature that the prompt model refuses": (
        REASONING_PROPOSER | {"optimizer_kwargs": {"init_temperature": 0.5}},
        "optimizer_kwargs.init_temperature must be 1.0, and is 0.5: the prompt model 'openai/gpt-5-mini' "
        "(prompt_model_config), which proposes prompts, takes no other temperature.",
    ),
    "a proposal temperature that the default model refuses": (
        {"model_config": {"name": "openai/o3"}, "optimizer_kwargs": {"init_temperature": 0.2}},
        "optimizer_kwargs.init_temperature must be 1.0, and is 0.2: the default model 'openai/o3' (model_config)",
    ),
    "a default temperature that the prompt model refuses": (
        REASONING_PROPOSER | {"optimizer_name": "copro", "optimizer_kwargs": {}},
        "optimizer_kwargs.init_temperature must be 1.0, and is 1.4",
    ),
    "a module's temperature that its model refuses": (
        {"model_config": {"name": "openai/gpt-5"}, "module_kwargs": {"temperature": 0.7}},
        "module_kwargs.temperature cannot be 0.7: model 'openai/gpt-5' (model_config) takes 1.0 alone.",
    ),
    "a teacher of another name": (
        {"optimizer_name": "bootstrapfewshot", "optimizer_kwargs": {"teacher_settings": {"lm": "openai/gpt-4o"}}},
        "optimizer_kwargs.teacher_settings.lm takes a model, and is 'openai/gpt-4o': name one of the job's models "
        "(default",
    ),
    "a teacher of a role that the job does not fill": (
        {"optimizer_name": "simba", "rows": 60, "optimizer_kwargs": {"teacher_settings": {"lm": "task"}}},
        "optimizer_kwargs.teacher_settings.lm takes a model, and is 'task'",
    ),
    "a teacher that embeds": (
        {
            "model_configs": {"search": {"name": "openai/embed", "model_type": "embedding"}},
            "optimizer_kwargs": {"teacher_settings": {"lm": "search"}},
        },
        "optimizer_kwargs.teacher_settings.lm takes a model, and is 'search': name one of the job's models (default",
    ),
    "a further model's settings": (
        {"model_configs": {"judge": {"name": "openai/o3", "temperature": 0.2}}},
        "model_configs.judge: model 'openai/o3' takes no temperature but 1.0",
    ),
    "a teacher written out": (
        {"optimizer_kwargs": {"teacher_settings": {"lm": {"model": "openai/gpt-4o"}}}},
        "optimizer_kwargs.teacher_settings.lm takes a model, and is no name",
    ),
    "no teacher": (
        {"optimizer_kwargs": {"teacher_settings": {"lm": None}}},
        "settings.lm takes a model, and is no name",
    ),
    "a teacher's adapter": (
        {"optimizer_kwargs": {"teacher_settings": {"adapter": "json"}}},
        "optimizer_kwargs.teacher_settings.adapter takes a Python object, which a job cannot hold",
    ),
    "a model deep in compile kwargs": (
        {"optimizer_name": "copro", "compile_kwargs": {"eval_kwargs": {"more": [{"lm": "x"}]}}},
        "compile_kwargs.eval_kwargs.more[0].lm takes a model, and is 'x'",
    ),
    "a model in module kwargs": (
        {"module_kwargs": {"lm": "default"}},
        "module_kwargs.lm takes a model, and is 'default'",
    ),
    "miprov2 that draws demos from none": (
        {"optimizer_kwargs": {"auto": "light", "max_bootstrapped_demos": 0}},
        "optimizer_kwargs.max_bootstrapped_demos must be at least 1 for Optimizer 'miprov2'",
    ),
    "miprov2 that draws demos from none by its compile": (
        {"compile_kwargs": {"max_bootstrapped_demos": 0}},
        "optimizer_kwargs.max_bootstrapped_demos must be at least 1",
    ),
    "an unsupported kwarg": (
        {"optimizer_kwargs": {"num_candidate": 3}},
        "Optimizer 'miprov2' has no keyword argument 'num_candidate' (optimizer_kwargs). Supported: teacher_settings,",
    ),
    "an unsupported compile kwarg": (
        {"compile_kwargs": {"epochs": 3}},
        "The compile of optimizer 'miprov2' has no keyword argument 'epochs' (compile_kwargs). Supported: num_trials,",
    ),
    "an unsupported module kwarg": (
        {"module_name": "dspy.ProgramOfThought", "module_kwargs": {"iters": 3}},
        "has no keyword argument 'iters' (module_kwargs). Supported: max_iters.",
    ),
    "a swallowed kwarg": ({"optimizer_name": "copro", "optimizer_kwargs": {"num_threads": 3}}, "'num_threads'"),
    "a Python object": ({"module_kwargs": {"rationale_field": "x"}}, "takes a Python object there"),
    "a type": (
        {"optimizer_kwargs": {"num_threads": "4"}},
        "optimizer_kwargs.num_threads: Optimizer 'miprov2' takes int or null, not \"4\".",
    ),
    "a boolean for a number": ({"optimizer_kwargs": {"seed": True}}, "takes int, not true"),
    "a choice": (
        {"optimizer_kwargs": {"auto": "lite"}},
        'optimizer_kwargs.auto: Optimizer \'miprov2\' takes "light", "medium", "heavy" or null, not "lite".',
    ),
    "too few threads": ({"optimizer_kwargs": {"num_threads": 0}}, "optimizer_kwargs.num_threads must be at least 1"),
    "a needed compile kwarg": ({"optimizer_name": "dspy.BootstrapFewShotWithOptuna"}, "give it in compile_kwargs"),
    "a credential in kwargs": (
        GEPA | {"optimizer_kwargs": {"auto": "light", "wandb_api_key": "k"}},
        "optimizer_kwargs.wandb_api_key holds a credential",
    ),
    "a credential deep in kwargs": (
        {"module_kwargs": {"config": {"api_key": "k"}}},
        "module_kwargs.config.api_key holds",
    ),
    "no signature": ({"signature_code": "x = 1"}, "signature_code defines no class derived from dspy.Signature"),
    "no metric": ({"metric_code": "x = 1"}, "metric_code defines no function"),
    "an unmapped input": (
        {"signature_code": SIGNATURE + "    more: str = dspy.InputField()\n"},
        "column_mapping.inputs lacks the input field 'more' of signature 'Ticket'.",
    ),
    "an unmapped output": (
        {"column_mapping": {"inputs": {"text": "text"}}},
        "column_mapping.outputs lacks the output field 'label' of signature 'Ticket'. "
        "If no column holds its gold, map it to null.",
    ),
    "an unknown output without gold": (
        {"column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": "label", "x": None}}},
        "column_mapping.outputs maps 'x', which signature 'Ticket' does not have.",
    ),
    "an input's name that is DSPy's": (
        {"signature_code": SIGNATURE + "    demos: str = dspy.InputField()\n"},
        "signature_code: the input field 'demos' has a name that DSPy keeps for itself: rename it, here and in "
        "column_mapping.",
    ),
    "an output's name that is DSPy's": (
        {"signature_code": SIGNATURE + "    instructions: str = dspy.OutputField()\n"},
        "the output field 'instructions' has a name that DSPy keeps for itself",
    ),
    "an inherited name that is DSPy's": (
        {"signature_code": SIGNATURE + "    lm: str = dspy.InputField()\nclass More(Ticket):\n    pass\n"},
        "the input field 'lm' has",
    ),
    "an input's name that is the module's": (
        {"signature_code": SIGNATURE + "    reasoning: str = dspy.InputField()\n", "module_name": "cot"},
        "the input field 'reasoning' has a name that dspy.ChainOfThought gives to a field of its own",
    ),
    "an unknown field": (
        {"column_mapping": {"inputs": {"text": "text", "x": "y"}, "outputs": {"label": "label"}}},
        "column_mapping.inputs maps 'x', which signature 'Ticket' does not have. Its inputs: text.",
    ),
    "the wrong side": (
        {"column_mapping": {"inputs": {"text": "text", "label": "label"}}},
        "column_mapping.inputs maps 'label', which is no input of signature 'Ticket'",
    ),
    "a row without a column": (
        {"dataset": [*ticket_rows(30), {"text": "x"}, {"label": "y"}]},
        "dataset[30] lacks column 'label', to which column_mapping.outputs.label maps.",
    ),
    "an input of another type": (
        TYPED | {"dataset": [*({"text": "x", "stars": [n, str(n)], "label": "y"} for n in range(30)), BAD_STARS]},
        "dataset[30], column 'stars': field 'n[1]' (list[int]): it is no whole number; the cell holds 'four'.",
    ),
    "a reasoning model's temperature": (
        {"task_model_config": {"name": "openai/o3", "temperature": 0.1}},
        "task_model_config: model 'openai/o3' takes no temperature but 1.0",
    ),
    "a reasoning model's tokens": (
        {"model_config": {"name": "openai/gpt-5", "max_tokens": 500}},
        "needs max_tokens of at least 16000",
    ),
    "too few rows to validate": (
        {"rows": 3},
        "The val split, which optimizer 'miprov2' validates on, is empty: split_fractions.val is 0.15 of 3 rows; "
        "send at least 7 rows, or raise split_fractions.val.",
    ),
    "one row": ({"rows": 1, "optimizer_name": "copro"}, "The train split, which optimizer 'copro' trains on, is empty"),
    "no test rows": (
        {"split_fractions": {"train": 0.8, "val": 0.2, "test": 0.0}},
        "The test split, which the scores are measured on, is empty: split_fractions.test is 0 of 40 rows; "
        "raise split_fractions.test.",
    ),
    "no training rows": ({"split_fractions": {"train": 0, "val": 0.5, "test": 0.5}}, "raise split_fractions.train"),
    "mipro's two ways": ({"optimizer_kwargs": {"num_candidates": 5}}, "optimizer_kwargs.num_candidates conflicts with"),
    "mipro's trials with auto": ({"compile_kwargs": {"num_trials": 5}}, "compile_kwargs.num_trials conflicts with"),
    "mipro without auto": (
        {"optimizer_kwargs": {"auto": None}},
        "needs optimizer_kwargs.num_candidates and compile_kwargs.num_trials",
    ),
    "mipro's minibatch": (
        {"optimizer_kwargs": {"auto": None, "num_candidates": 4}, "compile_kwargs": {"num_trials": 6}},
        "compile_kwargs.minibatch_size 35 exceeds the 6 validation rows",
    ),
    "mipro's permission": ({"compile_kwargs": {"requires_permission_to_run": True}}, "must be false"),
    "mipro's split of its own": (
        {"rows": 3, "split_fractions": {"train": 0.5, "val": 0, "test": 0.5}},
        "needs 2 training rows where there are no validation rows",
    ),
    "gepa's budget": (GEPA, "exactly one of auto, max_full_evals, max_metric_calls in optimizer_kwargs; it has none"),
    "gepa's budgets": (
        GEPA | {"optimizer_kwargs": {"auto": "light", "max_metric_calls": 50}},
        "it has auto and max_metric_calls",
    ),
    "gepa's reflection": (
        {"optimizer_name": "gepa", "optimizer_kwargs": {"auto": "light"}},
        "Optimizer 'gepa' needs a reflection model: give reflection_model_config.",
    ),
    "gepa's reflection by its path": (
        {"optimizer_name": "dspy.GEPA", "optimizer_kwargs": {"auto": "light"}},
        "Optimizer 'dspy.GEPA' needs a reflection model: give reflection_model_config.",
    ),
    "gepa's statistics": (GEPA | {"optimizer_kwargs": {"auto": "light", "track_best_outputs": True}}, "track_stats"),
    "gepa's own arguments": (
        GEPA | {"optimizer_kwargs": {"auto": "light", "gepa_kwargs": {"run_dir": "/tmp"}}},
        "optimizer_kwargs.gepa_kwargs.run_dir cannot be set",
    ),
    "gepa's budget for the program as given": (
        GEPA | {"optimizer_kwargs": {"max_metric_calls": 5}},
        "optimizer_kwargs.max_metric_calls 5 is spent on the 6 validation rows that the program as given is scored on, "
        "before a first proposal: give at least 7.",
    ),
    "gepa's budget, one short": (GEPA | {"optimizer_kwargs": {"max_metric_calls": 6}}, "give at least 7."),
    "gepa's budget without validation rows": (
        GEPA | {"optimizer_kwargs": {"max_metric_calls": 32}, "split_fractions": {"train": 0.8, "val": 0, "test": 0.2}},
        "max_metric_calls 32 is spent on the 32 training rows that the program as given is scored on, before a first "
        "proposal: give at least 33.",
    ),
    "gepa's budget of one evaluation": (
        GEPA
        | {
            "optimizer_name": "dspy.GEPA",
            "optimizer_kwargs": {"max_full_evals": 1},
            "split_fractions": {"train": 0.8, "val": 0, "test": 0.2},
        },
        "optimizer_kwargs.max_full_evals 1 is spent on the 32 training rows that the program as given is scored on, "
        "before a first proposal: give at least 2.",
    ),
    "gepa's costs": (
        GEPA | {"optimizer_kwargs": {"auto": "light", "gepa_kwargs": {"max_reflection_cost": 1}}},
        "max_reflection_cost is not supported",
    ),
    "simba's batch": (
        {"optimizer_name": "simba"},
        "needs at least 32 training rows (its bsize), and gets 28: send at least 46 rows, or",
    ),
    "copro's breadth": (
        {"optimizer_name": "copro", "optimizer_kwargs": {"breadth": 1}},
        "breadth must be greater than 1, not 1",
    ),
    "copro's evaluation": (
        {"optimizer_name": "copro", "compile_kwargs": {"eval_kwargs": {"devset": []}}},
        "eval_kwargs.devset",
    ),
    "copro takes no valset": (
        {"optimizer_name": "copro", "compile_kwargs": {"valset": []}},
        "compile_kwargs.valset cannot be set",
    ),
    "random search's demos": (
        {"optimizer_name": "dspy.BootstrapRS", "optimizer_kwargs": {"max_bootstrapped_demos": 0}},
        "max_bootstrapped_demos must be at least 1",
    ),
    "a row that says nothing": (
        SAID | {"dataset": [*said(train=30, test=5), {"text": "x", "label": "y"}]},
        "dataset[35] lacks column 'part', in which each row says where it belongs: write train, val (or validation, "
        "dev) or test.",
    ),
    "a row that says something else": (
        SAID | {"dataset": said(train=30, test=5, holdout=1)},
        "dataset[35] says 'holdout' in column 'part', by which the rows are split: write train,",
    ),
    "an empty cell": (SAID | {"dataset": [{"text": "x", "label": "y", "part": ""}]}, "dataset[0] says nothing in"),
    "the splitting column as an input": (
        SAID
        | {
            "dataset": said(train=30, test=5),
            "column_mapping": {"inputs": {"text": "part"}, "outputs": {"label": "label"}},
        },
        "column_mapping.inputs.text maps column 'part', by which split_column splits the rows: map another.",
    ),
    "the splitting column as gold": (
        SAID
        | {
            "dataset": said(train=30, test=5),
            "column_mapping": {"inputs": {"text": "text"}, "outputs": {"label": "part"}},
        },
        "column_mapping.outputs.label maps column 'part', by which split_column splits the rows: map another.",
    ),
    "no row says test": (
        SAID | {"dataset": said(train=30, val=5)},
        "The test split, which the scores are measured on, is empty: of 35 rows 30 say train, 5 val and 0 test; let at "
        "least 1 row say test in column 'part'.",
    ),
    "no row says train": (
        SAID | {"dataset": said(dev=30, test=5)},
        "The train split, which optimizer 'miprov2' trains on, is empty: of 35 rows 0 say train, 30 val and 5 test;",
    ),
    "a score without test rows": (
        SAID | {"optimizer_name": "evaluate", "dataset": said(train=5)},
        "is empty: of 5 rows 5 say train, 0 val and 0 test; let at least 1 row say test in column 'part'.",
    ),
    "simba's batch of rows that say train": (
        SAID | {"optimizer_name": "simba", "dataset": said(train=30, test=5)},
        "gets 30: let at least 32 rows say train in column 'part', or lower optimizer_kwargs.bsize.",
    ),
    "a score takes no argument": (
        {"optimizer_name": "evaluate", "optimizer_kwargs": {"num_threads": 4}},
        "Optimizer 'evaluate' has no keyword argument 'num_threads' (optimizer_kwargs). Supported: none.",
    ),
    "a score takes no argument of compile": (
        {"optimizer_name": "evaluate", "compile_kwargs": {"valset": []}},
        "compile_kwargs.valset cannot be set",
    ),
    "evaluate in dspy's way": ({"optimizer_name": "dspy.Evaluate"}, "Unknown optimizer 'dspy.Evaluate'"),
    "random search's seeds": ({"optimizer_name": "dspy.BootstrapRS", "compile_kwargs": {"restrict": [99]}}, "-3..15"),
}

RESERVED = {
    "metric": "metric_code",
    "trainset": "dataset",
    "valset": "split_fractions",
    "student": "module_name",
    "teacher": "module_name",
    "log_dir": "folder",
    "reflection_lm": "reflection_model_config",
    "prompt_model": "prompt_model_config",
    "task_model": "task_model_config",
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(changes: Changes) -> None:
    assert checked(**changes)


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(changes: Changes, message: str) -> None:
    assert message in refusal(**changes)


@pytest.mark.parametrize("place", ["module_kwargs", "optimizer_kwargs", "compile_kwargs"])
@pytest.mark.parametrize(("name", "field"), RESERVED.items())
def test_reserved_arguments_name_their_field(place: str, name: str, field: str) -> None:
    said = refusal(**{place: {name: None}})

    assert said.startswith(f"{place}.{name} cannot be set")
    assert field in said


def test_defaults_of_an_alias_are_checked_with_the_rest() -> None:
    file = registry.RegistryFile.model_validate(
        {"optimizers": {"quick": {"path": "dspy.MIPROv2", "kwargs": {"auto": "light", "seed": 3}}}}
    )
    known = Installation(registry.build(file, registry.bundled()))

    assert check_request(run_request(optimizer_name="quick"), known).optimizer_kwargs == {"auto": "light", "seed": 3}


def test_a_class_that_no_catalogue_knows_takes_anything() -> None:
    known = Installation(registry.build(registry.RegistryFile(allow=("acme",)), registry.bundled()))
    body = run_request(optimizer_name="acme.Annealer", optimizer_kwargs={"heat": 3})

    assert check_request(body, known).optimizer.asset is None


def spec(**changes: Any) -> OptimizationJobSpec:
    given: dict[str, Any] = {
        "module": {"name": "cot"},
        "optimizer": {"name": "miprov2"},
        "signature": {"code": SIGNATURE},
        "metric": {"code": METRIC},
        "dataset": {"rows": ticket_rows(40)},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "models": {"default": {"name": "openai/gpt-4o-mini"}},
    }
    return OptimizationJobSpec.model_validate(given | changes)


def test_a_resource_is_checked_alike() -> None:
    job = check_resource(spec())

    assert job.split_counts is not None
    assert job.split_counts.train == 28


@pytest.mark.parametrize("threads", [1, 64])
def test_as_many_threads_as_the_service_allows(threads: int) -> None:
    check_resource(spec(run={"threads": threads}))
    fewer = Installation(registry.default(), most_threads=threads - 1)
    with pytest.raises(UnusableRequest, match=f"give 1 to {threads - 1}, or"):
        check_resource(spec(run={"threads": threads}), installation=fewer)


def test_what_is_not_at_hand_is_left_to_the_pod() -> None:
    elsewhere = {"configMapKeyRef": {"name": "x", "key": "y"}}
    job = check_resource(spec(signature=elsewhere, metric=elsewhere, dataset=elsewhere))

    assert (job.signature, job.metric, job.split_counts) == (None, None, None)


def test_what_was_fetched_is_checked() -> None:
    elsewhere = {"configMapKeyRef": {"name": "x", "key": "y"}}
    fetched = Contents(rows=[{"text": "x"}], code={"signature": "x = 1"})

    with pytest.raises(UnusableRequest, match=r"^spec\.signature defines no class"):
        check_resource(spec(signature=elsewhere, dataset=elsewhere), fetched)


def test_rows_in_the_store_are_counted() -> None:
    payload = {"payload": {"digest": f"sha256:{'0' * 64}", "rows": 3, "bytes": 9}}

    with pytest.raises(UnusableRequest, match=r"spec\.split\.val is 0\.15 of 3 rows; send at least 7"):
        check_resource(spec(dataset=payload))


JOINED: Changes = {"joined": {"configMapKeyRef": {"name": "programs", "key": "programs.json"}}}
RESOURCES: dict[str, tuple[Changes, str]] = {
    "an ensemble by ids of jobs": (
        {"optimizer": {"name": "dspy.Ensemble", "kwargs": {"programs": ["a", "b"]}}},
        "Optimizer 'dspy.Ensemble' needs spec.joined: the programs of earlier jobs, which it joins. (Ids of jobs are",
    ),
    "an ensemble of a Python object": (
        {"optimizer": {"name": "dspy.Ensemble", "kwargs": {"reduce_fn": "mine"}}, **JOINED},
        'spec.optimizer.kwargs.reduce_fn must be "majority"',
    ),
    "programs for another optimizer": (
        {"optimizer": {"name": "dspy.BootstrapFewShot"}, **JOINED},
        "spec.joined is for dspy.Ensemble alone, and the optimizer is 'dspy.BootstrapFewShot': leave it out.",
    ),
    "an output without column": (
        {"columns": {"inputs": {"text": "text"}}},
        "spec.columns.outputs lacks the output field 'label' of signature 'Ticket'. If no column holds its gold, name "
        "it in spec.columns.withoutGold.",
    ),
    "an output with and without gold": (
        {"columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}, "withoutGold": ["label"]}},
        "spec.columns.outputs maps 'label', which spec.columns.withoutGold names too",
    ),
    "columns": (
        {"columns": {"inputs": {"text": "a"}, "outputs": {"label": "a"}}},
        "spec.columns: Inputs and outputs share",
    ),
    "failed rows": (
        {"run": {"maxFailedRows": "1.5"}},
        "spec.run.max_failed_rows: Input should be less than or equal to 1",
    ),
    "split": ({"split": {"train": "0.5"}}, "spec.split: train, val and test should sum to 1"),
    "endpoint": (
        {"models": {"default": {"name": "m", "baseUrl": "ftp://h"}}},
        "spec.models.default.base_url: Should be",
    ),
    "temperature": (
        {"models": {"default": {"name": "m", "temperature": "3"}}},
        "spec.models.default.temperature: Input",
    ),
    "key in extra": (
        {"models": {"default": {"name": "m", "extra": {"api_key": "K"}}}},
        "spec.models.default.extra.api_key holds a credential: put it into a Secret and name that in "
        "spec.models.default.keyFrom.",
    ),
    "key in the endpoint": (
        {"models": {"default": {"name": "m", "baseUrl": "http://u:p@h"}}},
        "spec.models.default.baseUrl holds a credential",
    ),
    "reflection": (
        {"optimizer": {"name": "gepa", "kwargs": {"auto": "light"}}},
        "Optimizer 'gepa' needs a reflection model: give spec.models.reflection.",
    ),
    "gepa's budget": (
        {
            "optimizer": {"name": "gepa", "kwargs": {"max_metric_calls": 3}},
            "models": {"default": {"name": "m"}, "reflection": {"name": "m"}},
        },
        "spec.optimizer.kwargs.max_metric_calls 3 is spent on",
    ),
    "a kwarg": ({"optimizer": {"name": "miprov2", "compileKwargs": {"x": 1}}}, "(spec.optimizer.compileKwargs)"),
    "a score is no improvement": (
        {"optimizer": {"name": "evaluate"}, "run": {"require": "improved"}},
        "spec.run.require asks for the verdict 'improved', and optimizer 'evaluate' optimizes nothing: leave it out.",
    ),
    "a row": ({"dataset": {"rows": [{"text": "x"}]}}, "spec.dataset[0] lacks column 'label'"),
    **{
        f"{threads} threads": (
            {"run": {"threads": threads}},
            f"spec.run.threads: {threads} model calls at once cannot be: give 1 to 64, or leave it out to have it",
        )
        for threads in (-1, 0, 65, 10_000)
    },
}


@pytest.mark.parametrize(("changes", "message"), RESOURCES.values(), ids=RESOURCES)
def test_a_resource_is_told_in_its_own_words(changes: Changes, message: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        check_resource(spec(**changes))
    assert message in str(refused.value)


def test_a_row_from_a_file_that_is_no_object() -> None:
    with pytest.raises(UnusableRequest, match=r"^spec\.dataset\[1\] is no object\.$"):
        check_resource(spec(), Contents(rows=[*ticket_rows(1), 3]))  # type: ignore[list-item]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 50) | st.floats(-1, 2) | st.sampled_from(["light", "x", "dspy"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "lm"]), inner, max_size=2),
    max_leaves=4,
)
OPTIONS = [
    *(
        "auto",
        "num_candidates",
        "num_trials",
        "minibatch",
        "minibatch_size",
        "bsize",
        "breadth",
        "restrict",
        "max_demos",
    ),
    *("gepa_kwargs", "eval_kwargs", "max_metric_calls", "track_best_outputs", "max_bootstrapped_demos", "num_threads"),
]
KWARGS = st.dictionaries(st.sampled_from(OPTIONS), JSON, max_size=3)


@settings(max_examples=400)
@given(st.sampled_from(registry.default().optimizers.names()), KWARGS, KWARGS, st.integers(1, 60))
def test_any_arguments_are_taken_or_refused(name: str, kwargs: Changes, compile_kwargs: Changes, rows: int) -> None:
    body = run_request(optimizer_name=name, optimizer_kwargs=kwargs, compile_kwargs=compile_kwargs, rows=rows)
    with suppress(InvalidRequest, UnusableRequest):
        check_request(body)
