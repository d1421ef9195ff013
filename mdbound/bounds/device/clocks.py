"""F_n of many prefixes of many rows, n >= 3, by the integral over exponential clocks.

The nodes are those of `numerics.clock_quadrature`, and as in `laws.without_replacement` the few
*heavy* tokens, whose rate times the last node's time is not small, enter P(N_t = m) one by
one, the others through power sums and Newton's identities. What is tabulated here, once for a
batch of rows, is the law of the heavy tokens in front of each of them, and the power sums in front
of each block; a prefix adds the tokens of its own block.

Every row ends its nodes where all that is left of the integral is negligible for every prefix:
enough clocks are expected to have rung, or the rarest one has. So rates may span any number of
decades, and no row has more than a few hundred heavy tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from mdbound.bounds.device.sums import BLOCK, Tensor, in_blocks, prefix_sums, suffix_sums
from mdbound.bounds.numerics.clock_quadrature import NUM_POWERS, clock_quadrature, expm1_powers

WORKING_ENTRIES = 2**23
"""Numbers in the largest temporary tensor: 64 MiB."""

_RANG = 41.0  # e^-41 = 2e-18: what is left of the integral when the last clock outside has rung
_PADDED = -1.0  # rate that marks a place without a token


class ClockNodes(NamedTuple):
    """What `ClockRows` needs of a batch of rows before it tabulates anything.

    Attributes:
        used: nodes of each row, (B,).
        light_rate: largest rate of a light token, (B,).
        heavy: heavy tokens of each row, (B,).
        times: t of the nodes, as many as any row uses.
        weights: step times dt/du.
        early: sum of the weights before the first node, where P(N_t < n) is 1.
        early_time: sum of weight * t before the first node.
    """

    used: Tensor
    light_rate: Tensor
    heavy: Tensor
    times: Tensor
    weights: Tensor
    early: float
    early_time: float

    def entries(self, max_drafts: int) -> Tensor:
        """Numbers that `ClockRows` tabulates for each row, (B,)."""
        return (self.heavy + 1) * self.used * max_drafts

    def take(self, rows: Tensor) -> ClockNodes:
        """The nodes of some rows."""
        return self._replace(
            used=self.used[rows], light_rate=self.light_rate[rows], heavy=self.heavy[rows]
        )


def clock_nodes(rates: Tensor, max_drafts: int) -> ClockNodes:
    """Decide how many nodes each row needs, and which of its tokens are heavy.

    Args:
        rates: of all tokens, in any order, zero where there is none, summing to 1, (B, V).
        max_drafts: N.

    Example:
        >>> nodes = clock_nodes(torch.full((1, 1000), 1e-3, dtype=torch.float64), 8)
        >>> nodes.used.tolist(), nodes.heavy.tolist()
        ([45], [0])
    """
    rule = clock_quadrature(max_drafts)
    smallest = torch.where(rates > 0.0, rates, 1.0).amin(dim=1)
    number = 1 + int(np.searchsorted(rule.times, _RANG / float(smallest.min())))
    number = min(number, len(rule.times))
    times = torch.tensor(rule.times[:number], device=rates.device)
    weights = torch.tensor(rule.weights[:number], device=rates.device)
    # Bisection for each row's last node; at the last of all, every clock has rung.
    low = torch.zeros(len(rates), dtype=torch.int64, device=rates.device)
    high = torch.full_like(low, number - 1)
    for _ in range(number.bit_length()):
        middle = (low + high) // 2
        time = times[middle][:, None]
        # Clocks expected to have rung, from below: 1 - e^-x >= (1 - 1/e) min(x, 1).
        expected = 0.6321205588 * (rates * time).clamp(max=1.0).sum(dim=1)
        enough = (expected >= rule.rung_needed) | (smallest * time[:, 0] >= _RANG)
        high = torch.where(enough, middle, high)
        low = torch.where(enough, low, torch.minimum(middle + 1, high))
    used = high + 1
    light_rate = rule.light_limit / times[used - 1]
    heavy = (rates > light_rate[:, None]).sum(dim=1)
    most = int(used.max())
    return ClockNodes(
        used, light_rate, heavy, times[:most], weights[:most], rule.early, rule.early_time
    )


class ClockRows:
    """Rows of clocks in a fixed order, ready for F_n of any prefix.

    Args:
        rates: in the order whose prefixes will be asked for, zero (at the end) where there is no
            token, summing to 1, (B, V).
        nodes: `clock_nodes` of these rows.
        max_drafts: N.

    Attributes:
        outside: mass outside each prefix, summed from the far end, (B, V + 1).

    Example:
        >>> rates = torch.tensor([[0.5, 0.2, 0.2, 0.1]], dtype=torch.float64)
        >>> clocks = ClockRows(rates, clock_nodes(rates, 3), 3)
        >>> found = clocks.contained(torch.tensor([0]), torch.tensor([3]))
        >>> found[0, 2:].round(decimals=9).tolist()
        [0.516666667]
    """

    def __init__(self, rates: Tensor, nodes: ClockNodes, max_drafts: int) -> None:
        self.outside = suffix_sums(rates)
        self._early = (nodes.early, nodes.early_time)
        self._series = torch.tensor(expm1_powers(max_drafts), device=rates.device)
        self._max_drafts = max_drafts
        # Past its last node a row repeats that node with weight zero.
        most = int(nodes.used.max())
        place = torch.arange(most, device=rates.device)
        self._times = nodes.times[torch.minimum(place, nodes.used[:, None] - 1)]
        self._weights = torch.where(place < nodes.used[:, None], nodes.weights[:most], 0.0)
        self._scaled = self._times * nodes.light_rate[:, None]
        is_heavy = rates > nodes.light_rate[:, None]
        self._heavy_before = torch.nn.functional.pad(is_heavy.cumsum(dim=1), (1, 0))
        self._heavy_law = self._tabulate_heavy(rates, is_heavy)
        shares = torch.where(is_heavy, 0.0, rates / nodes.light_rate[:, None])
        self._light = in_blocks(shares, BLOCK)
        self._power_sums = self._tabulate_light()

    def _tabulate_heavy(self, rates: Tensor, is_heavy: Tensor) -> Tensor:
        """P(N_t = m) of the first 0, 1, ... heavy tokens at the nodes, (B, H + 1, N, J)."""
        rows, columns = is_heavy.nonzero(as_tuple=True)
        most = int(self._heavy_before[:, -1].max())
        heavy = torch.full((len(rates), most), _PADDED, dtype=rates.dtype, device=rates.device)
        heavy[rows, self._heavy_before[rows, columns]] = rates[rows, columns]
        shape = (len(rates), most + 1, self._max_drafts, self._times.shape[1])
        law = rates.new_zeros(shape)
        law[:, 0, 0] = 1.0
        for k in range(most):
            x = heavy[:, k, None, None] * self._times[:, None]
            silent, rang = torch.exp(-x), -torch.expm1(-x)
            before, after = law[:, k], law[:, k + 1]
            torch.mul(before, silent, out=after)
            after[:, 1:] += before[:, :-1] * rang
            # Rows with fewer heavy tokens end here; nobody asks for what would follow.
            after.masked_fill_((heavy[:, k] == _PADDED)[:, None, None], 0.0)
        return law

    def _tabulate_light(self) -> Tensor:
        """Power sums of rate / light_rate in front of each block, (B, blocks + 1, R)."""
        power = self._light.clone()
        sums = []
        for _ in range(NUM_POWERS):
            sums.append(power.sum(dim=2))
            power *= self._light
        return prefix_sums(torch.stack(sums, dim=1)).mT.contiguous()

    def contained(self, rows: Tensor, sizes: Tensor) -> Tensor:
        """F_n of prefixes of rows, up to the error of the quadrature and of the sums over tokens.

        Where sums are off by a factor 1 + e, so are rates, and each draw's law by at most e in
        total variation, F_n by n e. A heavy token adds three roundings.

        Args:
            rows: which row each prefix is of, (E,).
            sizes: how many tokens each prefix has, 0..V, (E,).

        Returns:
            F_n for n = 1..N, (E, N), right for prefixes that hold some tokens but not all.
        """
        widest = max(BLOCK, self._times.shape[1] * max(NUM_POWERS, self._max_drafts))
        step = max(1, WORKING_ENTRIES // widest)
        found = [
            self._contained(rows[start : start + step], sizes[start : start + step])
            for start in range(0, len(rows), step)
        ]
        return torch.cat(found) if found else self.outside.new_empty((0, self._max_drafts))

    def _contained(self, rows: Tensor, sizes: Tensor) -> Tensor:
        heavy = self._heavy_law[rows, self._heavy_before[rows, sizes]]  # (E, N, J)
        light = self._light_law(rows, self._sums_before(rows, sizes))
        outside = self.outside[rows, sizes][:, None]
        decay = torch.exp(-outside * self._times[rows]) * self._weights[rows]  # (E, J)
        early, early_time = self._early
        below = torch.zeros_like(decay)
        found = []
        for n in range(self._max_drafts):
            for k in range(n + 1):
                below = torch.addcmul(below, heavy[:, k], light[n - k])
            kept = (decay * below).sum(dim=1, keepdim=True) + early - outside * early_time
            found.append(1.0 - outside * kept)
        return torch.cat(found, dim=1)

    def _sums_before(self, rows: Tensor, sizes: Tensor) -> Tensor:
        """Power sums of the light tokens of prefixes, (E, R)."""
        block = sizes // BLOCK
        sums = self._power_sums[rows, block]
        # The whole vocabulary may end where no block begins.
        tokens = self._light[rows, block.clamp(max=self._light.shape[1] - 1)]
        inside = torch.arange(BLOCK, device=rows.device) < (sizes - BLOCK * block)[:, None]
        tokens = torch.where(inside, tokens, 0.0)
        power = tokens.clone()
        added = []
        for _ in range(NUM_POWERS):
            added.append(power.sum(dim=1))
            power *= tokens
        return sums + torch.stack(added, dim=1)

    def _light_law(self, rows: Tensor, sums: Tensor) -> list[Tensor]:
        """P(N_t = m) of the light tokens for m < N, each (E, J): Newton's identities."""
        scaled = self._scaled[rows]
        orders = torch.arange(1, NUM_POWERS + 1, dtype=scaled.dtype, device=scaled.device)
        terms = sums[:, None, :] * scaled[:, :, None] ** orders  # (E, J, R)
        # Power sums of e^x - 1 from those of x, with the signs of the identities.
        newton = terms @ self._series[:, 1:].T  # (E, J, N)
        law = [torch.exp(-scaled * sums[:, :1])]
        for m in range(1, self._max_drafts):
            next_one = torch.zeros_like(scaled)
            for k in range(1, m + 1):
                sign = 1.0 if k % 2 else -1.0
                next_one = torch.addcmul(next_one, newton[:, :, k], law[m - k], value=sign)
            law.append((next_one / m).clamp(min=0.0))
        return law
