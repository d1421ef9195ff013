"""Audits of rules that can only be run: outcomes are drawn, and tested against the target's law."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from mdbound.audit.problems.models import ModelProblem, path_problems, tree_problems
from mdbound.audit.problems.positions import PositionProblem, position_problems
from mdbound.audit.report import AuditReport, ProblemResult, Witness
from mdbound.audit.sampling.evidence import LEVEL, RUNS, Draws, alarm_at, draw_until
from mdbound.audit.sampling.trials import Trial, path_trial, position_trial, tree_trial
from mdbound.bounds.problem.array_types import IntArray
from mdbound.errors import InvalidSettingError
from mdbound.trees import DraftedTree, TreeLaw

Announce: TypeAlias = Callable[[str], None]


def sampled(
    sampler: Callable[[Any, Any, tuple[int, ...], np.random.Generator], Any],
    num_drafts: int = 2,
    sampling: str = "with_replacement",
    seed: int = 0,
    *,
    runs: int = RUNS,
    level: float = LEVEL,
    problems: Sequence[PositionProblem] | None = None,
    announce: Announce | None = None,
) -> AuditReport:
    """Audit a rule at one position that can only be run.

    Drafts are drawn here, the rule answers with a token, and a sequential test compares the tokens
    with the target. A lossless rule is accused with probability of at most `level` over the whole
    audit, however often it looks. A rule that is off by 0.05 in total variation on one problem is
    found with probability 0.99 within 20,000 runs of it; gross faults within hundreds.

    Args:
        sampler: `sampler(target, draft, drafted, rng) -> token`; rows as in `audit.exact`.
        num_drafts: as in `audit.exact`.
        sampling: as in `audit.exact`.
        seed: of drafts and of the generator that the sampler is handed.
        runs: the most runs of each problem. With fewer than 20,000 the verdict on a rule that is
            not found is "cannot say".
        level: largest probability of a false alarm.
        problems: instead of the battery.
        announce: called with a line before each problem.

    Raises:
        AuditError: the sampler raised, or answered with no token.
        InvalidSettingError: as `audit.exact`, or runs or a level out of range.

    Example:
        >>> import numpy as np
        >>> def always_the_first(target, draft, drafted, rng):
        ...     return drafted[0]
        >>> from mdbound import audit
        >>> report = audit.sampled(always_the_first)
        >>> report.lossless, report.problems[0].runs < 1000
        (False, True)
    """
    chosen = position_problems(num_drafts, sampling) if problems is None else tuple(problems)
    trials = (position_trial(sampler, problem) for problem in chosen)
    return _audit(trials, len(chosen), seed, runs, level, announce)


def sampled_path(
    sampler: Callable[[Any, Any, tuple[int, ...], np.random.Generator], Any],
    draft_length: int,
    seed: int = 0,
    *,
    runs: int = RUNS,
    level: float = LEVEL,
    problems: Sequence[ModelProblem] | None = None,
    announce: Announce | None = None,
) -> AuditReport:
    """Audit a rule that verifies one drafted path and can only be run.

    What it puts out is continued under the target to L + 1 tokens; the test is on these texts.

    Args:
        sampler: `sampler(target_rows, draft_rows, path, rng) -> (length, token)`; rows as in
            `audit.exact_path`.
        draft_length: L.
        seed: as `sampled`.
        runs: as `sampled`.
        level: as `sampled`.
        problems: instead of the battery.
        announce: as `sampled`.

    Raises:
        AuditError: as `sampled`.
        InvalidSettingError: as `audit.exact_path`.

    Example:
        >>> from mdbound import audit
        >>> audit.sampled_path(lambda p, q, path, rng: (len(path), 0), 1, runs=500).lossless
        False
    """
    chosen = path_problems(draft_length) if problems is None else tuple(problems)
    trials = (path_trial(sampler, problem) for problem in chosen)
    return _audit(trials, len(chosen), seed, runs, level, announce)


def sampled_tree(
    sampler: Callable[[Any, Any, DraftedTree, np.random.Generator], Any],
    law: TreeLaw,
    seed: int = 0,
    *,
    runs: int = RUNS,
    level: float = LEVEL,
    problems: Sequence[ModelProblem] | None = None,
    announce: Announce | None = None,
) -> AuditReport:
    """Audit a rule that verifies a draft tree and can only be run.

    Args:
        sampler: `sampler(target, draft, tree, rng) -> (accepted node, token)`; rows and tree as in
            `audit.exact_tree`.
        law: how trees are drawn.
        seed: as `sampled`.
        runs: as `sampled`.
        level: as `sampled`.
        problems: instead of the battery.
        announce: as `sampled`.

    Raises:
        AuditError: as `sampled`.
        InvalidSettingError: as `audit.exact_tree`.

    Example:
        >>> from mdbound import audit, trees
        >>> def first_path(target, draft, tree, rng):
        ...     return tree.first_path(), 0
        >>> audit.sampled_tree(first_path, trees.Paths(2, 1), runs=500).lossless
        False
    """
    chosen = tree_problems(law) if problems is None else tuple(problems)
    trials = (tree_trial(sampler, law, problem) for problem in chosen)
    return _audit(trials, len(chosen), seed, runs, level, announce)


def _audit(
    trials: Iterable[Trial],
    count: int,
    seed: int,
    runs: int,
    level: float,
    announce: Announce | None,
) -> AuditReport:
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
        raise InvalidSettingError(f"`runs` {runs!r}: give 1 or more")
    if not 0.0 < level < 1.0:
        raise InvalidSettingError(f"`level` {level}: give a probability between 0 and 1")
    results: list[ProblemResult] = []
    for number, trial in enumerate(trials):
        if announce is not None:
            announce(f"problem {number + 1} of {count}: {trial.name}, up to {runs:,} runs")
        rng = np.random.default_rng([seed, number])
        hits = 0

        def draw(size: int, trial: Trial = trial, rng: np.random.Generator = rng) -> IntArray:
            nonlocal hits
            found = [trial.run(rng) for _ in range(size)]
            hits += sum(hit for _, hit in found)
            return np.array([outcome for outcome, _ in found], dtype=np.int64)

        draws = draw_until(draw, trial.law, runs, alarm_at(level, count))
        results.append(_result(trial, draws, hits))
        if draws.alarm:
            return AuditReport(
                False,
                results[-1].total_variation,
                _witness(trial, draws),
                tuple(results),
                f"after {draws.runs:,} runs of problem {number + 1} of {count}; a lossless rule is "
                f"accused with probability of at most {level:g}",
            )
    found = all(each.runs >= RUNS for each in results)
    largest = max((each.total_variation for each in results), default=0.0)
    return AuditReport(
        True if found else None,
        largest,
        None,
        tuple(results),
        f"nothing found in {runs:,} runs of each of {count} problems; a rule that is off by 0.05 "
        f"in total variation on one of them is found with probability 0.99 within {RUNS:,}",
    )


def _result(trial: Trial, draws: Draws, hits: int) -> ProblemResult:
    frequencies = draws.counts / draws.runs
    gap = float(np.abs(frequencies - trial.law).sum()) / 2
    return ProblemResult(trial.name, gap, hits / draws.runs, trial.bound, draws.runs)


def _witness(trial: Trial, draws: Draws) -> Witness:
    # What is furthest off in units of its own noise; what can never be seen comes first.
    noise = np.sqrt(np.maximum(trial.law * (1 - trial.law), 0.0) * draws.runs)
    surplus = np.abs(draws.counts - draws.runs * trial.law)
    with np.errstate(divide="ignore", invalid="ignore"):
        furthest = int(np.nan_to_num(surplus / noise, nan=0.0, posinf=np.inf).argmax())
    error = noise[furthest] / draws.runs
    odds = (
        "excluded by the target"
        if np.isinf(draws.log_evidence)
        else (f"odds of 10^{draws.log_evidence / np.log(10):.1f} against the target's law")
    )
    return Witness(
        trial.name,
        trial.given,
        trial.outcome(furthest),
        Fraction(float(trial.law[furthest])).limit_denominator(2**40),
        Fraction(int(draws.counts[furthest]), draws.runs),
        f"frequencies in {draws.runs:,} runs are not the target's ({odds}; standard error of the "
        f"frequency shown {error:.4f})",
    )
