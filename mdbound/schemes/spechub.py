"""SpecHub: two drafts, one of which is always the most likely draft token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mdbound.bounds.numerics.most_likely_tokens import most_likely_tokens
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.schemes.contract.registry import register
from mdbound.schemes.contract.results import NO_TOKEN, RowRates, Samples, exact_rates
from mdbound.schemes.contract.scheme import Scheme
from mdbound.schemes.rates.draft_without import draft_without
from mdbound.schemes.rates.output_row import output_row
from mdbound.schemes.rates.residual_mass import overlap_mass, total_mass
from mdbound.schemes.rates.token_share import capped_share
from mdbound.schemes.sampling.draws import draw_tokens


@dataclass(frozen=True)
class _AcceptTable:
    """Accept probabilities of each step, and the target mass that no step uses."""

    hub: int
    others: FloatArray  # q without the hub, normalised (V,); all zero for a point mass
    first: FloatArray  # token i drafted before the hub (V,)
    second: FloatArray  # token i drafted after the hub (V,)
    hub_first: float
    hub_second: float
    residual: FloatArray  # unnormalised (V,)


def _accept_table(p: FloatArray, q: FloatArray) -> _AcceptTable:
    hub = int(most_likely_tokens(q, 1)[0])
    others = draft_without(q, np.array([hub]))
    before = q.copy()
    before[hub] = 0.0
    after = q[hub] * others
    residual = p.copy()
    residual[hub] = 0.0
    taken_first = np.minimum(residual, before)
    residual -= taken_first
    taken_second = np.minimum(residual, after)
    residual -= taken_second
    # A point mass drafts the hub alone: nothing precedes the hub's own test.
    stuck_first = total_mass(after - taken_second) if others.any() else 1.0
    stuck_second = total_mass(before - taken_first)
    hub_first = min(p[hub], stuck_first)
    hub_second = min(p[hub] - hub_first, stuck_second)
    residual[hub] = p[hub] - hub_first - hub_second
    return _AcceptTable(
        hub,
        others,
        np.divide(taken_first, before, out=np.zeros_like(p), where=before > 0.0),
        np.divide(taken_second, after, out=np.zeros_like(p), where=after > 0.0),
        hub_first / stuck_first if stuck_first > 0.0 else 0.0,
        hub_second / stuck_second if stuck_second > 0.0 else 0.0,
        residual,
    )


@register
class SpecHub(Scheme):
    """Draft pairs (i, hub) and (hub, i) only, so that the transport problem has O(V) size.

    The hub a is the most likely draft token (ties to the lower id). x1 ~ q; if x1 is not the hub,
    x2 is the hub, else x2 ~ q without the hub. Tests in order: i before the hub, i after the hub,
    the hub drafted first, the hub drafted second, each against what is left of p. As a set the
    drafts are {a, i} with probability q(i) / (1 - q(a)), the law of greedy drafting with n = 2,
    hence `sampling`. Both rates are p(a) + sum of min(p(i), q(i) / (1 - q(a))), which is optimal
    for that law. A draft that is a point mass drafts one token. O(V).

    Source: Sun et al. 2024 (SpecHub), without the shortcut of their code for a target mass near 1
    on the hub, which is not exactly lossless.

    Example:
        >>> round(SpecHub().acceptance([0.5, 0.3, 0.2], [0.6, 0.2, 0.2], 2).membership, 12)
        1.0
    """

    name = "spechub"
    table_order = 60
    min_drafts: ClassVar[int] = 2
    max_drafts: ClassVar[int | None] = 2
    sampling = "greedy"

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        hub = most_likely_tokens(q, 1)[0]
        inside = p[hub] + overlap_mass(p, draft_without(q, np.array([hub])))
        return exact_rates(np.full(len(counts), inside))

    def possible(self, drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
        """The hub once, and another token of positive probability."""
        hub = int(most_likely_tokens(drafts[0], 1)[0])
        others = [x for x in drafted if x != hub]
        return len(others) == 1 and bool(drafts[0][others[0]] > 0.0)

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        hub = most_likely_tokens(drafts[0], 1)
        if token in hub:
            return 1.0
        return capped_share(draft_without(drafts[0], hub)[token], p[token])

    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        table = _accept_table(p, drafts[0])
        x1 = draw_tokens(drafts[0], rng, size)
        x2 = np.full(size, table.hub, dtype=np.int64)
        hub_leads = x1 == table.hub
        if hub_leads.any():
            alone = not table.others.any()
            count = int(hub_leads.sum())
            x2[hub_leads] = NO_TOKEN if alone else draw_tokens(table.others, rng, count)
        other = np.where(hub_leads, x2, x1)
        accept_other = np.where(hub_leads, table.second[other], table.first[other])
        accept_other[other == NO_TOKEN] = 0.0
        by_other = rng.random(size) < accept_other
        accept_hub = np.where(hub_leads, table.hub_first, table.hub_second)
        by_hub = ~by_other & (rng.random(size) < accept_hub)
        output = np.where(by_other, other, table.hub)
        fired = by_other | by_hub
        if not fired.all():
            output[~fired] = draw_tokens(table.residual, rng, int((~fired).sum()))
        return Samples(np.stack([x1, x2], axis=1), output, fired)

    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        table = _accept_table(p, drafts[0])
        hub_leads = drafted[0] == table.hub
        other = drafted[1] if hub_leads else drafted[0]
        accept = float((table.second if hub_leads else table.first)[other])
        hub_share = table.hub_first if hub_leads else table.hub_second
        return output_row({other: accept, table.hub: (1.0 - accept) * hub_share}, table.residual)
