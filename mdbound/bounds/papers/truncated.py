"""Importance sampling of Khisti et al. with a truncated program: one light match per extra draft.

The first step of their two-step scheme picks one of the drafted tokens; the optimal rule needs a
linear program over every pair of tokens. Truncation keeps only the pairs inside a short list of
contenders and decides every other pair by rank, so a match costs one sort of the vocabulary. More
than two drafts play a tournament: the winner so far meets the next draft.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.summation import suffix_sums
from mdbound.bounds.papers.match_balance import along_paths, balance
from mdbound.bounds.problem.any_array import num_dimensions
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.problem.checks import check_distribution, check_num_drafts
from mdbound.errors import InvalidDistributionError, InvalidSettingError, UnsolvedError

BALANCE_GAP = 1e-12
"""A match is solved when its acceptance is within this of the truncated program's optimum: what is
promised. Sweeps usually end far below it, see `match_balance.SETTLED`."""

MAX_SWEEPS = 20_000
"""Sweeps over all pairs before a match is given up; usual matches take one to three. More would
solve some of many contenders that now raise, and wait longer for the others."""


MAX_ROUNDS = 50
"""Rounds of exchanges along paths of pairs, where sweeps end above `BALANCE_GAP`; one or two are
usual. More would wait longer before a match is given up."""


@dataclass(frozen=True)
class Match:
    """One match of the tournament: incumbent against challenger, decided by rank or by weight.

    Attributes:
        rank: shape (V,), the rank of each token in p - q1 q2, 0 for the largest.
        keep: shape (s, s), by rank: probability that the first of two distinct contenders wins,
            whichever of them was drafted first. keep[a, b] + keep[b, a] = 1 off the diagonal.
        winner: shape (V,), the law of the winner; sums to 1.
        gap: bound on how far its acceptance is below the truncated program's optimum.
    """

    rank: IntArray
    keep: FloatArray
    winner: FloatArray
    gap: float

    def keep_probability(self, incumbent: int, challenger: int) -> float:
        """Probability that the incumbent token wins; 1 where both are the same token."""
        first, second = int(self.rank[incumbent]), int(self.rank[challenger])
        if max(first, second) < len(self.keep):
            return float(self.keep[first, second])
        return float(first <= second)


@dataclass(frozen=True)
class TruncatedSelection:
    """A selection rule of Khisti et al., section 4: the matches and what they achieve.

    Attributes:
        matches: one for each draft after the first.
        selected: shape (V,), the law p_I of the selected token.
        acceptance: sum of min(p, p_I): probability that speculative sampling against p_I accepts
            the selected token. A lower bound of the optimal acceptance.
    """

    matches: tuple[Match, ...]
    selected: FloatArray
    acceptance: float

    def selection_probabilities(self, drafted: Sequence[int]) -> dict[int, float]:
        """Law of the selected token given the drafted tokens, in the order they were drafted.

        Args:
            drafted: one token per draft, as many as the rule was built for.

        Returns:
            A probability for each distinct drafted token; they sum to 1.

        Raises:
            InvalidSettingError: another number of tokens, or a token outside the vocabulary.

        Example:
            >>> rule = truncated_selection([0.8, 0.2], [0.5, 0.5], 2, contenders=1)
            >>> rule.selection_probabilities([1, 0])
            {1: 0.0, 0: 1.0}
        """
        if len(drafted) != len(self.matches) + 1:
            raise InvalidSettingError(
                f"{len(drafted)} drafted tokens given: this rule is for {len(self.matches) + 1}"
            )
        for token in drafted:
            if not 0 <= token < len(self.selected):
                raise InvalidSettingError(
                    f"drafted token {token} is outside the vocabulary of {len(self.selected)}"
                )
        law = {int(drafted[0]): 1.0}
        for match, challenger in zip(self.matches, drafted[1:], strict=True):
            lost = 0.0
            for incumbent, probability in law.items():
                keep = match.keep_probability(incumbent, challenger)
                lost += probability * (1.0 - keep)
                law[incumbent] = probability * keep
            law[int(challenger)] = law.get(int(challenger), 0.0) + lost
        return law


def truncated_selection(
    target: npt.ArrayLike,
    draft: npt.ArrayLike,
    num_drafts: int,
    contenders: int = 5,
) -> TruncatedSelection:
    """Selection rule of Khisti et al. with the truncated linear program, at full vocabulary.

    Section 4 and Algorithm 2 of Khisti et al. (2025, arXiv 2410.18234), whose target is q, draft p
    and threshold s. Tokens are ranked by p - q1 q2, largest first. A pair of contenders (the best
    `contenders` ranks) is decided by the weights of a linear program, any other pair by rank. For
    two identical drafts the loss against the optimum is at most the sum of (p - q^2)+ over the
    tokens that are no contenders.

    The program's optimum fixes the acceptance of a match but not the winner's law, on which later
    matches depend. The law taken here is the one optimum that also minimises sum of p_I^2 / p over
    the contenders: it is unique, and it is optimal for the linear program because winner laws form
    a base polytope, on which one point minimises every sum of p phi(p_I / p) with convex phi.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,), for i.i.d. drafts; or n such arrays for independent drafts.
        num_drafts: n, at least 1.
        contenders: s, how many tokens enter the linear program; V or more gives the whole program.

    Raises:
        InvalidDistributionError: target or a draft is no distribution, or the sizes differ.
        InvalidSettingError: `num_drafts` or `contenders` below 1.
        UnsolvedError: a match did not reach `BALANCE_GAP`.

    Example:
        >>> rule = truncated_selection([0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3], 2, contenders=3)
        >>> rule.selected.round(6).tolist(), round(rule.acceptance, 6)
        ([0.5, 0.3, 0.2], 1.0)
    """
    num_drafts = check_num_drafts(num_drafts)
    contenders = check_num_drafts(contenders, "contenders")
    p = check_distribution(target, "target")
    drafts = _draft_rows(draft, num_drafts)
    if len(p) != 1 or drafts.shape[1] != p.shape[1]:
        raise InvalidDistributionError(
            f"target has shape {np.shape(target)} and draft {np.shape(draft)}: "
            "give one position, target (V,) and draft (V,) or n drafts of (V,)"
        )
    winner = drafts[0]
    matches: list[Match] = []
    order: IntArray | None = None
    for challenger in drafts[1:]:
        order = _ranking(p[0] - winner * challenger, order)
        matches.append(_play(p[0], winner, challenger, order, contenders))
        winner = matches[-1].winner
    return TruncatedSelection(tuple(matches), winner, float(np.minimum(p[0], winner).sum()))


def truncated_alphabet(draft: npt.ArrayLike, size: int) -> FloatArray:
    """Draft distribution restricted to its `size` most likely tokens and renormalised.

    The truncated alphabet of Khisti et al., section 4 (their Omega_0): drafts are drawn from the
    short alphabet alone, so every rule and bound applies with this law in place of q, and bounds
    belong to this law, not to q. Ties go to the lower token id.

    Args:
        draft: q, shape (V,).
        size: how many tokens stay; V or more keeps them all.

    Raises:
        InvalidDistributionError: `draft` is no distribution.
        InvalidSettingError: `size` below 1.

    Example:
        >>> truncated_alphabet([0.5, 0.25, 0.25], 2).round(6).tolist()
        [0.666667, 0.333333, 0.0]
    """
    size = check_num_drafts(size, "size")
    q = check_distribution(draft, "draft")[0]
    kept = np.argsort(-q, kind="stable")[:size]
    restricted: FloatArray = np.zeros_like(q)
    restricted[kept] = q[kept] / q[kept].sum()
    return restricted


def _draft_rows(draft: npt.ArrayLike, num_drafts: int) -> FloatArray:
    rows = check_distribution(draft, "draft")
    if len(rows) == 1 and num_dimensions(draft) == 1:
        return np.broadcast_to(rows, (num_drafts, rows.shape[1]))
    if len(rows) != num_drafts:
        raise InvalidSettingError(
            f"{len(rows)} draft distributions given for num_drafts {num_drafts}: "
            "give one per draft, or a single (V,) array for i.i.d. drafts"
        )
    return rows


def _ranking(key: FloatArray, before: IntArray | None) -> IntArray:
    """Tokens by key, largest first, equal ones by id.

    From the ranking of the match before, which differs in few places: a sort that takes runs as
    they are is several times as fast on it as on the vocabulary.
    """
    order = np.argsort(-key) if before is None else before[np.argsort(-key[before], kind="stable")]
    ranked = key[order]
    equal = ranked[1:] == ranked[:-1]
    if equal.any():
        tied = np.append(equal, False) | np.append(False, equal)
        places = np.flatnonzero(tied)
        order[places] = order[places][np.lexsort((order[places], -ranked[places]))]
    return np.asarray(order)


def _play(p: FloatArray, q1: FloatArray, q2: FloatArray, order: IntArray, contenders: int) -> Match:
    rank = np.empty(len(p), dtype=np.int64)
    rank[order] = np.arange(len(p))
    first, second = q1[order], q2[order]
    worse_first, worse_second = suffix_sums(first)[1:], suffix_sums(second)[1:]
    law = first * (second + worse_second) + second * worse_first
    s = min(contenders, len(p))
    a, b = first[:s], second[:s]
    capacity = np.outer(a, b) + np.outer(b, a)
    np.fill_diagonal(capacity, 0.0)
    # What the rank rule gives a contender against everything but the other contenders.
    fixed = a * (b + worse_second[s - 1]) + b * worse_first[s - 1]
    flow, gap = balance(p[order[:s]], fixed, capacity, MAX_SWEEPS)
    rounds = 0
    while gap > BALANCE_GAP and rounds < MAX_ROUNDS:
        # Tokens of tiny p hardly move in a sweep, and what has to pass through them is stuck.
        flow, gap = along_paths(p[order[:s]], fixed, flow)
        rounds += 1
    if gap > BALANCE_GAP:
        raise UnsolvedError(
            f"a match of {s} contenders is {gap:.3g} from its optimum after {MAX_SWEEPS} sweeps; "
            "take fewer contenders"
        )
    law[:s] = fixed + flow.sum(axis=1)
    keep = np.divide(flow, capacity, out=np.tri(s).T, where=capacity > 0.0)
    np.fill_diagonal(keep, 1.0)
    winner = np.empty_like(law)
    winner[order] = law
    return Match(rank, keep, winner, gap)
