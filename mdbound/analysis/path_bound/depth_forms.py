"""The bound by depth in three forms, thresholds from one part of the contexts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mdbound.analysis.path_bound.contexts import BoundContexts, Floats
from mdbound.analysis.trees.depth_terms import LOG_THRESHOLDS
from mdbound.trees import Paths
from mdbound.trees.optima.path_bound.design import FAR
from mdbound.trees.optima.path_bound.subsets import mean_largest

Chosen = NDArray[np.int64]
"""Contexts by number."""


def depth_values(contexts: BoundContexts, law: Paths, chosen: Chosen, reported: Chosen) -> Floats:
    """S at contexts, (n,), with the thresholds that are least on others."""
    terms = contexts.depth_terms[law]
    best = terms[chosen].mean(axis=0).argmin(axis=1)
    return np.asarray(terms[reported][:, np.arange(law.depth), best].sum(axis=1))


def largest_sum_values(
    contexts: BoundContexts, law: Paths, chosen: Chosen, reported: Chosen
) -> Floats:
    """Sum over d of p(H_d), and the mean of the largest number of prefixes of a path outside H_d.

    Never above S for the same thresholds, in expectation. p(H_d) is from the text; at contexts
    without one it is S.
    """
    terms = contexts.depth_terms[law]
    thresholds = LOG_THRESHOLDS[terms[chosen].mean(axis=0).argmin(axis=1)]
    drafted, text = _ends(contexts, law.depth)
    outside = (drafted[reported] >= thresholds).sum(axis=2).astype(np.float64)
    inside = (text[reported] < thresholds).sum(axis=1)
    values = inside + mean_largest(outside, law.num_paths)
    instead = depth_values(contexts, law, chosen, reported)
    return np.asarray(np.where(_has_text(contexts, law)[reported], values, instead))


def text_values(contexts: BoundContexts, law: Paths, chosen: Chosen, reported: Chosen) -> Floats:
    """S from texts alone, tangents in place of the concave part; S at contexts without a text.

    With r = p/q of the text's first d tokens it is p(H_d) + 1 - (1 - E[1(r >= s)/r])^K, concave in
    the expectation, which is replaced by its tangent where the other contexts have it.
    """
    _, text = _ends(contexts, law.depth)
    fitted = chosen[_has_text(contexts, law)[chosen]]
    total = np.zeros(len(reported))
    for depth in range(law.depth):
        ratio = text[:, depth]
        outside = ratio[fitted, None] >= LOG_THRESHOLDS
        masses = (outside * np.exp(-np.maximum(ratio[fitted, None], LOG_THRESHOLDS[0]))).mean(
            axis=0
        )
        masses = np.clip(masses, 0.0, 1.0)
        values = (~outside).mean(axis=0) + 1.0 - (1.0 - masses) ** law.num_paths
        best = int(values.argmin())
        least, mass = LOG_THRESHOLDS[best], masses[best]
        own = ratio[reported]
        weight = np.where(own >= least, np.exp(-np.maximum(own, least)), 0.0)
        slope = law.num_paths * (1.0 - mass) ** (law.num_paths - 1)
        total += (own < least) + slope * (weight - mass) + 1.0 - (1.0 - mass) ** law.num_paths
    instead = depth_values(contexts, law, chosen, reported)
    return np.asarray(np.where(_has_text(contexts, law)[reported], total, instead))


def _ends(contexts: BoundContexts, depth: int) -> tuple[Floats, Floats]:
    """Logarithms of p/q of the prefixes of paths, (n, K, L), and of texts, (n, L)."""
    features = contexts.features
    made = []
    for rows, shape in (
        (features.drafted, features.shape),
        (features.text, features.shape[::2]),
    ):
        ratio = np.clip(rows.ratio.reshape(shape)[..., :depth], -FAR, FAR)
        made.append(np.cumsum(ratio, axis=-1))
    return made[0], made[1]


def _has_text(contexts: BoundContexts, law: Paths) -> NDArray[np.bool_]:
    return contexts.features.text_left >= law.depth


def depth_forms(
    contexts: BoundContexts, law: Paths, chosen: Chosen
) -> Mapping[str, Callable[[BoundContexts, Paths, Chosen, Chosen], Floats]]:
    """The forms that there is something to know of: all, or S alone where no text is known.

    Args:
        contexts: All of them.
        law: K paths of L tokens.
        chosen: Contexts that thresholds are from.
    """
    if law not in contexts.depth_terms:
        return {}
    if not _has_text(contexts, law)[chosen].any():
        return {"depth_bound": DEPTH_FORMS["depth_bound"]}
    return DEPTH_FORMS


DEPTH_FORMS: Mapping[str, Callable[[BoundContexts, Paths, Chosen, Chosen], Floats]] = (
    MappingProxyType(
        {
            "depth_bound": depth_values,
            "depth_bound_largest_sum": largest_sum_values,
            "depth_bound_text": text_values,
        }
    )
)
"""By name in results."""
