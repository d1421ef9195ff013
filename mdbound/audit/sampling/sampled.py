"""Audits of rules that can only be run: outcomes are drawn, and tested against the target's law."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from mdbound.audit.calls import call, rows_for
from mdbound.audit.exact.path import drafted_paths, most_accepted
from mdbound.audit.exact.position import position_given
from mdbound.audit.exact.simpler_models import given_models
from mdbound.audit.problems.models import ModelProblem, Rows, path_problems, tree_problems
from mdbound.audit.problems.positions import INDEPENDENT, PositionProblem, position_problems
from mdbound.audit.report import AuditReport, ProblemResult, Witness
from mdbound.audit.sampling.evidence import LEVEL, RUNS, Draws, alarm_at, draw_until
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.errors import AuditError, InvalidSettingError
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, TreeLaw

Announce: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class _Trial:
    """One problem, ready to be drawn from.

    Attributes:
        name: of the problem.
        law: of the outcomes under the target, (k,).
        run: one run: the outcome, and the drafted tokens that were put out.
        outcome: an outcome in words.
        bound: the most that a lossless rule accepts.
        given: the problem, ready for JSON.
    """

    name: str
    law: FloatArray
    run: Callable[[np.random.Generator], tuple[int, int]]
    outcome: Callable[[int], str]
    bound: float | None
    given: Mapping[str, Any]


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
    trials = (_position_trial(sampler, problem) for problem in chosen)
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
    trials = (_path_trial(sampler, problem) for problem in chosen)
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
    trials = (_tree_trial(sampler, law, problem) for problem in chosen)
    return _audit(trials, len(chosen), seed, runs, level, announce)


def _audit(
    trials: Iterable[_Trial],
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

        def draw(size: int, trial: _Trial = trial, rng: np.random.Generator = rng) -> IntArray:
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


def _result(trial: _Trial, draws: Draws, hits: int) -> ProblemResult:
    frequencies = draws.counts / draws.runs
    gap = float(np.abs(frequencies - trial.law).sum()) / 2
    return ProblemResult(trial.name, gap, hits / draws.runs, trial.bound, draws.runs)


def _witness(trial: _Trial, draws: Draws) -> Witness:
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


def _position_trial(sampler: Callable[..., Any], problem: PositionProblem) -> _Trial:
    size = len(problem.target)
    target = rows_for(problem.target, "float")
    drafts = [rows_for(row, "float") for row in problem.drafts]
    draft = drafts if problem.sampling == INDEPENDENT else drafts[0]
    lists = [drafted for drafted, _ in problem.lists]
    upto = np.cumsum([float(mass) for _, mass in problem.lists])

    def run(rng: np.random.Generator) -> tuple[int, int]:
        drafted = lists[_drawn(upto, rng)]
        where = f"{problem.name}, drafted {drafted}"
        token = _token(call(sampler, (target, draft, drafted, rng), where), size, where)
        return token, int(token in drafted)

    return _Trial(
        problem.name,
        np.array([float(mass) for mass in problem.target]),
        run,
        lambda token: f"token {token}",
        float(problem.bound),
        position_given(problem),
    )


def _path_trial(sampler: Callable[..., Any], problem: ModelProblem) -> _Trial:
    target, draft = (_float_rows(rows) for rows in (problem.target, problem.draft))
    found = list(drafted_paths(problem))
    paths = [path for path, _ in found]
    upto = np.cumsum([float(mass) for _, mass in found])

    def run(rng: np.random.Generator) -> tuple[int, int]:
        path = paths[_drawn(upto, rng)]
        prefixes = [path[:end] for end in range(len(path) + 1)]
        p, q = (
            np.stack([rows[each] for each in part])
            for rows, part in ((target, prefixes), (draft, prefixes[:-1]))
        )
        where = f"{problem.name}, path {path}"
        length, token = _pair(call(sampler, (p, q, path, rng), where), where)
        if not isinstance(length, int | np.integer) or not 0 <= length <= len(path):
            raise AuditError(f"the sampler accepted {length!r} of {len(path)} tokens ({where})")
        token = _token(token, problem.vocab_size, where)
        again = length < len(path) and token == path[length]
        return _text(target, problem, (*path[:length], token), rng), int(length) + int(again)

    return _text_trial(problem, run, float(most_accepted(problem)))


def _tree_trial(sampler: Callable[..., Any], law: TreeLaw, problem: ModelProblem) -> _Trial:
    target, draft = (_float_rows(rows) for rows in (problem.target, problem.draft))
    found = [(tree, float(mass)) for tree, mass in law.trees(problem.draft) if mass > 0]
    nodes = [{(), *tree.nodes()} for tree, _ in found]
    upto = np.cumsum([mass for _, mass in found])

    def run(rng: np.random.Generator) -> tuple[int, int]:
        number = _drawn(upto, rng)
        tree = found[number][0]
        where = f"{problem.name}, tree {tree.drafted}"
        node, token = _pair(call(sampler, (target, draft, tree, rng), where), where)
        if node not in nodes[number]:
            raise AuditError(f"the sampler accepted {node!r}, which is no node ({where})")
        token = _token(token, problem.vocab_size, where)
        again = (*node, token) in nodes[number]
        return _text(target, problem, (*node, token), rng), len(node) + again

    return _text_trial(problem, run, None)


def _text_trial(
    problem: ModelProblem,
    run: Callable[[np.random.Generator], tuple[int, int]],
    bound: float | None,
) -> _Trial:
    size, depth = problem.vocab_size, problem.length + 1
    law = np.ones(1)
    prefixes: list[Prefix] = [()]
    for _ in range(depth):
        rows = [[float(mass) for mass in problem.target[prefix]] for prefix in prefixes]
        law = (law[:, None] * np.array(rows)).ravel()
        prefixes = [(*prefix, token) for prefix in prefixes for token in range(size)]

    def words(outcome: int) -> str:
        return f"text {' '.join(map(str, prefixes[outcome]))}"

    return _Trial(problem.name, law, run, words, bound, given_models(problem))


def _text(
    target: Mapping[Prefix, FloatArray],
    problem: ModelProblem,
    block: Prefix,
    rng: np.random.Generator,
) -> int:
    """The number of the text of L + 1 tokens that begins with a block."""
    text = block
    while len(text) <= problem.length:
        text = (*text, _drawn(np.cumsum(target[text]), rng))
    number = 0
    for token in text:
        number = number * problem.vocab_size + token
    return number


def _drawn(upto: FloatArray, rng: np.random.Generator) -> int:
    """A place in a law, given its running sums."""
    return int(np.searchsorted(upto, rng.random() * upto[-1], side="right"))


def _float_rows(rows: Rows) -> dict[Prefix, FloatArray]:
    return {prefix: rows_for(row, "float") for prefix, row in rows.items()}


def _token(found: Any, size: int, where: str) -> int:
    try:
        token = int(found)
    except (TypeError, ValueError):
        token = -1
    if token != found or not 0 <= token < size:
        raise AuditError(
            f"the sampler answered {found!r} ({where}): answer with a token from 0 to {size - 1}"
        )
    return token


def _pair(found: Any, where: str) -> tuple[Any, Any]:
    try:
        first, second = found
    except (TypeError, ValueError):
        raise AuditError(
            f"the sampler answered {found!r} ({where}): answer with what is accepted and the token "
            "that follows it"
        ) from None
    return first, second
