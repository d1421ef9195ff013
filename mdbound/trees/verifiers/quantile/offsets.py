"""Offsets: how much a bin of what comes below adds to the score of a token."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from mdbound.errors import InvalidSettingError

NUM_BINS = 16
"""Bins of a child's quantile: 8 lose 1.5 % of the length at (8, 4), 32 gain 0.8 % for twice the
table."""

SPREAD = 1.0
"""Standard deviation of log(p/q) under the draft, where none was measured."""


def default_share(num_paths: int) -> float:
    """`a`: how much the rest of a path counts beside its next token, by the number of paths.

    The optimum is flat: 0.1 to either side changes little.

    Example:
        >>> [default_share(k) for k in (2, 3, 4, 8)]
        [0.5, 0.6, 0.7, 0.9]
    """
    return round(min(0.9, 0.5 + 0.1 * max(0, num_paths - 2)), 1)


def gaussian_bins(
    length: int, share: float, spread: float = SPREAD, num_bins: int = NUM_BINS
) -> list[list[float]]:
    """Multipliers e^h of the bins of a child at each depth, as if log-ratios were normal.

    h_d(j) = a s_d z_j, z_j the normal quantile of the middle of bin j, and s_d^2 the variance of
    the discounted sum of log-ratios below, spread^2 (1 + a^2 + ... + a^(2 (L-2-d))).

    Args:
        length: L, tokens of a path.
        share: a, from 0 (paths are ordered by their first token, ties at random) to 1 (by the
            ratio of the whole path).
        spread: standard deviation of log(p/q) of drafted tokens.
        num_bins: N.

    Returns:
        L lists; the last is `[1.0]`, since nothing comes below a path's end.

    Raises:
        InvalidSettingError: a number out of range.

    Example:
        >>> [len(bins) for bins in gaussian_bins(3, 0.5, num_bins=4)]
        [4, 4, 1]
    """
    if length < 1 or num_bins < 1 or not 0.0 <= share <= 1.0 or not 0.0 <= spread < np.inf:
        raise InvalidSettingError(
            f"`length` is {length}, `share` {share}, `spread` {spread}, `num_bins` {num_bins}: "
            "give whole numbers of 1 or more, a share from 0 to 1, and a spread of 0 or more"
        )
    normal = NormalDist()
    middles = [normal.inv_cdf((place + 0.5) / num_bins) for place in range(num_bins)]
    found = []
    for depth in range(length - 1):
        variance = sum(share ** (2 * i) for i in range(length - 1 - depth))
        scale = share * spread * float(np.sqrt(variance))
        found.append([float(np.exp(scale * middle)) for middle in middles])
    return [*found, [1.0]]


def pooled_bins(
    log_ratios: npt.ArrayLike,
    weights: npt.ArrayLike,
    length: int,
    share: float,
    num_bins: int = NUM_BINS,
) -> list[list[float]]:
    """Multipliers from measured log-ratios: quantiles of their discounted sums, centred.

    Args:
        log_ratios: values of log(p/q), (n,).
        weights: draft mass of each, (n,).
        length: L.
        share: a.
        num_bins: N.

    Raises:
        InvalidSettingError: a number out of range, or no weight.

    Example:
        >>> bins = pooled_bins([0.0, 1.0], [0.5, 0.5], 2, 1.0, num_bins=2)
        >>> np.log(bins[0]).round(6).tolist()
        [-0.5, 0.5]
    """
    values, mass = np.asarray(log_ratios, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if values.shape != mass.shape or not mass.sum() > 0.0 or not 0.0 <= share <= 1.0:
        raise InvalidSettingError(
            f"`log_ratios` has shape {values.shape}, `weights` {mass.shape} and `share` is {share}:"
            " give a weight for each, not all 0, and a share from 0 to 1"
        )
    middles = (np.arange(num_bins) + 0.5) / num_bins
    below, below_mass = values, mass / mass.sum()
    found = [[1.0]]
    for _ in range(length - 1):
        offsets = share * _quantiles(below, below_mass, middles)
        offsets -= offsets.mean()
        found.insert(0, np.exp(offsets).tolist())
        # The law of (log-ratio + offset), on as many points as there were at first.
        sums = (values[:, None] + offsets[None, :]).ravel()
        of_sums = np.repeat(mass / mass.sum() / num_bins, num_bins)
        grid = (np.arange(len(values)) + 0.5) / len(values)
        below, below_mass = _quantiles(sums, of_sums, grid), np.full(len(grid), 1.0 / len(grid))
    return found


def _quantiles(
    values: npt.NDArray[np.float64], mass: npt.NDArray[np.float64], levels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(mass[order])
    places = np.searchsorted(upto, levels * upto[-1])
    return np.asarray(values[order][np.minimum(places, len(values) - 1)])
