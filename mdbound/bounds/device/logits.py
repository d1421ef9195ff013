"""Distributions and entropies of rows of logits as torch operations, float64, on their device."""

from __future__ import annotations

from typing import Any

import torch

from mdbound.bounds.device.sums import Tensor, total
from mdbound.bounds.device.tensors import as_rows, common_device, float64_on
from mdbound.bounds.numerics.vector_exp import SMALLEST_EXPONENT
from mdbound.bounds.problem.any_array import host_array
from mdbound.bounds.problem.checks import are_logits, check_logits, check_logits_shape
from mdbound.bounds.problem.warpers import Warpers


def distributions(logits: Any, warpers: Warpers) -> Tensor:
    """As `mdbound.bounds.distribution_from_logits`, on the tensor's device.

    Where the mass before a token meets top-p up to rounding, or its share of the largest
    probability min-p, device and CPU may differ by that token: their exponentials differ in the
    last digit.

    Example:
        >>> distributions(torch.tensor([0.0, 0.0, -torch.inf]), Warpers()).tolist()
        [0.5, 0.5, 0.0]
    """
    values = float64_on(logits, common_device(logits))
    rows = as_rows(values)
    check_logits_shape(rows.shape)
    if not bool(are_logits(rows.amax(dim=1)).all()):
        check_logits(host_array(rows))
    return softmax(rows, warpers).reshape(values.shape)


def entropies(logits: Any, warpers: Warpers) -> Tensor:
    """As `mdbound.bounds.entropy_from_logits`, on the tensor's device.

    Example:
        >>> entropies(torch.tensor([[0.0, 0.0], [0.0, -torch.inf]]), Warpers()).tolist()
        [0.6931471805599453, 0.0]
    """
    p = distributions(as_rows(logits), warpers)
    return total(torch.special.entr(p).clamp(min=0.0))[:, 0]


def softmax(rows: Tensor, warpers: Warpers) -> Tensor:
    """Warped distributions of rows (B, V) of logits: the one place where tensors are warped.

    As in the CPU kernels, exponentials below e^`SMALLEST_EXPONENT` are 0.

    Example:
        >>> softmax(torch.tensor([[1000.0, 0.0]]), Warpers()).tolist()
        [[1.0, 0.0]]
    """
    if warpers.temperature == 0.0:
        return torch.zeros_like(rows).scatter(1, rows.argmax(dim=1, keepdim=True), 1.0)
    top_k, top_p = warpers.top_k, warpers.top_p
    if top_k is not None and top_k < rows.shape[1]:
        kth_largest = rows.topk(top_k, dim=1).values[:, -1:]
        rows = rows.masked_fill(rows < kth_largest, -torch.inf)
    rows = (rows - rows.amax(dim=1, keepdim=True)) / warpers.temperature
    rows.masked_fill_(rows < SMALLEST_EXPONENT, -torch.inf)
    probabilities = rows.exp_()
    probabilities = probabilities / total(probabilities)
    if top_p is not None and top_p < 1.0:
        probabilities = _nucleus(probabilities, top_p)
    if warpers.min_p is not None and warpers.min_p > 0.0:
        probabilities = _likely(probabilities, warpers.min_p)
    return probabilities


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    ranked, order = probabilities.sort(dim=1, descending=True, stable=True)
    removed = ranked.cumsum(dim=1) - ranked >= top_p
    # The first token stays whatever rounding says of the mass before it.
    removed[:, 0] = False
    kept = torch.zeros_like(ranked).scatter(1, order, ranked.masked_fill(removed, 0.0))
    return kept / total(kept)


def _likely(probabilities: Tensor, min_p: float) -> Tensor:
    least = min_p * probabilities.amax(dim=1, keepdim=True)
    kept = probabilities.masked_fill(probabilities < least, 0.0)
    return kept / total(kept)
