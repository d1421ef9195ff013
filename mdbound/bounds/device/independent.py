"""Independent drafts as torch operations: contract and branch on the boxes of all rows together.

See `laws.independent.law` for the search. The first box of each row holds its whole
vocabulary; what its contraction leaves open, usually a small part, is all that the boxes it is cut
into have to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from mdbound.bounds.device.boxes import (
    Contracted,
    OpenBoxes,
    TriedSets,
    contract,
    join_boxes,
    lower_bound,
    objective,
    sum_error,
    try_sets,
)
from mdbound.bounds.device.prefixes import join_drafts
from mdbound.bounds.device.sums import Tensor, total
from mdbound.bounds.numerics.fused_softmax import mass_error
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF
from mdbound.bounds.numerics.tolerances import BOX_TOLERANCE, MAX_BOXES
from mdbound.bounds.problem.solution import AcceptanceCurve

WORKING_ENTRIES = 2**22
"""Masses of the boxes looked at in one step: 32 MiB."""

_START = 0.8
"""q_k(H) of the first guess: near what real rows have; any other costs a few boxes more."""


def independent(p: Tensor, drafts: Sequence[Tensor], max_drafts: int) -> AcceptanceCurve:
    """Acceptance of checked rows with the first n of K different drafts, for n = 1..max_drafts.

    Args:
        p: target rows (B, V), float64.
        drafts: q_1, ..., q_K, rows (B, V) each.
        max_drafts: N, from 1 to K.

    Returns:
        The curve; NaN where a row takes more than `MAX_BOXES` boxes.

    Example:
        >>> p = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
        >>> q = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
        >>> independent(p, [q, q.flip(1)], 2).acceptance.round(decimals=6).tolist()
        [[0.7, 0.94]]
    """
    solved = []
    for n in range(1, max_drafts + 1):
        masses = torch.stack([p, *drafts[:n]], dim=1)  # (B, n + 1, V)
        found = _one_draft(masses) if n == 1 else _Search(masses, n).run()
        rounding = (n + 1) * sum_error(p.shape[1]) + (n + 4) * UNIT_ROUNDOFF
        error = torch.full_like(found.value, BOX_TOLERANCE + 3.0 * rounding)
        columns = (
            1.0 + found.value,
            found.size,
            found.masses[:, 0],
            found.masses[:, 1:].mean(dim=1),
            found.masses[:, 1:].prod(dim=1),
            error,
        )
        unsolved = found.value.isnan()
        solved.append([_blank(column, unsolved)[:, None] for column in columns])
    return join_drafts(solved)


def softmax_error(drafts: Sequence[Tensor], max_drafts: int) -> Tensor:
    """Rounding of probabilities from logits in n + 1 masses, (1, N).

    Example:
        >>> softmax_error([torch.zeros(1, 100)] * 2, 2).shape
        torch.Size([1, 2])
    """
    masses = torch.arange(2, max_drafts + 2, dtype=torch.float64, device=drafts[0].device)
    return masses[None] * (mass_error(drafts[0].shape[1]) * UNIT_ROUNDOFF)


def _blank(column: Tensor, unsolved: Tensor) -> Tensor:
    return column.masked_fill(unsolved, torch.nan if column.is_floating_point() else -1)


def _one_draft(masses: Tensor) -> TriedSets:
    """The set of all tokens with p < q is optimal."""
    short = masses[:, 0] < masses[:, 1]
    inside = total(torch.where(short[:, None], masses, 0.0))[:, :, 0]
    return TriedSets(objective(inside), inside, short.sum(dim=1))


class _Search:
    """The best set of each row, and the boxes that may hold a better one."""

    def __init__(self, masses: Tensor, num_drafts: int) -> None:
        rows, self._num_drafts = len(masses), num_drafts
        self._error = sum_error(masses.shape[2])
        self._value = masses.new_zeros(rows)  # of the empty set
        self._masses = masses.new_zeros((rows, self._num_drafts + 1))
        self._size = torch.zeros(rows, dtype=torch.int64, device=masses.device)
        self._boxes = torch.zeros_like(self._size)
        high = total(masses[:, 1:])[:, :, 0] * (1.0 + 2.0 * self._error)
        nothing = torch.zeros_like(self._masses)
        self._start = OpenBoxes(masses, nothing, self._size.clone(), torch.zeros_like(high), high)

    def run(self) -> TriedSets:
        """Search until no box is left, or a row has had too many."""
        all_rows = torch.arange(len(self._value), device=self._value.device)
        self._take_best(all_rows, try_sets(self._start, torch.full_like(self._start.low, _START)))
        ended = self._contract(all_rows, self._start)
        # What the first contraction decided holds in every part of a row's box.
        roots = join_boxes([group.boxes for group in ended])
        root_of = torch.zeros_like(all_rows)
        place = torch.cat([group.place for group in ended])
        root_of[place] = torch.arange(len(place), device=place.device)
        rows, low, high = self._halves(all_rows, ended)
        while len(rows):
            entries = roots.masses.shape[2] * (self._num_drafts + 1)
            start = max(0, len(rows) - max(1, WORKING_ENTRIES // max(entries, 1)))
            boxes = replace(roots.take(root_of[rows[start:]]), low=low[start:], high=high[start:])
            ended = self._contract(rows[start:], boxes)
            parts = self._halves(rows[start:], ended)
            rows = torch.cat([rows[:start], parts[0]])
            low, high = torch.cat([low[:start], parts[1]]), torch.cat([high[:start], parts[2]])
            # A row that has had too many is given up, with all its boxes.
            wanted = self._boxes[rows] <= MAX_BOXES
            rows, low, high = rows[wanted], low[wanted], high[wanted]
        value = self._value.masked_fill(self._boxes > MAX_BOXES, torch.nan)
        return TriedSets(value, self._masses, self._size)

    def _contract(self, rows: Tensor, boxes: OpenBoxes) -> list[Contracted]:
        """Count boxes of rows, contract them, and try the sets that they suggest."""
        self._boxes.scatter_add_(0, rows, torch.ones_like(rows))
        ended = contract(boxes, self._value[rows], self._error)
        for group in ended:
            middle = 0.5 * (group.boxes.low + group.boxes.high)
            self._take_best(rows[group.place], try_sets(group.boxes, middle))
        return ended

    def _halves(self, rows: Tensor, ended: Sequence[Contracted]) -> tuple[Tensor, Tensor, Tensor]:
        """Rows and corners of the halves of boxes that may hold something better."""
        parts = []
        for place, boxes in ended:
            own = rows[place]
            cut = lower_bound(boxes, self._num_drafts) < self._value[own] - BOX_TOLERANCE
            own, low, high = own[cut], boxes.low[cut], boxes.high[cut]
            side = (high - low).argmax(dim=1, keepdim=True)
            middle = (0.5 * (low + high)).gather(1, side)
            parts.append((own, low, high.scatter(1, side, middle)))
            parts.append((own, low.scatter(1, side, middle), high))
        nothing = (rows[:0], self._masses[:0, 1:], self._masses[:0, 1:])
        own, low, high = (torch.cat(list(column)) for column in zip(nothing, *parts, strict=True))
        return own, low, high

    def _take_best(self, rows: Tensor, tried: TriedSets) -> None:
        """Keep what beats the best sets of the rows; several boxes may be of one row."""
        lowest = self._value.scatter_reduce(0, rows, tried.value, "amin")
        place = torch.arange(len(rows), device=rows.device)
        winner = torch.where(tried.value == lowest[rows], place, len(rows))
        first = torch.full_like(self._size, len(rows)).scatter_reduce(0, rows, winner, "amin")
        better = (lowest < self._value) & (first < len(rows))
        chosen = first[better]
        self._value = lowest
        self._masses[better] = tried.masses[chosen]
        self._size[better] = tried.size[chosen]
