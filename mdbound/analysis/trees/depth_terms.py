"""The bound by depth, from captured paths: its terms at a grid of thresholds.

With thresholds s_d fixed beforehand, H_d the strings x with p(x)/q(x) below s_d, and r = p/q of the
first d - 1 tokens of a path, the last token summed over the vocabulary:

    S_d = 1 + mean over paths of r sum of p(t) over t in H - product over paths of q(t in H).

Its expectation is a bound for every verifier of either class, whatever the thresholds are; so they
are chosen on one half of the documents and the bound is reported on the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdbound.paths.tiny.model import Prefix
from mdbound.trees.verifiers.rows import Rows

Floats = NDArray[np.float64]

#: Logarithms of the thresholds: 1 is never far from the best, which falls with the depth. A finer
#: grid gains nothing that the halves would not take back.
LOG_THRESHOLDS: Floats = np.round(np.arange(-3.0, 3.0001, 0.1), 10)


def depth_terms(target: Rows, draft: Rows, paths: tuple[Prefix, ...]) -> Floats:
    """S_d at every threshold, from the paths of one context.

    Args:
        target: Rows of p at every prefix of the paths but themselves, float64.
        draft: Rows of q there.
        paths: K i.i.d. paths of L tokens.

    Returns:
        (L, thresholds).

    Example:
        >>> row = np.array([0.5, 0.5])
        >>> terms = depth_terms({(): row}, {(): row}, ((0,), (1,)))
        >>> terms.min().item(), terms.shape == (1, len(LOG_THRESHOLDS))
        (1.0, True)
    """
    length = len(paths[0])
    ratios = {node: _log_ratio(target[node], draft[node]) for node in _nodes(paths)}
    terms = np.empty((length, len(LOG_THRESHOLDS)))
    for depth in range(length):
        first = np.zeros(len(LOG_THRESHOLDS))
        inside = np.ones(len(LOG_THRESHOLDS))
        for path in paths:
            node = path[:depth]
            before = sum(float(ratios[path[:d]][path[d]]) for d in range(depth))
            below = _below(ratios[node] + before, target[node], draft[node])
            first += np.exp(before) * below[0] / len(paths)
            inside *= below[1]
        terms[depth] = 1.0 + first - inside
    return terms


def _nodes(paths: tuple[Prefix, ...]) -> set[Prefix]:
    return {path[:depth] for path in paths for depth in range(len(path))}


def _log_ratio(p: Floats, q: Floats) -> Floats:
    """log(p/q), -inf where p is 0, inf where only q is."""
    found = np.full(len(p), -np.inf)
    with np.errstate(divide="ignore"):
        np.subtract(np.log(p), np.log(q), out=found, where=p > 0.0)
    return found


def _below(ratio: Floats, p: Floats, q: Floats) -> tuple[Floats, Floats]:
    """Masses of p and q on tokens whose log-ratio is below each threshold."""
    # The first threshold that a token's ratio is below.
    place = np.searchsorted(LOG_THRESHOLDS, ratio, side="right")
    count = len(LOG_THRESHOLDS) + 1
    of_target, of_draft = (
        np.cumsum(np.bincount(place, weights=each, minlength=count).astype(np.float64))
        for each in (p, q)
    )
    return of_target[:-1], of_draft[:-1]
