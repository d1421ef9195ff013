"""Drafts without replacement as torch operations: closed forms for two drafts, then a search.

For n >= 3 F_n of a prefix is an integral (`device.clocks`), so only some prefixes
are evaluated. Along the order q/p descending F_n is convex in q(H) (Hu et al. 2025), hence at most
its chord between two evaluated prefixes, while p(H) is known everywhere: p(H) minus the chord
bounds the objective from below. That bound is convex in q(H), and smallest where p/q passes the
slope of the chord: one binary search. Where it could beat the best prefix, the prefix it points to
is evaluated next, for all rows and all n together, until nothing is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mdbound.bounds.device.clocks import ClockNodes, ClockRows, clock_nodes
from mdbound.bounds.device.prefixes import RankedRows, join_drafts
from mdbound.bounds.device.sums import Tensor, prefix_error, prefix_sums
from mdbound.bounds.numerics.fused_softmax import mass_error
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF
from mdbound.bounds.numerics.tolerances import INTEGRAL_ERROR, SAME_OBJECTIVE
from mdbound.bounds.problem.solution import AcceptanceCurve

SEARCH_TOLERANCE = 1e-14
"""Prefixes that cannot beat the best one by more than this are passed over. Above that of the
kernels: a round more for all rows costs more than the last digit is worth."""

TABLE_ENTRIES = 2**25
"""Numbers tabulated at a time for the heavy tokens: 256 MiB."""

_FIRST_POINTS = 8
"""Prefixes evaluated before any bound is known: fewer, and more rounds follow; more are wasted."""


def without_replacement(p: Tensor, drafts: Sequence[Tensor], max_drafts: int) -> AcceptanceCurve:
    """Acceptance of checked rows for n = 1..max_drafts draws without replacement.

    Args:
        p: target rows (B, V), float64.
        drafts: the draft rows (B, V).
        max_drafts: N, at least 1.

    Example:
        >>> p = torch.tensor([[0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)
        >>> curve = without_replacement(p, [p.flip(1)], 4)
        >>> curve.acceptance.round(decimals=6).tolist()
        [[0.6, 0.834524, 1.0, 1.0]]
    """
    ranked = RankedRows(p, drafts[0])
    rates = ranked.q / ranked.q_mass[:, -1:]
    # Two sums that decide F_1, and for F_2 products of such sums, all of them at most 2.
    error = (12.0 * prefix_error(p.shape[1]) + 40.0) * UNIT_ROUNDOFF
    closed = [prefix_sums(rates), _pairs_contained(rates)]
    all_tokens = ranked.tokens == ranked.tokens[:, -1:]
    solved = []
    for n in range(1, min(max_drafts, 2) + 1):
        # All that can be drafted holds all drafts, and fewer than n tokens never do.
        value = torch.where(ranked.tokens < n, 0.0, closed[n - 1])
        solved.append(ranked.minimum(torch.where(all_tokens, 1.0, value), error))
    if max_drafts > 2:
        solved.append(_more_drafts(ranked, rates, max_drafts))
    return join_drafts(solved)


def softmax_error(drafts: Sequence[Tensor], max_drafts: int) -> Tensor:
    """Rounding of probabilities from logits, as in `laws.without_replacement.law`, (B, N).

    Example:
        >>> error = softmax_error([torch.full((1, 100), 0.01, dtype=torch.float64)], 8)
        >>> bool((error < 1e-13).all())
        True
    """
    q = drafts[0]
    least = torch.where(q > 0.0, q, 1.0).amin(dim=1, keepdim=True)
    draws = torch.arange(1, max_drafts + 1, device=q.device) * (10.0 - 2.0 * least.log())
    return UNIT_ROUNDOFF * (mass_error(q.shape[1]) + draws)


def _pairs_contained(rates: Tensor) -> Tensor:
    """F_2 of every prefix, with the heaviest token kept apart.

    F_2 = sum over i in H of q_i (Q - q_i) / (1 - q_i), Q = q(H). Written with prefix sums this
    cancels to nothing when one token has nearly all the mass; for that one Q - q_i and 1 - q_i
    are sums over the others.
    """
    heaviest = rates.argmax(dim=1, keepdim=True)
    others = rates.scatter(1, heaviest, 0.0)
    odds = others / (1.0 - others)
    pairs = prefix_sums(rates) * prefix_sums(odds) - prefix_sums(others * odds)
    rest = prefix_sums(others)
    share = torch.where(rest[:, -1:] > 0.0, rest / rest[:, -1:], 0.0)
    place = torch.arange(pairs.shape[1], device=rates.device)
    pairs += torch.where(place > heaviest, rates.gather(1, heaviest) * share, 0.0)
    return pairs.clamp(min=0.0)


def _more_drafts(ranked: RankedRows, rates: Tensor, max_drafts: int) -> tuple[Tensor, ...]:
    """The columns of a curve for n = 3..N: rows of similar size are searched together."""
    nodes = clock_nodes(rates, max_drafts)
    needed = nodes.entries(max_drafts)
    order = needed.argsort()
    columns: list[tuple[Tensor, ...]] = []
    start = 0
    while start < len(order):
        # Ascending, so the last row of a group decides what each of its rows takes.
        together = torch.arange(1, len(order) - start + 1, device=order.device)
        sizes = needed[order[start:]] * together
        stop = start + max(1, int((sizes <= TABLE_ENTRIES).sum()))
        rows = order[start:stop]
        columns.append(_Search(ranked, rates, nodes, rows, max_drafts).columns())
        start = stop
    back = order.argsort()
    return tuple(torch.cat(list(column))[back] for column in zip(*columns, strict=True))


class _Search:
    """The smallest p(H) - F_n(H) of some rows for n = 3..N, by evaluating prefixes where needed."""

    def __init__(
        self, ranked: RankedRows, rates: Tensor, nodes: ClockNodes, rows: Tensor, max_drafts: int
    ) -> None:
        self._clocks = ClockRows(rates[rows], nodes.take(rows), max_drafts)
        self._ratio = ranked.ratio[rows].contiguous()
        self._p_mass, self._q_mass = ranked.p_mass[rows], ranked.q_mass[rows]
        self._tokens = ranked.tokens[rows, -1]  # all that can be drafted
        self._drafts = torch.arange(3, max_drafts + 1, device=rates.device)
        # Of p(H) and of F_n, see `ClockRows.contained`, in the best set and in one passed over.
        sums = (1.0 + self._drafts) * prefix_error(rates.shape[1])
        roundings = INTEGRAL_ERROR + UNIT_ROUNDOFF * (sums + 3.0 * nodes.heavy[rows, None])
        self._error = SEARCH_TOLERANCE + 2.0 * roundings  # (B, N - 2)

    def columns(self) -> tuple[Tensor, ...]:
        """Search, and give the columns of a curve."""
        shares = torch.linspace(0.0, 1.0, _FIRST_POINTS, device=self._ratio.device)[1:-1]
        wanted = (shares * self._q_mass[:, -1:]).contiguous()
        middle = torch.searchsorted(self._q_mass, wanted)
        middle = torch.minimum(middle, self._tokens[:, None])
        ends = torch.stack([torch.zeros_like(self._tokens), self._tokens], dim=1)
        size = torch.cat([ends[:, :1], middle, ends[:, 1:]], dim=1)  # ascending
        contained = self._contained(size)
        while True:
            cuts = self._cuts(size, contained)
            if cuts.shape[1] == 0:
                return self._best(size, contained)
            size, order = torch.cat([size, cuts], dim=1).sort(dim=1, stable=True)
            both = torch.cat([contained, self._contained(cuts)], dim=1)
            contained = both.gather(1, order[:, :, None].expand(-1, -1, len(self._drafts)))

    def _contained(self, size: Tensor) -> Tensor:
        """F_n of prefixes (B, M) of the rows for n = 3..N, (B, M, N - 2)."""
        open_ends = (size >= 3) & (size < self._tokens[:, None])
        rows, places = open_ends.nonzero(as_tuple=True)
        whole = (size == self._tokens[:, None]).double()
        found = whole[:, :, None].repeat(1, 1, len(self._drafts))
        value = self._clocks.contained(rows, size[rows, places])[:, 2:]
        # Fewer than n tokens never hold n drafts, unless they are all there is.
        enough = size[rows, places][:, None] >= self._drafts
        found[rows, places] = torch.where(enough, value.clamp(0.0, 1.0), 0.0)
        return found

    def _cuts(self, size: Tensor, contained: Tensor) -> Tensor:
        """Prefixes to evaluate next, (B, C); rows with fewer repeat the whole vocabulary."""
        p_mass = self._p_mass.gather(1, size)[:, :, None]
        outside = self._clocks.outside.gather(1, size)[:, :, None]
        best = (p_mass - contained).amin(dim=1, keepdim=True)
        a, b = size[:, :-1, None], size[:, 1:, None]
        low, high = contained[:, :-1], contained[:, 1:]
        span = outside[:, :-1] - outside[:, 1:]
        # No rounding leaves two prefixes of one mass with different F_n.
        slope = torch.where(span > 0.0, (high - low) / span, 0.0)
        cut = torch.searchsorted(self._ratio, slope.flatten(1)).reshape(slope.shape)
        inside = (cut > a) & (cut < b) & (span > 0.0)
        cut = torch.where(inside, cut, a)
        p_cut = self._p_mass.gather(1, cut.flatten(1)).reshape(cut.shape)
        outside_cut = self._clocks.outside.gather(1, cut.flatten(1)).reshape(cut.shape)
        share = ((outside[:, :-1] - outside_cut) / span.clamp(min=1e-320)).clamp(0.0, 1.0)
        bound = p_cut - (low + (high - low) * share)
        beats = inside & (bound < best - SEARCH_TOLERANCE)
        end = self._tokens[:, None]
        wanted = torch.where(beats, cut, end[:, :, None]).flatten(1).sort(dim=1).values
        repeated = torch.zeros_like(wanted, dtype=torch.bool)
        repeated[:, 1:] = wanted[:, 1:] == wanted[:, :-1]
        wanted = torch.where(repeated, end, wanted).sort(dim=1).values
        most = int((wanted < end).sum(dim=1).max())
        return wanted[:, :most]

    def _best(self, size: Tensor, contained: Tensor) -> tuple[Tensor, ...]:
        p_mass = self._p_mass.gather(1, size)
        objective = p_mass[:, :, None] - contained
        lowest = objective.amin(dim=1)
        near = (objective <= lowest[:, None] + SAME_OBJECTIVE).int()
        at = near.argmax(dim=1)  # (B, N - 2), of ascending sizes the first
        chosen = size.gather(1, at)
        return (
            1.0 + lowest,
            chosen,
            p_mass.gather(1, at),
            self._q_mass.gather(1, chosen),
            contained.gather(1, at[:, None])[:, 0],
            self._error,
        )
