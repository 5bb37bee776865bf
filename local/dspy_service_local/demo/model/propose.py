"""Writes instructions, advice and descriptions by rule, from nothing but the examples that the prompt shows.

The optimizers ask for these in fields of known names; `RULES` says which rule answers which.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from .hints import MAX_WORDS, learn, without_hints, write, written_hints
from .prompt import Prompt
from .shown import shown_examples
from .task import quote

Rule = Callable[[Prompt, int], Any]
_OBSERVED_WORDS = 12
"""Words a label in an observation: ten examples at a time do not hold more that will be seen again."""
_LONGEST_DESCRIPTION = 400
_CURRENT = ("basic_instruction", "current_instruction", "previous_instruction")
_BEFORE = ("dataset_description", "prior_observations", "observations", *_CURRENT)
_ENDINGS = (
    "Compare the input with every example and answer as the most similar one was answered.",
    "Weigh the rare words of the input more than the common ones.",
    "Answer with exactly one of the allowed values and nothing else.",
    "Decide by what the writer wants done, not by where it happened.",
)


def proposed_instruction(prompt: Prompt, variant: int) -> str:
    """The current instruction with what is known of each label; another ending and length for each variant."""
    hints = _hints(prompt, MAX_WORDS - 4 * (variant % 4))
    instruction = without_hints(_current_instruction(prompt.inputs))
    ending = _ENDINGS[variant % len(_ENDINGS)]
    parts = [instruction, "" if ending in instruction else ending, hints]
    return "\n\n".join(part for part in parts if part)


def _current_instruction(inputs: Mapping[str, str]) -> str:
    for name in _CURRENT:
        if name in inputs:
            return inputs[name].strip('"')
    return _best_attempt(inputs.get("attempted_instructions", "")) or "Answer the question."


def _best_attempt(attempts: str) -> str:
    """COPRO lists its attempts from worst to best."""
    tried = [line.partition(": ")[2] for line in attempts.splitlines() if "Instruction #" in line]
    return tried[-1].strip("«»") if tried else ""


def _hints(prompt: Prompt, per_label: int) -> str:
    known = written_hints("\n".join(prompt.inputs.get(name, "") for name in _BEFORE))
    return write(learn(shown_examples(prompt.inputs), known), per_label)


def observations(prompt: Prompt, _variant: int) -> str:
    """Of the examples of this prompt alone: the summary after it joins them."""
    seen = write(learn(shown_examples(prompt.inputs), {}), _OBSERVED_WORDS)
    return f"\n{seen}\n" if seen else "COMPLETE"


def summary(prompt: Prompt, _variant: int) -> str:
    joined = write(written_hints(prompt.inputs.get("observations", "")), MAX_WORDS)
    return joined or quote("\n".join(prompt.inputs.values()))


def rules(prompt: Prompt, _variant: int) -> str:
    return _hints(prompt, MAX_WORDS) or _ENDINGS[0]


def module_advice(prompt: Prompt, _variant: int) -> dict[str, str]:
    """The same advice for every module asked about: the trajectories are not looked into."""
    try:
        names = orjson.loads(prompt.inputs.get("module_names", "[]"))
    except orjson.JSONDecodeError:
        names = []
    advice = _hints(prompt, MAX_WORDS) or _ENDINGS[0]
    return {str(name): advice for name in names}


def shortened(prompt: Prompt, _variant: int) -> str:
    return without_hints(prompt.inputs.get("instruction", ""))


def prefix(_prompt: Prompt, _variant: int) -> str:
    return "Answer:"


def description(prompt: Prompt, _variant: int) -> str:
    text = prompt.inputs.get("module") or prompt.inputs.get("program_code") or "\n".join(prompt.inputs.values())
    return f"It answers {quote(text)} by comparing with examples."[:_LONGEST_DESCRIPTION]


RULES: Mapping[str, Rule] = {
    "proposed_instruction": proposed_instruction,  # MIPROv2, COPRO
    "proposed_prefix_for_output_field": prefix,  # COPRO
    "observations": observations,  # MIPROv2
    "summary": summary,  # MIPROv2
    "program_description": description,  # MIPROv2
    "module_description": description,  # MIPROv2
    "new_instruction": proposed_instruction,  # GEPA
    "improved_instruction": proposed_instruction,  # GEPA's multimodal proposer
    "shortened_instruction": shortened,  # GEPA with a limit on length
    "module_advice": module_advice,  # SIMBA
    "discussion": description,  # SIMBA
    "natural_language_rules": rules,  # InferRules
}
