"""Captured contexts with their trees, and both models' distributions at the nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.logits_cache.store.manifest import ShardInfo
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, TreeLaw

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ContextTree:
    """A context of the text with the tree that a draft drew there.

    Attributes:
        doc_id: Its document.
        position: Its position there.
        number: Number of the tree among those at the context.
        tree: The tree.
        target: Distributions of the target by node, leaves included where the capture has them.
        draft: Distributions of the draft by internal node.
    """

    doc_id: int
    position: int
    number: int
    tree: DraftedTree
    target: Mapping[Prefix, Floats]
    draft: Mapping[Prefix, Floats]


@dataclass(frozen=True)
class CapturedLaw:
    """How the trees of a capture were drawn.

    Attributes:
        law: Their law.
        draft: The draft that drew them.
        target_warpers: Of the target: those that the text was sampled with.
        draft_warpers: Of the draft: those that the trees were drawn with.
    """

    law: TreeLaw
    draft: str
    target_warpers: Warpers
    draft_warpers: Warpers

    def columns(self) -> dict[str, Any]:
        """What rows of results show of the laws."""
        return {
            "draft": self.draft,
            **self.target_warpers.as_dict(),
            "draft_temperature": self.draft_warpers.temperature,
        }


def captured_laws(cache: LogitsCache, drafts: tuple[str, ...]) -> tuple[CapturedLaw, ...]:
    """The laws of the trees in a cache.

    Args:
        cache: The capture.
        drafts: Draft models; all that drew trees when empty.

    Raises:
        InvalidSettingError: The capture holds no trees, or an asked-for draft drew none.
    """
    record = cache.manifest.generation.paths
    available = cache.path_draft_names
    if record is None or not available:
        raise InvalidSettingError(
            f"{cache.path} holds no drafted trees: capture with `paths` or `tree`, or give what "
            "needs none to `run_on_capture`: full trees under schemes of one position, and gbv"
        )
    sampled = cache.manifest.generation.warpers
    target = Warpers() if sampled is None else Warpers.from_dict(sampled)
    chosen = drafts or available
    for name in chosen:
        if name not in available:
            raise InvalidSettingError(
                f"`drafts` {name!r} drew no trees; those that did are {', '.join(available)}"
            )
    drawn = Warpers.from_dict(record.warpers)
    return tuple(CapturedLaw(record.law(), name, target, drawn) for name in chosen)


def contexts_of(cache: LogitsCache, law: CapturedLaw, shard: ShardInfo) -> Iterator[ContextTree]:
    """The contexts of a shard, one in memory at a time.

    Raises:
        CacheError: The shard is missing or damaged.
        InvalidDistributionError: Logits that no distribution can be made of.
    """
    for found in cache.iter_trees(law.draft, shards=[shard.index]):
        target = _distributions(found.target_logits, law.target_warpers)
        draft = _distributions(found.draft_logits, law.draft_warpers)
        yield ContextTree(found.doc_id, found.position, found.number, found.tree, target, draft)


def _distributions(
    logits: Mapping[Prefix, NDArray[np.float32]], warpers: Warpers
) -> dict[Prefix, Floats]:
    made = distribution_from_logits(np.stack(list(logits.values())), **warpers.as_dict())
    return dict(zip(logits, made, strict=True))
