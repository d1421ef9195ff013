"""Control variates: numbers of mean 0 whose part of a bound's noise is taken away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdbound.trees.optima.path_bound.design import ContextDesigns
from mdbound.trees.optima.path_bound.hats import Floats

#: Ridges that are tried: more holds the coefficients closer to 0, as few contexts need.
RIDGES = (3.0, 30.0, 300.0, 3000.0)


@dataclass(frozen=True)
class Controls:
    """Coefficients, from other contexts than they are used on.

    Attributes:
        coefficients: Of `controls_of`.
    """

    coefficients: Floats

    def taken_from(self, values: Floats, designs: ContextDesigns) -> Floats:
        """Values of contexts with less noise and the same expectation."""
        return np.asarray(values - controls_of(designs) @ self.coefficients)


def controls_of(designs: ContextDesigns) -> Floats:
    """Sums along paths of hats less their means under the draft, and of texts under the target.

    Each has mean 0 whatever the context is; at contexts without a text its part is 0.

    Returns:
        (n, 2 L B).
    """
    contexts = len(designs.has_text)
    drafted = designs.drafted.token - designs.drafted.draft
    of_paths = drafted.reshape(contexts, designs.num_paths, -1).mean(axis=1)
    of_text = (designs.text.token - designs.text.target).reshape(contexts, -1)
    return np.concatenate([of_paths, of_text * designs.has_text[:, None]], axis=1)


def fit_controls(values: Floats, designs: ContextDesigns) -> Controls:
    """Coefficients that leave least variance, the ridge chosen on a part that they are not from.

    Args:
        values: Of the contexts, whose noise is to be explained.
        designs: Of these contexts, the documents in order.
    """
    numbers = controls_of(designs)
    half = len(values) // 2
    least, chosen = float(np.var(values[half:])), None
    for ridge in RIDGES:
        found = _ridge(numbers[:half], values[:half], ridge)
        left = float(np.var(values[half:] - numbers[half:] @ found))
        if left < least:
            least, chosen = left, ridge
    if chosen is None:
        return Controls(np.zeros(numbers.shape[1]))
    return Controls(_ridge(numbers, values, chosen))


def _ridge(numbers: Floats, values: Floats, ridge: float) -> Floats:
    if not len(values):
        return np.zeros(numbers.shape[1])
    gram = numbers.T @ numbers
    gram[np.diag_indices_from(gram)] += ridge
    return np.asarray(np.linalg.solve(gram, numbers.T @ (values - values.mean())))
