"""Captured contexts with their trees, and both models' distributions at the nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbound.analysis.trees.captured_law import CapturedLaw
from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.captured_paths import CapturedTree
from mdbound.logits_cache.store.manifest import ShardInfo
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, tree_of_paths
from mdbound.trees.verifiers.verifier import DraftRows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ContextTree:
    """A context of the text with the tree that was drawn there.

    Attributes:
        doc_id: Its document.
        position: Its position there.
        number: Number of the tree among those at the context.
        tree: The tree.
        target: Distributions of the target by node, leaves included where the capture has them.
        draft: Distributions of the draft by internal node; where each path has a law of its own,
            these by path, at the nodes that it passes.
    """

    doc_id: int
    position: int
    number: int
    tree: DraftedTree
    target: Mapping[Prefix, Floats]
    draft: DraftRows


def contexts_of(cache: LogitsCache, law: CapturedLaw, shard: ShardInfo) -> Iterator[ContextTree]:
    """The contexts of a shard, one in memory at a time.

    Raises:
        CacheError: The shard is missing or damaged.
        InvalidDistributionError: Logits that no distribution can be made of.
    """
    streams = [cache.iter_trees(name, shards=[shard.index]) for name in dict.fromkeys(law.drafts)]
    for found in zip(*streams, strict=True):
        if len({(one.doc_id, one.position, one.number) for one in found}) > 1:
            raise CacheError(f"{cache.path}: drafts drew at different contexts; capture again")
        yield _of_one_law(found[0], law) if not law.several else _of_each_path(found, law)


def _of_one_law(found: CapturedTree, law: CapturedLaw) -> ContextTree:
    return ContextTree(
        *(found.doc_id, found.position, found.number, found.tree),
        _distributions(found.target_logits, law.target_warpers),
        _distributions(found.draft_logits, law.draft_warpers[0]),
    )


def _of_each_path(found: Sequence[CapturedTree], law: CapturedLaw) -> ContextTree:
    """Path k of the draft that it is to come from; its rows are those of the nodes it passes."""
    by_name = dict(zip(dict.fromkeys(law.drafts), found, strict=True))
    paths: list[Prefix] = []
    target: dict[Prefix, NDArray[np.float32]] = {}
    rows = []
    for place, (name, warpers) in enumerate(law.of_paths()):
        own = by_name[name]
        path = own.tree.paths()[place]
        nodes = [path[:depth] for depth in range(len(path))]
        paths.append(path)
        target |= {node: own.target_logits[node] for node in (*nodes, path)}
        rows.append(_distributions({node: own.draft_logits[node] for node in nodes}, warpers))
    first = found[0]
    return ContextTree(
        *(first.doc_id, first.position, first.number, tree_of_paths(paths)),
        _distributions(target, law.target_warpers),
        rows,
    )


def _distributions(
    logits: Mapping[Prefix, NDArray[np.float32]], warpers: Warpers
) -> dict[Prefix, Floats]:
    options: dict[str, Any] = warpers.as_dict()
    made = distribution_from_logits(np.stack(list(logits.values())), **options)
    return dict(zip(logits, made, strict=True))
