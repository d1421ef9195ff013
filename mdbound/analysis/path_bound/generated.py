"""Generated contexts: their bounds, and what verifiers accept of the same paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mdbound import trees
from mdbound.analysis.path_bound.contexts import BoundContexts, Floats, Places
from mdbound.analysis.trees.depth_terms import depth_terms
from mdbound.trees import Paths
from mdbound.trees.generated_contexts import VOCAB_SIZE, GeneratedContext, generated_context
from mdbound.trees.optima.path_bound.features import (
    PathFeatures,
    RowFeatures,
    joined,
    row_features,
)
from mdbound.trees.optima.path_bound.hats import BASES

#: Verifiers beside the bounds, from the one that knows least.
VERIFIERS = ("block_first_path", "gbv", "quantile", "traversal")


def generated_bounds(
    law: Paths,
    contexts: int,
    seed: int,
    verifiers: Sequence[str] = VERIFIERS,
    on_context: Callable[[], None] | None = None,
) -> tuple[BoundContexts, dict[str, Floats]]:
    """Contexts of a series, and what verifiers accept of each one's paths, coins summed over.

    Args:
        law: K paths of L tokens.
        contexts: How many.
        seed: Of the series.
        verifiers: Names.
        on_context: Called after each.
    """
    rules = {name: trees.lagged(trees.runnable_verifier(name), law) for name in verifiers}
    accepted: dict[str, list[float]] = {name: [] for name in rules}
    drafted, text, terms, entropy, overlap = [], [], [], [], []
    for number in range(contexts):
        context = generated_context(seed, number, law.num_paths, law.length)
        drafted.append(_along(context, context.paths))
        text.append(_along(context, context.text[None]))
        tree = context.tree()
        target, draft = context.rows(tree)
        terms.append(depth_terms(target, draft, tree, law))
        for name, rule in rules.items():
            accepted[name].append(float(sum(rule.tail(target, draft, tree))))
        row = context.target[VOCAB_SIZE]
        entropy.append(float(-np.sum(row * np.log(row))))
        overlap.append(float(np.minimum(row, context.draft[VOCAB_SIZE]).sum()))
        if on_context is not None:
            on_context()
    numbers = np.arange(contexts)
    none = np.zeros(contexts, np.int64)
    places = Places(
        numbers, ["generated"] * contexts, none, none, np.array(entropy), np.array(overlap)
    )
    features = PathFeatures(
        joined(drafted),
        joined(text),
        (contexts, law.num_paths, law.length),
        np.full(contexts, law.length),
    )
    found = {name: np.array(each) for name, each in accepted.items()}
    return BoundContexts(places, features, {law: np.array(terms)}), found


def _along(
    context: GeneratedContext, paths: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> RowFeatures:
    """Features of paths, (K, L)."""
    last = np.concatenate([np.full((len(paths), 1), VOCAB_SIZE), paths[:, :-1]], axis=1).ravel()
    return row_features(context.target[last], context.draft[last], paths.ravel(), BASES)
