"""What GEPA tries, told by gepa's own callbacks: candidates that it takes into its pool, and proposals that it rejects.

gepa's event of a rejection names no proposal, so rejections are heard where they are decided: in the selection. A run
that goes on from its saved state tells by itself of the given program alone; the others are read from that state.
"""

import logging
from collections.abc import Mapping
from typing import Any

import dspy
from gepa.proposer.base import CandidateProposal
from gepa.strategies.proposal_selection import AllImprovements

from dspy_service_runner.optimizer.failures import first_line
from dspy_service_runner.optimizer.program_state import State, state_of
from dspy_service_runner.optimizer.progress.candidates import Candidates, Origin
from dspy_service_runner.optimizer.strategies.strategy import Counting

logger = logging.getLogger("dspy_service.gepa")

Event = dict[str, Any]


class GepaObserver:
    """Callbacks by which gepa reports its budget and its candidates."""

    def __init__(self, program: dspy.Module, progress: Counting, candidates: Candidates) -> None:
        self._program, self._progress, self._candidates = program, progress, candidates
        self._batches = self._perfect = 0
        self._before = 0
        """Metric calls of the search before this optimizer began: in a chain, others had their turn."""
        self._state: Any = None
        self._numbers: dict[int, int] = {}
        """By gepa's index."""
        self._merge: tuple[Mapping[str, str], list[float]] = ({}, [])

    def on_optimization_start(self, event: Event) -> None:
        self._before = self._candidates.own_calls()

    def on_budget_updated(self, event: Event) -> None:
        self._progress.set_calls(event["metric_calls_used"])

    def on_minibatch_sampled(self, event: Event) -> None:
        self._batches += 1

    def on_evaluation_skipped(self, event: Event) -> None:
        self._perfect += event["reason"] == "all_scores_perfect"

    def on_iteration_start(self, event: Event) -> None:
        self._hear(event["state"])

    def on_valset_evaluated(self, event: Event) -> None:
        """Of a candidate that was accepted, before gepa says so."""
        index = event["candidate_idx"]
        at_call = self._state.num_metric_calls_by_discovery[index] if self._state is not None else 0
        self._accepted(index, event["candidate"], event["scores_by_val_id"], event["parent_ids"], at_call)

    def on_evaluation_end(self, event: Event) -> None:
        if event["candidate_idx"] is None:
            self._merge = self._merge[0], event["scores"]

    def on_merge_attempted(self, event: Event) -> None:
        self._merge = event["merged_candidate"], self._merge[1]

    def on_merge_rejected(self, event: Event) -> None:
        self._rejected(*self._merge, event["parent_ids"], self._state)

    def on_optimization_end(self, event: Event) -> None:
        """gepa's own record is read, because it includes earlier attempts, and proposals that were dropped after a few
        rows."""
        self._hear(event["final_state"])
        scored = any("new_subsample_scores" in step for step in event["final_state"].full_program_trace)
        self._candidates.tried_another = self._candidates.tried_another or scored
        self._candidates.obstacle = self._obstacle()

    def rejected(self, proposal: CandidateProposal, state: Any) -> None:
        """Never fails: gepa swallows what a callback raises, but this is no callback."""
        scores = proposal.subsample_scores_after or []
        try:
            self._rejected(proposal.candidate, scores, proposal.parent_program_ids, state)
        except Exception as error:
            logger.warning("a proposal that GEPA rejected cannot be told of: %s", first_line(error))

    def _hear(self, state: Any) -> None:
        """Once: the state that gepa works on, in which an earlier attempt's candidates are."""
        if self._state is not None:
            return
        self._state = state
        for index in range(1, len(state.program_candidates)):
            self._accepted(
                index,
                state.program_candidates[index],
                state.prog_candidate_val_subscores[index],
                state.parent_program_for_candidate[index],
                state.num_metric_calls_by_discovery[index],
            )
        if state.i > 0:
            self._candidates.resumed(self._before + state.total_num_evals)

    def _accepted(
        self, index: int, texts: Mapping[str, str], by_row: Mapping[Any, float], parents: Any, at_call: int
    ) -> None:
        if index in self._numbers:
            return
        self._numbers[index] = self._candidates.scored(
            self._state_with(texts), _percent(list(by_row.values())), len(by_row), self._origin(parents, at_call, True)
        )

    def _rejected(self, texts: Mapping[str, str], scores: list[float], parents: Any, state: Any) -> None:
        origin = self._origin(parents, state.total_num_evals, False)
        self._candidates.seen(self._state_with(texts), _percent(scores), len(scores), origin)

    def _origin(self, parents: Any, at_call: int, accepted: bool) -> Origin:
        numbers = [self._numbers.get(parent, 0) for parent in parents if parent is not None]
        return Origin([number for number in numbers if number], self._before + at_call, accepted)

    def _state_with(self, texts: Mapping[str, str]) -> State:
        program = self._program.deepcopy()
        for name, predictor in program.named_predictors():
            if name in texts:
                predictor.signature = predictor.signature.with_instructions(texts[name])
        return state_of(program)

    def _obstacle(self) -> str:
        if not self._batches:
            return "the validation rows took its whole budget, before a first proposal"
        if self._perfect == self._batches:
            return f"all {self._batches} batches of training rows that it looked at scored perfectly"
        return f"it looked at {self._batches} batches of training rows, and none led to a proposal"


class ToldSelection:
    """A selection strategy that tells of the proposals that it does not select."""

    def __init__(self, strategy: Any, observer: GepaObserver) -> None:
        self._strategy, self._observer = strategy or AllImprovements(), observer

    def select(self, proposals: list[CandidateProposal], state: Any, criterion: Any) -> list[CandidateProposal]:
        selected: list[CandidateProposal] = self._strategy.select(proposals, state, criterion)
        kept = _without_doubles(selected)
        for proposal in proposals:
            if not any(proposal is each for each in kept):
                self._observer.rejected(proposal, state)
        return selected


def _without_doubles(proposals: list[CandidateProposal]) -> list[CandidateProposal]:
    """gepa takes the first of several that propose the same, and rejects the others."""
    return list({tuple(sorted(each.candidate.items())): each for each in reversed(proposals)}.values())


def _percent(scores: list[float]) -> float:
    return round(100 * sum(scores) / len(scores), 2) if scores else 0.0
