"""The bound by depth, from captured trees: its terms at a grid of thresholds.

With thresholds s_d fixed beforehand, H_d the strings x with p(x)/q(x) below s_d, and r = p/q of the
first d - 1 tokens of a path of the draft, the last token summed over the vocabulary:

    S_d = 1 + r sum of p(t) over t in H - product over nodes of depth d - 1 of P(their list in H).

Its expectation is a bound for every verifier of either class, whatever the thresholds are; so they
are chosen on one half of the documents and the bound is reported on the other. Of K paths the first
part is a mean over them; of other trees it is that of the first draws, which are a path of the
draft where lists are drawn with or without replacement, and of no other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mdbound import bounds
from mdbound.errors import refuse_unknown
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, Paths, TreeLaw
from mdbound.trees.drafting.tree_law import NodewiseLaw
from mdbound.trees.verifiers.rows import Rows

Floats = NDArray[np.float64]

#: Logarithms of the thresholds: 1 is never far from the best, which falls with the depth. A finer
#: grid gains nothing that the halves would not take back; without replacement, where each costs an
#: integral, it would cost minutes.
LOG_THRESHOLDS: Floats = np.round(np.arange(-3.0, 3.0001, 0.1), 10)
COARSE_THRESHOLDS: Floats = np.round(np.arange(-3.0, 3.0001, 0.25), 10)


def has_depth_terms(law: TreeLaw) -> bool:
    """Whether the bound by depth can be estimated from trees of a law.

    Example:
        >>> from mdbound.trees import Branching
        >>> has_depth_terms(Paths(2, 3)), has_depth_terms(Branching((2, 2), "greedy"))
        (True, False)
    """
    return isinstance(law, NodewiseLaw) and law.sampling in _CONTAINMENT


def depth_terms(target: Rows, draft: Rows, tree: DraftedTree, law: TreeLaw) -> Floats:
    """S_d at every threshold, from the tree of one context.

    Args:
        target: Rows of p at every internal node, float64.
        draft: Rows of q there.
        tree: The tree.
        law: How it was drawn: node by node, with or without replacement.

    Returns:
        (L, thresholds).

    Raises:
        InvalidSettingError: Lists of another law.

    Example:
        >>> row, tree = np.array([0.5, 0.5]), DraftedTree({(): (0, 1)})
        >>> terms = depth_terms({(): row}, {(): row}, tree, Paths(2, 1))
        >>> terms.min().item(), terms.shape == (1, len(LOG_THRESHOLDS))
        (1.0, True)
    """
    refuse_unknown([law.sampling], _CONTAINMENT, "the bound by depth: `sampling`")
    containment, thresholds = _CONTAINMENT[law.sampling]
    chains = tree.paths() if isinstance(law, Paths) else (tree.first_path(),)
    ratios = _joint_ratios(target, draft, tree)
    terms = np.empty((law.depth, len(thresholds)))
    for depth in range(law.depth):
        first = np.zeros(len(thresholds))
        for chain in chains:
            node = chain[:depth]
            below = _below(ratios[node], target[node], thresholds)
            first += np.exp(_before(ratios, node)) * below / len(chains)
        inside = np.ones(len(thresholds))
        for node in tree.internal():
            if len(node) == depth:
                lists = len(tree.drafted[node])
                inside *= containment(ratios[node], draft[node], lists, thresholds)
        terms[depth] = 1.0 + first - inside
    return terms


def _joint_ratios(target: Rows, draft: Rows, tree: DraftedTree) -> dict[Prefix, Floats]:
    """For each internal node log p/q of the strings that its children end."""
    found: dict[Prefix, Floats] = {}
    for node in tree.internal():
        found[node] = _log_ratio(target[node], draft[node]) + _before(found, node)
    return found


def _before(ratios: dict[Prefix, Floats], node: Prefix) -> float:
    return float(ratios[node[:-1]][node[-1]]) if node else 0.0


def _with_replacement(ratio: Floats, q: Floats, count: int, thresholds: Floats) -> Floats:
    return np.asarray(_below(ratio, q, thresholds) ** count)


def _without_replacement(ratio: Floats, q: Floats, count: int, thresholds: Floats) -> Floats:
    """Integrals only where some of the draft's mass is on either side, and for each set once."""
    mass = _below(ratio, q, thresholds)
    known: dict[float, float] = {}
    for inside, threshold in zip(mass.tolist(), np.exp(thresholds), strict=True):
        if inside not in known:
            subset = ratio < np.log(threshold)
            known[inside] = bounds.containment(q, subset, count, "without_replacement")
    return np.array([known[inside] for inside in mass.tolist()])


_Containment = Callable[[Floats, Floats, int, Floats], Floats]

_CONTAINMENT: dict[str, tuple[_Containment, Floats]] = {
    "with_replacement": (_with_replacement, LOG_THRESHOLDS),
    "without_replacement": (_without_replacement, COARSE_THRESHOLDS),
}
"""P(all tokens of a list have a ratio below each threshold), by the law of the list."""


def _log_ratio(p: Floats, q: Floats) -> Floats:
    """log(p/q), -inf where p is 0, inf where only q is."""
    found = np.full(len(p), -np.inf)
    with np.errstate(divide="ignore"):
        np.subtract(np.log(p), np.log(q), out=found, where=p > 0.0)
    return found


def _below(ratio: Floats, masses: Floats, thresholds: Floats) -> Floats:
    """Mass on tokens whose log-ratio is below each threshold."""
    # The first threshold that a token's ratio is below.
    place = np.searchsorted(thresholds, ratio, side="right")
    found = np.bincount(place, weights=masses, minlength=len(thresholds) + 1)
    return np.cumsum(found.astype(np.float64))[:-1]
