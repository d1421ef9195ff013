"""Quantile-score selection from text of the target: no path is drafted.

P(tau >= l | text) of the selected path is block verification's running minimum with g in place of
q, and g is filtered from the rows along the text alone. Of a row it needs the draft mass of the
classes of log(p/q), and the class of the text's token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.problem.checks import check_num_drafts
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from mdbound.paths.checks import check_draft_length, check_text
from mdbound.trees.verifiers.quantile.class_masses import ClassMasses
from mdbound.trees.verifiers.quantile.items import RoundedRatios
from mdbound.trees.verifiers.quantile.offsets import default_share, gaussian_bins

Tables: TypeAlias = npt.NDArray[np.int16]
"""Counts of classes, which are few."""


@kernel
def _interval_starts(
    prefix: FloatArray, table: Tables, bins: int, own: int, lows: FloatArray
) -> None:
    # Of bin k's items those that rank before (own, j) are the first table[own, j, k] classes.
    for j in range(bins):
        total = 0.0
        for k in range(bins):
            total += prefix[table[own, j, k]]
        lows[j] = total / bins


@kernel
def _root(low: float, width: float, num_paths: int) -> float:
    # upper^K - lower^K without cancellation.
    upper = low + width
    total, powers = 0.0, 1.0
    for _ in range(num_paths):
        total = total * low + powers
        powers *= upper
    return width * total


@kernel
def _inside(low: float, width: float, pieces: FloatArray, bins: int) -> float:
    begin, end = low * bins, (low + width) * bins
    total = 0.0
    for place in range(min(int(begin), bins - 1), min(int(end), bins - 1) + 1):
        share = min(end, place + 1.0) - max(begin, float(place))
        total += max(share, 0.0) * pieces[place]
    return total


@kernel
def _tails(
    target: FloatArray,
    draft: FloatArray,
    prefix: FloatArray,
    masses: FloatArray,
    token_class: IntArray,
    tables: Tables,
    bins: IntArray,
    num_paths: int,
    tail: FloatArray,
) -> None:
    tokens, length = tail.shape
    widest = tables.shape[2]
    lows, found, pieces = np.empty(widest), np.empty(widest), np.empty(widest)
    for start in range(tokens):
        running = least = 0.0
        for depth in range(min(length, tokens - start)):
            at = start + depth
            own, count = token_class[at], bins[depth]
            mass = masses[at, own]
            if not (mass > 0.0 and draft[at] > -math.inf):
                break
            _interval_starts(prefix[at], tables[depth], count, own, lows)
            total = 0.0
            for j in range(count):
                if depth == 0:
                    found[j] = _root(lows[j], mass / count, num_paths)
                else:
                    found[j] = _inside(lows[j], mass / count, pieces, bins[depth - 1])
                total += found[j]
            if not total > 0.0:
                break
            for j in range(count):
                pieces[j] = found[j] / total
            running += math.log(total / mass) + draft[at] - target[at]
            least = min(least, running)
            tail[start, depth] = math.exp(least)


def quantile_text_tail(
    target_logprob: npt.ArrayLike,
    draft_logprob: npt.ArrayLike,
    classes: ClassMasses,
    draft_length: int,
    num_paths: int,
    *,
    bins: Sequence[Sequence[float]] | None = None,
    step: float = 0.05,
    document: str | None = None,
) -> FloatArray:
    """P(tau >= l | text) of quantile-score selection, for calls that start at each token.

    Args:
        target_logprob: log p of the text's tokens, (N,).
        draft_logprob: log q, (N,); -inf where the draft cannot give one.
        classes: `class_masses` of the text's rows, at the same step.
        draft_length: L.
        num_paths: K.
        bins: multipliers e^h of the bins at each depth; None as the verifier has it.
        step: of the classes.
        document: the text's name, for messages.

    Returns:
        Shape (N, L), 0 beyond the end of the text. The rule is stateless, so that
        `paths.call_starts` of it counts calls.

    Raises:
        InvalidDistributionError: values that are no log-probabilities, or classes of another text.
        InvalidSettingError: L or K below 1, a step out of range, or bins of another length.

    Source: `docs/quantile-selection.md`, theorem Q1 and its corollary for text.

    Example:
        >>> from mdbound.trees.verifiers.quantile.class_masses import class_masses
        >>> p, q = np.array([[0.5, 0.5]] * 2), np.array([[0.25, 0.75]] * 2)
        >>> tail = quantile_text_tail(
        ...     np.log([0.5, 0.5]), np.log([0.25, 0.25]), class_masses(p, q, [0, 0]), 1, 1)
        >>> tail.round(6).tolist()
        [[0.5], [0.5]]
    """
    target, draft = check_text(target_logprob, draft_logprob, document)
    length, paths = check_draft_length(draft_length), check_num_drafts(num_paths, "num_paths")
    made = gaussian_bins(length, default_share(paths)) if bins is None else bins
    if len(made) != length:
        raise InvalidSettingError(
            f"`bins` are for paths of {len(made)} tokens, and `draft_length` is {length}: give "
            "multipliers for every depth"
        )
    scores = RoundedRatios(step).scores
    if classes.masses.shape != (len(target), len(scores)):
        raise InvalidDistributionError(
            f"`classes` has masses of shape {classes.masses.shape}: {len(target)} tokens at step "
            f"{step:g} need {(len(target), len(scores))}"
        )
    tables, counts = _tables(scores, made)
    normalised = classes.masses / classes.masses.sum(axis=1, keepdims=True)
    prefix = np.zeros((len(target), len(scores) + 1))
    np.cumsum(normalised, axis=1, out=prefix[:, 1:])
    tail = np.zeros((len(target), length))
    _tails(
        *(target, draft, prefix, normalised, classes.token_class),
        *(tables, counts, paths, tail),
    )
    return tail


def _tables(scores: FloatArray, bins: Sequence[Sequence[float]]) -> tuple[Tables, IntArray]:
    """For each depth, class and bin: how many classes of every bin rank before it."""
    counts = np.array([len(each) for each in bins], dtype=np.int64)
    tables = np.zeros((len(bins), len(scores), counts.max(), counts.max()), dtype=np.int16)
    for depth, each in enumerate(bins):
        found = _ranked_before(tuple(scores.tolist()), tuple(map(float, each)))
        tables[depth, :, : len(each), : len(each)] = found
    return tables, counts


@lru_cache(maxsize=128)  # 100 kB each; every document of a run asks for the same few dozen
def _ranked_before(scores: tuple[float, ...], multipliers: tuple[float, ...]) -> Tables:
    """(C, N, N): of bin k the classes that rank before (c, j), as `items_of` sorts them."""
    table = (np.array(scores)[:, None] * np.array(multipliers)[None, :]).ravel()
    rank = np.empty(len(table), dtype=np.int64)
    rank[np.argsort(table, kind="stable")] = np.arange(len(table))
    ranks = rank.reshape(len(scores), len(multipliers))
    columns = [np.searchsorted(ranks[:, k], ranks) for k in range(len(multipliers))]
    return np.stack(columns, axis=-1).astype(np.int16)
