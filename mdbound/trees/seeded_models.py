"""Random tiny models, the same for the same seed: what gaps between verifiers are measured on."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mdbound.errors import refuse_unknown
from mdbound.paths.tiny.model import Model, Prefix, Row, strings

Pair: TypeAlias = tuple[Model, Model]
"""Target and draft: rows for every prefix up to the length of a path."""


def _integer_weights(
    rng: np.random.Generator, vocab_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights 0..6 in each row, at least one positive; target and draft are independent."""
    rows = []
    for _ in range(2):
        weights = rng.integers(0, 7, size=vocab_size)
        while not weights.any():
            weights = rng.integers(0, 7, size=vocab_size)
        rows.append(weights.astype(np.float64))
    return rows[0], rows[1]


def _language(
    rng: np.random.Generator, vocab_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Logits N(0, 1.5) of the target; the draft's are these with noise N(0, 1)."""
    logits = rng.normal(0.0, 1.5, size=vocab_size)
    noisy = logits + rng.normal(0.0, 1.0, size=vocab_size)
    return np.exp(logits), np.exp(noisy)


GENERATORS: dict[
    str,
    Callable[[np.random.Generator, int], tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]],
] = {"uniform": _integer_weights, "language": _language}
"""Weights of the rows of target and draft at one prefix, by name."""


def seeded_pair(
    generator: str, vocab_size: int, length: int, seed: int, instance: int, exact: bool = False
) -> Pair:
    """A random target and draft with a row for every prefix.

    Args:
        generator: `"uniform"` (integer weights 0..6 a row, at least one positive, both models
            independent) or `"language"` (logits N(0, 1.5), the draft's with noise N(0, 1)).
        vocab_size: V.
        length: L; rows are for prefixes of up to L tokens.
        seed: of the series.
        instance: number in the series.
        exact: rows of fractions, where weights are whole numbers.

    Raises:
        InvalidSettingError: no such generator.

    Example:
        >>> p, q = seeded_pair("uniform", 2, 1, seed=0, instance=0, exact=True)
        >>> sorted(p), sum(p[()])
        ([(), (0,), (1,)], Fraction(1, 1))
    """
    refuse_unknown([generator], GENERATORS, "`generator`")
    rng = np.random.default_rng([seed, instance, vocab_size, length])
    target: dict[Prefix, Row] = {}
    draft: dict[Prefix, Row] = {}
    for depth in range(length + 1):
        for prefix in strings(vocab_size, depth):
            weights = GENERATORS[generator](rng, vocab_size)
            target[prefix], draft[prefix] = (_scaled(each, exact) for each in weights)
    return target, draft


def _scaled(weights: npt.NDArray[np.float64], exact: bool) -> Row:
    if exact:
        whole = [Fraction(float(weight)) for weight in weights]
        return tuple(weight / sum(whole) for weight in whole)
    return tuple((weights / weights.sum()).tolist())
