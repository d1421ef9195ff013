"""Gumbel-coupled list sampling: drafts and output read the same exponential clocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.gumbel_quadrature import (
    level_nodes,
    list_acceptance,
    quiet_probabilities,
    total_rates,
)
from mdbound.schemes.rates.sorted_residual import SortedResidual, sort_residual

_CLOCKS_AT_ONCE = 1 << 22
"""Clocks drawn in one call of the generator, 32 MiB: fewer calls against memory."""


@register
class GumbelList(Scheme):
    """Draft k is argmin S_i^k / q_i, the output argmin of (min over k of S_i^k) / p_i.

    All S_i^k are independent Exp(1), so drafts are independent draws of q and the output follows
    p, whatever the other distribution is: the drafter needs no knowledge of p. Acceptance is the
    one event that the output is among the drafts. One draft is Gumbel-coupled speculative sampling.

    Exact by a one-dimensional integral, O(V log V) plus O(V) for each of about 90 nodes, with an
    error of about 1e-13; all numbers of drafts share the nodes. Sampling costs V clocks per draft.

    Source: as described by Daliri et al. 2025 (one draft) and the list-level coupling that extends
    it to several; the integral is derived in `mdbound.schemes.rates.gumbel_quadrature`.

    Example:
        >>> round(GumbelList().acceptance([0.5, 0.5], [0.75, 0.25], 1).membership, 9)
        0.75
    """

    name = "gumbel_list"
    table_order = 90
    softmaxes = 130.0
    sampling = "with_replacement"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        row = sort_residual(p, q)
        numbers = np.array(counts, dtype=np.int64)
        return exact_rates(list_acceptance(row, numbers, level_nodes(min(counts))))

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        q, n = drafts[0], len(drafts)
        drafted = np.empty((size, n), dtype=np.int64)
        output = np.empty(size, dtype=np.int64)
        chunk = max(1, _CLOCKS_AT_ONCE // (n * len(p)))
        for start in range(0, size, chunk):
            part = slice(start, min(start + chunk, size))
            clocks = rng.standard_exponential((part.stop - start, n, len(p)))
            with np.errstate(divide="ignore", over="ignore"):
                drafted[part] = (clocks / q).argmin(axis=2)
                output[part] = (clocks.min(axis=1) / p).argmin(axis=1)
        return Samples(drafted, output, np.asarray((drafted == output[:, None]).any(axis=1)))

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        return self._rings(p, drafts[0], drafted, range(len(p)))

    def _branches(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> dict[int, float]:
        # Of the drafted tokens alone: the whole vocabulary would take V times the memory.
        tokens = list(dict.fromkeys(drafted))
        return dict(zip(tokens, self._rings(p, drafts[0], drafted, tokens).tolist(), strict=True))

    def _rings(
        self, p: FloatArray, q: FloatArray, drafted: Sequence[int], tokens: Sequence[int]
    ) -> FloatArray:
        """P(output = token | drafted), for each of some tokens."""
        row = sort_residual(p, q)
        ranks = _rank_of(row, drafted)
        rates = total_rates(row)[ranks]
        levels, weights = level_nodes(len(drafted), float(rates.max()))
        quiet = quiet_probabilities(row, ranks, levels)  # (levels, n)
        # A token that no stream can draft never held a stream back.
        later = np.zeros((len(levels), len(tokens)))
        can_be_drafted = q[np.asarray(tokens)] > 0.0
        of_tokens = _rank_of(row, np.asarray(tokens)[can_be_drafted])
        later[:, can_be_drafted] = quiet_probabilities(row, of_tokens, levels)
        found = np.empty(len(tokens))
        for place, token in enumerate(tokens):
            # Each stream in turn rings the output, while the others stay quiet.
            density = np.zeros(len(levels))
            for k, other in enumerate(drafted):
                if other == token:
                    ring = row.ratio[ranks[k]] * np.exp(-levels * rates[k])
                else:
                    ring = p[token] * np.maximum(quiet[:, k] - later[:, place], 0.0)
                density += ring * np.delete(quiet, k, axis=1).prod(axis=1)
            found[place] = np.sum(weights * density)
        return found


def _rank_of(row: SortedResidual, drafted: npt.ArrayLike) -> IntArray:
    order = np.argsort(row.token)
    found = np.searchsorted(row.token, np.asarray(drafted, dtype=np.int64), sorter=order)
    return np.asarray(order[found])
