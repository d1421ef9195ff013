"""Boxes of contract-and-branch, many at a time: contraction, sets to try, lower bounds.

The mathematics is that of `laws.independent.law`; here every function works on a
batch of boxes, each with its own undecided tokens, as torch operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from mdbound.bounds.device.sums import Tensor, total, total_error
from mdbound.bounds.numerics.summation import UNIT_ROUNDOFF

MAX_PASSES = 32
"""Passes over the tokens of a box in one contraction; to stop early is never wrong."""

_GUESSES = 3  # threshold sets tried per box
_MANY = 256  # from here on a pass that decides less than an eighth is worse than cutting the box


@dataclass(frozen=True)
class OpenBoxes:
    """X boxes: the tokens that are not yet decided, and the masses of those already in.

    Attributes:
        masses: p and q_1..q_K of the tokens, zero where there is none, (X, K + 1, M).
        inside: p and q_k of the tokens forced in, (X, K + 1).
        count: how many these are, (X,).
        low: lower corner of the box around q_k(H*), (X, K).
        high: upper corner.
    """

    masses: Tensor
    inside: Tensor
    count: Tensor
    low: Tensor
    high: Tensor

    def take(self, boxes: Tensor) -> OpenBoxes:
        """Some of the boxes."""
        return OpenBoxes(
            self.masses[boxes],
            self.inside[boxes],
            self.count[boxes],
            self.low[boxes],
            self.high[boxes],
        )


def join_boxes(groups: Sequence[OpenBoxes]) -> OpenBoxes:
    """All boxes of some groups, with room for as many tokens as the widest group has.

    Example:
        >>> sizes = torch.zeros(1, 3), torch.zeros(1), torch.zeros(1, 2), torch.zeros(1, 2)
        >>> groups = [OpenBoxes(torch.ones(1, 3, width), *sizes) for width in (4, 2)]
        >>> join_boxes(groups).masses.shape
        torch.Size([2, 3, 4])
    """
    width = max(group.masses.shape[2] for group in groups)
    return OpenBoxes(
        torch.cat(
            [
                torch.nn.functional.pad(group.masses, (0, width - group.masses.shape[2]))
                for group in groups
            ]
        ),
        torch.cat([group.inside for group in groups]),
        torch.cat([group.count for group in groups]),
        torch.cat([group.low for group in groups]),
        torch.cat([group.high for group in groups]),
    )


class TriedSets(NamedTuple):
    """The best of the sets tried in each box.

    Attributes:
        value: p(H) - prod_k q_k(H), (X,).
        masses: p(H) and q_k(H), (X, K + 1).
        size: tokens in H, (X,).
    """

    value: Tensor
    masses: Tensor
    size: Tensor


def sum_error(vocab_size: int) -> float:
    """Relative error of the mass of a set: one sum per pass, of two contractions at most.

    Example:
        >>> sum_error(151_936) < 3e-14
        True
    """
    return (total_error(vocab_size) + 2.0 * MAX_PASSES + 4.0) * UNIT_ROUNDOFF


class Contracted(NamedTuple):
    """Boxes that a contraction has come to an end with.

    Attributes:
        place: where they were among the boxes given, (Y,).
        boxes: what is still open in them.
    """

    place: Tensor
    boxes: OpenBoxes


def contract(boxes: OpenBoxes, best: Tensor, error: float) -> list[Contracted]:
    """Decide tokens and shrink the boxes until little moves.

    Boxes differ in how many tokens they leave open and how soon they end. Those that end are set
    aside, so that a box with many open tokens does not make room for itself in all the others.

    Args:
        boxes: the boxes.
        best: value of the best set known in the row of each box, (X,).
        error: `sum_error`.

    Returns:
        The boxes that can hold a better set, in one group or several.

    Example:
        >>> masses = torch.tensor([[[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3]]])
        >>> zero, one = torch.zeros(1, 2), torch.ones(1, 2)
        >>> start = OpenBoxes(masses, torch.zeros(1, 3), torch.zeros(1).long(), zero, one)
        >>> (found,) = contract(start, torch.tensor([-0.14]), 1e-6)
        >>> found.boxes.masses[0, 0].tolist()[0], (found.boxes.high < 0.81).tolist()
        (0.0, [[True, True]])
    """
    place = torch.arange(len(best), device=best.device)
    ended = []
    for _ in range(MAX_PASSES):
        low = _raised(boxes, best[place], error)
        feasible = (low <= boxes.high).all(dim=1)
        boxes, moving = _decide(replace(boxes, low=low), feasible, error)
        feasible &= (boxes.low <= boxes.high).all(dim=1)
        moving &= feasible
        count, left = int(feasible.sum()), int(moving.sum())
        if 4 * left > 3 * len(place):
            continue
        if left < count:
            still = feasible & ~moving
            ended.append(Contracted(place[still], boxes.take(still)))
        place, boxes = place[moving], boxes.take(moving)
        if left == 0:
            return ended or [Contracted(place, boxes)]
    # Boxes from which nothing was set aside because few had ended, or that are still moving.
    feasible = (boxes.low <= boxes.high).all(dim=1)
    return [*ended, Contracted(place[feasible], boxes.take(feasible))]


def _raised(boxes: OpenBoxes, best: Tensor, error: float) -> Tensor:
    """A set at most as high as the best one has prod_k x_k >= p(tokens in) - best value."""
    product = boxes.inside[:, 0] * (1.0 - 8.0 * error) - best - 16.0 * error
    others = leave_one_out(boxes.high)
    usable = (product[:, None] > 0.0) & (others > 0.0)
    raised = product[:, None] / torch.where(usable, others, 1.0) * (1.0 - 1e-14)
    return torch.maximum(boxes.low, torch.where(usable, raised, 0.0))


def _decide(boxes: OpenBoxes, feasible: Tensor, error: float) -> tuple[OpenBoxes, Tensor]:
    """One pass: tokens go in or out or stay, and none stays in a box without a better set.

    Also, which boxes are worth another pass.
    """
    slack = (4.0 * boxes.masses.shape[1] + 8.0) * UNIT_ROUNDOFF
    target = boxes.masses[:, 0]
    low_gain = weighted(boxes.masses, leave_one_out(boxes.low) * (1.0 - slack))
    high_gain = weighted(boxes.masses, leave_one_out(boxes.high) * (1.0 + slack))
    was_open = (boxes.masses > 0.0).any(dim=1) & feasible[:, None]
    enters = was_open & (target < low_gain)
    stays = was_open & (target >= low_gain) & (target <= high_gain) & (high_gain > 0.0)
    inside = boxes.inside + _masses_of(boxes.masses, enters)
    possible = inside + _masses_of(boxes.masses, stays)
    low = torch.maximum(boxes.low, inside[:, 1:] * (1.0 - 2.0 * error))
    high = torch.minimum(boxes.high, possible[:, 1:] * (1.0 + 2.0 * error))
    before, after = was_open.sum(dim=1), stays.sum(dim=1)
    slow = (8 * (before - after) < before) & (after > _MANY)
    count = boxes.count + enters.sum(dim=1)
    masses = _kept(boxes.masses, stays, after)
    return OpenBoxes(masses, inside, count, low, high), (after < before) & ~slow


def _kept(masses: Tensor, stays: Tensor, count: Tensor) -> Tensor:
    """The masses of the tokens that stay, moved to the front where that saves half the room."""
    width = int(count.max())
    if 2 * width > masses.shape[2]:
        return torch.where(stays[:, None], masses, 0.0)
    boxes, tokens = stays.nonzero(as_tuple=True)
    kept = masses.new_zeros((*masses.shape[:2], width))
    kept[boxes, :, stays.cumsum(dim=1)[boxes, tokens] - 1] = masses[boxes, :, tokens]
    return kept


def try_sets(boxes: OpenBoxes, x: Tensor) -> TriedSets:
    """The tokens forced in alone, and with a few threshold sets, the first one that of q_k(H) = x.

    In a box shrunk to a point the forced set meets the lower bound, which is why searches end.

    Args:
        boxes: the boxes.
        x: first guess, (X, K).
    """
    masses, size = boxes.inside, boxes.count
    value = objective(masses)
    weights = leave_one_out(x)
    for _ in range(_GUESSES):
        chosen = boxes.masses[:, 0] < weighted(boxes.masses, weights)
        found = boxes.inside + _masses_of(boxes.masses, chosen)
        new = objective(found)
        better = new < value
        value = torch.where(better, new, value)
        masses = torch.where(better[:, None], found, masses)
        size = torch.where(better, boxes.count + chosen.sum(dim=1), size)
        weights = leave_one_out(found[:, 1:])
    return TriedSets(value, masses, size)


def objective(masses: Tensor) -> Tensor:
    """p(H) - prod_k q_k(H) of masses (X, K + 1).

    Example:
        >>> objective(torch.tensor([[0.25, 0.5, 1.0]])).tolist()
        [-0.25]
    """
    return masses[:, 0] - masses[:, 1:].prod(dim=1)


def lower_bound(boxes: OpenBoxes, num_drafts: int) -> Tensor:
    """No set of a box has a smaller p(H) - prod_k q_k(H) than this, up to rounding, (X,).

    Args:
        boxes: the boxes.
        num_drafts: K.
    """
    bounds = []
    for fifth in range(5):
        slopes, constant = _overestimator(boxes.low, boxes.high, num_drafts, 0.25 * fifth)
        linear = boxes.inside[:, 0] - constant - (slopes * boxes.inside[:, 1:]).sum(dim=1)
        gain = (weighted(boxes.masses, slopes) - boxes.masses[:, 0]).clamp(min=0.0)
        bounds.append(linear - total(gain)[:, 0])
    return torch.stack(bounds).amax(dim=0)


def _overestimator(low: Tensor, high: Tensor, num_drafts: int, mix: float) -> tuple[Tensor, Tensor]:
    """As `laws.independent.planes.product_overestimator`, for each box."""
    slopes = torch.zeros_like(low)
    slopes[:, -1] = 1.0
    constant = low.new_zeros(len(low))
    later_low, later_high = low[:, -1], high[:, -1]
    for k in range(num_drafts - 2, -1, -1):
        # x y <= high y + later_low x - high later_low, and the same with the ends exchanged.
        factor = mix * high[:, k] + (1.0 - mix) * low[:, k]
        slopes = slopes * factor[:, None]
        slopes[:, k] = mix * later_low + (1.0 - mix) * later_high
        first, second = high[:, k] * later_low, low[:, k] * later_high
        constant = constant * factor - mix * first - (1.0 - mix) * second
        later_low, later_high = later_low * low[:, k], later_high * high[:, k]
    return slopes, constant


def leave_one_out(x: Tensor) -> Tensor:
    """For each k the product of the others, (X, K).

    Example:
        >>> leave_one_out(torch.tensor([[2.0, 3.0, 5.0]])).tolist()
        [[15.0, 10.0, 6.0]]
    """
    columns = [torch.cat([x[:, :k], x[:, k + 1 :]], dim=1).prod(dim=1) for k in range(x.shape[1])]
    return torch.stack(columns, dim=1)


def weighted(masses: Tensor, weights: Tensor) -> Tensor:
    """Sum over k of w_k q_k of each token, from masses (X, K + 1, M) and weights (X, K).

    Example:
        >>> weighted(torch.ones(1, 3, 2), torch.tensor([[1.0, 2.0]])).tolist()
        [[3.0, 3.0]]
    """
    gain = masses[:, 1] * weights[:, :1]
    for k in range(1, weights.shape[1]):
        gain = torch.addcmul(gain, masses[:, k + 1], weights[:, k : k + 1])
    return gain


def _masses_of(masses: Tensor, marked: Tensor) -> Tensor:
    return total(torch.where(marked[:, None], masses, 0.0))[:, :, 0]
