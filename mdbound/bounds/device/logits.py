"""Distributions and entropies of rows of logits as torch operations, float64, on their device."""

from __future__ import annotations

from typing import Any

import torch

from mdbound.bounds.device.sums import Tensor, total
from mdbound.bounds.device.tensors import as_rows, common_device, float64_on
from mdbound.bounds.numerics.vector_exp import SMALLEST_EXPONENT
from mdbound.bounds.problem import checks as distributions
from mdbound.bounds.problem.checks import check_warpers


def distribution_from_logits(
    logits: Any,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """As `mdbound.bounds.distribution_from_logits`, on the tensor's device.

    Where the mass before a token meets `top_p` up to rounding, device and CPU may differ by that
    token: their exponentials differ in the last digit.

    Example:
        >>> distribution_from_logits(torch.tensor([0.0, 0.0, -torch.inf])).tolist()
        [0.5, 0.5, 0.0]
    """
    check_warpers(temperature, top_k, top_p)
    values = float64_on(logits, common_device(logits))
    rows = as_rows(values)
    if not bool(are_logits(rows).all()):
        distributions.check_logits(rows.cpu().numpy())
    return softmax(rows, temperature, top_k, top_p).reshape(values.shape)


def entropy_from_logits(
    logits: Any,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """As `mdbound.bounds.entropy_from_logits`, on the tensor's device.

    Example:
        >>> entropy_from_logits(torch.tensor([[0.0, 0.0], [0.0, -torch.inf]])).tolist()
        [0.6931471805599453, 0.0]
    """
    p = distribution_from_logits(as_rows(logits), temperature, top_k, top_p)
    return total(torch.special.entr(p).clamp(min=0.0))[:, 0]


def are_logits(rows: Tensor) -> Tensor:
    """Which rows (B, V) hold logits, (B,); none if there are no rows or no tokens.

    Example:
        >>> are_logits(torch.tensor([[0.0, -torch.inf], [torch.nan, 0.0]])).tolist()
        [True, False]
    """
    if rows.ndim != 2 or rows.shape[1] == 0:
        return torch.zeros(1, dtype=torch.bool, device=rows.device)
    # A row's maximum is NaN, +inf or -inf exactly when the row is bad.
    return rows.amax(dim=1).isfinite()


def softmax(rows: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """Warped probabilities of float64 rows (B, V) that hold logits.

    As in the CPU kernels, exponentials below e^`SMALLEST_EXPONENT` are 0.

    Example:
        >>> softmax(torch.tensor([[1000.0, 0.0]]), 1.0, None, None).tolist()
        [[1.0, 0.0]]
    """
    if temperature == 0.0:
        return torch.zeros_like(rows).scatter(1, rows.argmax(dim=1, keepdim=True), 1.0)
    if top_k is not None and top_k < rows.shape[1]:
        kth_largest = rows.topk(top_k, dim=1).values[:, -1:]
        rows = rows.masked_fill(rows < kth_largest, -torch.inf)
    rows = (rows - rows.amax(dim=1, keepdim=True)) / temperature
    rows.masked_fill_(rows < SMALLEST_EXPONENT, -torch.inf)
    probabilities = rows.exp_()
    probabilities = probabilities / total(probabilities)
    return probabilities if top_p is None or top_p == 1.0 else _nucleus(probabilities, top_p)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    ranked, order = probabilities.sort(dim=1, descending=True, stable=True)
    removed = ranked.cumsum(dim=1) - ranked >= top_p
    # The first token stays whatever rounding says of the mass before it.
    removed[:, 0] = False
    kept = torch.zeros_like(ranked).scatter(1, order, ranked.masked_fill(removed, 0.0))
    return kept / total(kept)
