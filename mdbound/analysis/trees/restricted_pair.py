"""A real pair cut down to what can be solved: its likeliest tokens at every node of a small tree.

A capture of a full tree of the n likeliest draft tokens at each node has both models' rows at all
of its prefixes. Restricted to those tokens and scaled to sum to 1 they are a pair of models over n
tokens, in which token k is the k-th likeliest of its node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound import trees
from mdbound.analysis.solving.solve_cache import SolveProgress
from mdbound.analysis.trees.captured_law import CapturedLaw, captured_laws
from mdbound.analysis.trees.contexts import ContextTree, contexts_of
from mdbound.analysis.trees.gap_series import VERIFIERS
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.paths.tiny.model import Prefix, Row
from mdbound.trees import Branching, full
from mdbound.trees.optima.gaps import InstanceValues, gaps_of, instance_values
from mdbound.trees.seeded_models import Pair
from mdbound.trees.verifiers.rows import one_draft

#: Name of the series in tables and figures.
PAIR = "pair"


def restricted_pair(context: ContextTree) -> Pair:
    """Both models at one context, over the tokens drafted at each node.

    Example:
        >>> from mdbound.trees import DraftedTree
        >>> p, q = np.array([0.5, 0.25, 0.25]), np.array([0.2, 0.6, 0.2])
        >>> context = ContextTree(0, 0, 0, DraftedTree({(): (1, 0)}), {(): p}, {(): q})
        >>> [[round(x, 3) for x in model[()]] for model in restricted_pair(context)]
        [[0.333, 0.667], [0.75, 0.25]]
    """
    target: dict[Prefix, Row] = {}
    draft: dict[Prefix, Row] = {}
    renamed: dict[Prefix, Prefix] = {(): ()}
    for node in context.tree.internal():
        tokens = list(context.tree.drafted[node])
        own = renamed[node]
        renamed |= {(*node, token): (*own, rank) for rank, token in enumerate(tokens)}
        target[own] = _scaled(context.target[node][tokens])
        draft[own] = _scaled(one_draft(context.draft, "restricted pair")[node][tokens])
    return target, draft


def gaps_of_pair(
    cache: LogitsCache,
    num_paths: int,
    on_progress: Callable[[SolveProgress], None] | None = None,
) -> pl.DataFrame:
    """Mean gaps to the optimum of one call on a real pair, restricted to its likeliest tokens.

    Args:
        cache: A capture of full trees of the likeliest tokens.
        num_paths: K.
        on_progress: Called after each context.

    Returns:
        As `gap_series`, of one series; documents are the instances, their contexts averaged, so
        that standard errors are over documents.

    Raises:
        InvalidSettingError: The capture holds no such trees, or fewer than two documents.
        CacheError: The capture is damaged.
    """
    (law,) = captured_laws(cache, ())[:1]
    tokens, length = _size(law)
    rules = [trees.verifier(name) for name in VERIFIERS]
    of_document: dict[int, list[InstanceValues]] = {}
    total = sum(len(cache.read_path_nodes(shard, law.drafts[0])) for shard in cache.shards)
    for done, context in enumerate(_contexts(cache, law), start=1):
        pair = restricted_pair(context)
        found = instance_values(*pair, trees.Paths(num_paths, length), rules)
        of_document.setdefault(context.doc_id, []).append(found)
        if on_progress is not None:
            on_progress(SolveProgress(done, total, done))
    if len(of_document) < 2:
        raise InvalidSettingError(f"{cache.path} has trees of fewer than two documents")
    values = [_mean(each) for each in of_document.values()]
    optimum = float(np.mean([each.one_call for each in values]))
    size = {"generator": PAIR, "vocab_size": tokens, "length": length, "num_paths": num_paths}
    return pl.DataFrame(
        [
            {
                **size,
                "instances": len(values),
                "optimum": optimum,
                "value": name,
                "gap": gap.mean,
                "standard_error": gap.standard_error,
                "largest": gap.largest,
            }
            for name, gap in gaps_of(values).items()
        ]
    )


def _size(law: CapturedLaw) -> tuple[int, int]:
    """V and L of the restricted pair."""
    drawn = law.law
    if isinstance(drawn, Branching) and drawn.sampling == "top_k":
        count = drawn.num_draws(())
        if drawn.children == full((count,) * drawn.depth):
            return count, drawn.depth
    raise InvalidSettingError(
        f"the capture holds a {drawn.title()}: a restricted pair needs full trees of the likeliest "
        "tokens; capture with `tree` 3x3 and `tree_sampling` top_k"
    )


def _contexts(cache: LogitsCache, law: CapturedLaw) -> Iterator[ContextTree]:
    for shard in cache.shards:
        yield from contexts_of(cache, law, shard)


def _mean(values: list[InstanceValues]) -> InstanceValues:
    lengths = {
        name: float(np.mean([each.lengths[name] for each in values])) for name in values[0].lengths
    }
    of_bounds = [
        float(np.mean([getattr(each, name) for each in values]))
        for name in ("one_call", "carried", "depth_bound")
    ]
    return InstanceValues(of_bounds[0], of_bounds[1], of_bounds[2], lengths)


def _scaled(masses: NDArray[np.float64]) -> Row:
    total = masses.sum()
    if not total > 0.0:
        # The target has nothing there: text never comes below, and any row will do.
        return tuple([1.0 / len(masses)] * len(masses))
    return tuple((masses / total).tolist())
