"""Draft mass of each class of rounded ratios, at full vocabulary: one pass over a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds.numerics.compiled.kernels import kernel
from mdbound.bounds.problem.array_types import FloatArray, IntArray
from mdbound.bounds.problem.checks import check_pair
from mdbound.errors import InvalidSettingError
from mdbound.trees.verifiers.quantile.items import RoundedRatios

CELL_BITS = 7
"""Bits of the mantissa that choose a cell: at 7 a cell is narrower than a class of the smallest
step, so that it holds one edge at most and one comparison settles it; more make a larger table."""

_SHIFT = 52 - CELL_BITS
_LANES = 4
"""Histograms that are filled in turn, so that an addition does not wait for the one before it."""


@dataclass(frozen=True)
class ClassMasses:
    """What a text says about the order of paths, position by position.

    Attributes:
        masses: draft mass of each class, (N, C).
        token_class: class of the text's token, (N,).
    """

    masses: FloatArray
    token_class: IntArray


@kernel
def _fill(
    p: FloatArray,
    q: FloatArray,
    edges: FloatArray,
    first: IntArray,
    base: int,
    masses: FloatArray,
    ratio: FloatArray,
) -> None:
    classes = masses.shape[1]
    lanes = np.zeros((_LANES, classes))
    cells = len(first)
    for row in range(len(q)):
        lanes[:] = 0.0
        for i in range(q.shape[1]):
            ratio[i] = p[row, i] / q[row, i] if q[row, i] > 0.0 else 1.0
        bits = ratio.view(np.int64)
        for i in range(q.shape[1]):
            cell = min(max((bits[i] >> _SHIFT) - base, 0), cells - 1)
            place = first[cell]
            # A cell holds one edge at most, and after the last class there is none.
            place += ratio[i] >= edges[place]
            lanes[i & (_LANES - 1), place] += q[row, i]
        for c in range(classes):
            total = 0.0
            for lane in range(_LANES):
                total += lanes[lane, c]
            masses[row, c] = total


def class_masses(
    target: npt.ArrayLike, draft: npt.ArrayLike, token: npt.ArrayLike, step: float = 0.05
) -> ClassMasses:
    """Masses of the classes of `RoundedRatios(step)`, and the class of a token, a row each.

    Args:
        target: p, shape (N, V).
        draft: q, shape (N, V).
        token: the text's tokens, (N,).
        step: of the logarithm of p/q.

    Raises:
        InvalidDistributionError: rows that are no distributions.
        InvalidSettingError: a step out of range, or tokens that are none.

    Example:
        >>> found = class_masses([[0.5, 0.5]], [[0.25, 0.75]], [1], step=1.0)
        >>> found.masses[0, 3:5].tolist(), found.token_class.tolist()
        ([0.75, 0.25], [3])
    """
    p, q = check_pair(np.atleast_2d(target), np.atleast_2d(draft))
    tokens = np.asarray(token, dtype=np.int64)
    if tokens.shape != (len(p),) or ((tokens < 0) | (tokens >= p.shape[1])).any():
        raise InvalidSettingError(
            f"`token` has shape {tokens.shape}: give one id from 0 to {p.shape[1] - 1} a row"
        )
    classes = RoundedRatios(step)
    edges = classes.edges
    first, base = _cells(edges)
    masses = np.zeros((len(p), len(edges) + 1))
    _fill(p, q, np.append(edges, np.inf), first, base, masses, np.empty(p.shape[1]))
    rows = np.arange(len(p))
    own = np.full(len(p), np.inf)
    np.divide(p[rows, tokens], q[rows, tokens], out=own, where=q[rows, tokens] > 0.0)
    return ClassMasses(masses, np.searchsorted(edges, own, side="right"))


def _cells(edges: FloatArray) -> tuple[IntArray, int]:
    """For each cell of leading bits the class of its least ratio, and the first cell's bits."""
    base = int(edges[:1].view(np.int64)[0] >> _SHIFT)
    last = int(edges[-1:].view(np.int64)[0] >> _SHIFT)
    starts = (np.arange(base, last + 1, dtype=np.int64) << _SHIFT).view(np.float64)
    first = np.searchsorted(edges, starts, side="right")
    first[0] = 0  # smaller ratios than any cell's come here, too
    return first, base
