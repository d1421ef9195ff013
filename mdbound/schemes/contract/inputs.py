"""Checks of what a scheme is asked for; kernels behind them never validate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.problem.checks import check_num_drafts, check_pair, repeat_rows
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from mdbound.schemes.contract.facts import SchemeFacts, fitting

Drafts: TypeAlias = npt.ArrayLike | Sequence[FloatArray]


class Problem(NamedTuple):
    """Checked rows: `target` (B, V), `drafts` one (B, V) array, or one per draft."""

    target: FloatArray
    drafts: list[FloatArray]
    num_drafts: int
    identical: bool
    single: bool


def check_pair_problem(target: npt.ArrayLike, draft: npt.ArrayLike, num_drafts: int) -> Problem:
    """Check a target and one draft distribution for a whole range of numbers of drafts."""
    count = check_num_drafts(num_drafts)
    single = np.ndim(target) == 1 and np.ndim(draft) == 1
    p, q = check_pair(target, draft)
    return Problem(p, [q], count, identical=True, single=single)


def check_problem(
    facts: SchemeFacts, target: npt.ArrayLike, draft: Drafts, num_drafts: int
) -> Problem:
    """Check everything that `Scheme.acceptance` is given.

    A list or tuple of numpy arrays is one distribution per draft; anything else is one
    distribution (or a batch of them) that all drafts share.
    """
    count = check_num_drafts(num_drafts)
    if not facts.supports(count):
        raise InvalidSettingError(_does_not_fit(facts, count))
    if not _is_one_per_draft(draft):
        return check_pair_problem(target, draft, count)
    if len(draft) != count:
        raise InvalidSettingError(
            f"{len(draft)} draft distributions for num_drafts = {count}: "
            "give one per draft, or a single array shared by all (for a batch, a 2-D array)"
        )
    return _check_one_per_draft(facts, target, list(draft), count)


def _is_one_per_draft(draft: Drafts) -> TypeGuard[Sequence[FloatArray]]:
    return (
        isinstance(draft, list | tuple)
        and len(draft) > 0
        and all(isinstance(q, np.ndarray) and q.ndim >= 1 for q in draft)
    )


def _check_one_per_draft(
    facts: SchemeFacts, target: npt.ArrayLike, drafts: list[FloatArray], count: int
) -> Problem:
    single = np.ndim(target) == 1 and all(np.ndim(q) == 1 for q in drafts)
    pairs = [check_pair(target, q) for q in drafts]
    batch = max(len(p) for p, _ in pairs)
    if any(len(p) not in (1, batch) for p, _ in pairs):
        raise InvalidDistributionError(
            f"the drafts have {', '.join(str(len(q)) for _, q in pairs)} rows: "
            "give the same number of rows for each draft"
        )
    p = repeat_rows(pairs[0][0], batch)
    rows = [repeat_rows(q, batch) for _, q in pairs]
    if all(np.array_equal(q, rows[0]) for q in rows[1:]):
        return Problem(p, rows[:1], count, identical=True, single=single)
    if facts.identical_only:
        raise InvalidSettingError(_needs_identical(facts, rows))
    return Problem(p, rows, count, identical=False, single=single)


def _does_not_fit(facts: SchemeFacts, count: int) -> str:
    return (
        f"scheme {facts.name!r} takes {facts.numbers} drafts, not {count}; "
        f"schemes for {count} drafts are {', '.join(fitting(count))}"
    )


def _needs_identical(facts: SchemeFacts, rows: list[FloatArray]) -> str:
    other = next(k for k, q in enumerate(rows) if not np.array_equal(q, rows[0]))
    row = int(np.flatnonzero((rows[other] != rows[0]).any(axis=1))[0])
    fits = ", ".join(fitting(len(rows), identical=False))
    return (
        f"scheme {facts.name!r} needs identical drafts, but drafts 0 and {other} differ "
        f"(row {row}); schemes for different drafts are {fits}"
    )


def check_single_problem(
    facts: SchemeFacts, target: npt.ArrayLike, draft: Drafts, num_drafts: int
) -> Problem:
    """As `check_problem`, for calls that work at one position."""
    problem = check_problem(facts, target, draft, num_drafts)
    if len(problem.target) != 1:
        raise InvalidDistributionError(
            f"{len(problem.target)} rows given: sampling and branch probabilities take one "
            "position at a time, so pass one row"
        )
    return problem


def check_output_tokens(problem: Problem, token: npt.ArrayLike) -> IntArray:
    """One token a row that the target can put out, shape (B,).

    Raises:
        InvalidSettingError: no whole numbers, not one a row, or no token of the vocabulary.
        InvalidDistributionError: a token of probability 0 in its row, which is never the output.

    Example:
        >>> check_output_tokens(check_pair_problem([1.0, 0.0], [0.5, 0.5], 2), 0).tolist()
        [0]
    """
    rows, vocab_size = problem.target.shape
    tokens = np.asarray(token)
    if tokens.dtype.kind not in "iu" or tokens.shape not in ((), (rows,)):
        raise InvalidSettingError(
            f"`token` has shape {tokens.shape} and type {tokens.dtype}: give one token id for each "
            f"of {rows} rows"
        )
    tokens = np.broadcast_to(tokens, (rows,)).astype(np.int64)
    outside = np.flatnonzero((tokens < 0) | (tokens >= vocab_size))
    if len(outside):
        row = int(outside[0])
        raise InvalidSettingError(
            f"`token` is {tokens[row]} in row {row}: give token ids from 0 to {vocab_size - 1}"
        )
    never = np.flatnonzero(problem.target[np.arange(rows), tokens] == 0.0)
    if len(never):
        row = int(never[0])
        raise InvalidDistributionError(
            f"`token` {tokens[row]} in row {row} has target probability 0, so it is never the "
            "output: check temperature, top_k and top_p of the run that wrote the text"
        )
    return tokens


def check_size(size: int) -> None:
    """Refuse a number of runs below 1."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InvalidSettingError(f"size is {size!r}: give a whole number of runs, 1 or more")


def check_tokens(drafted: Sequence[int], vocab_size: int) -> tuple[int, ...]:
    """The drafted tokens as ints, after refusing what is no token of the vocabulary."""
    for slot, token in enumerate(drafted):
        if not isinstance(token, int | np.integer) or not 0 <= token < vocab_size:
            raise InvalidSettingError(
                f"drafted[{slot}] is {token!r}: give token ids from 0 to {vocab_size - 1}"
            )
    return tuple(int(token) for token in drafted)
