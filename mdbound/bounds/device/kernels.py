"""The draft laws' solvers as torch operations, by the name of the law.

A new law runs on devices with a kernel in a file of its own and one entry here; without one its
rows go through the CPU kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mdbound.bounds.device import greedy as torch_greedy
from mdbound.bounds.device import independent as torch_independent
from mdbound.bounds.device import with_replacement as torch_with_replacement
from mdbound.bounds.device import without_replacement as torch_without_replacement
from mdbound.bounds.device.sums import Tensor
from mdbound.bounds.problem.solution import AcceptanceCurve


class Kernel(NamedTuple):
    """A law on a device.

    Attributes:
        solve: from checked float64 target rows (B, V), draft rows (one (B, V) tensor for each
            distribution of the law) and N to a curve that carries tensors.
        softmax_error: what the probabilities' own rounding adds to the curve's error bound when
            they come from logits: from the draft rows and N to (1, N) or (B, N).
    """

    solve: Callable[[Tensor, Sequence[Tensor], int], AcceptanceCurve]
    softmax_error: Callable[[Sequence[Tensor], int], Tensor]


KERNELS: dict[str, Kernel] = {
    "with_replacement": Kernel(
        torch_with_replacement.with_replacement, torch_with_replacement.softmax_error
    ),
    "without_replacement": Kernel(
        torch_without_replacement.without_replacement, torch_without_replacement.softmax_error
    ),
    "greedy": Kernel(torch_greedy.greedy, torch_greedy.softmax_error),
    "independent": Kernel(torch_independent.independent, torch_independent.softmax_error),
}
"""What runs on a device, by the name of the law."""
