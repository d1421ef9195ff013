"""The canonical law and the selection rule of each draft law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mdbound.bounds.canonical.blocks import (
    BlocksOf,
    greedy_blocks,
    with_replacement_blocks,
    without_replacement_blocks,
)
from mdbound.bounds.canonical.selection.by_program import ByProgram, by_program
from mdbound.bounds.canonical.selection.certain_drafts import CertainDrafts
from mdbound.bounds.canonical.selection.iid_draws import IidDraws
from mdbound.bounds.canonical.selection.listed_sets import ListedSets
from mdbound.bounds.canonical.selection.position import DecomposedPosition, SelectionRule
from mdbound.bounds.problem.array_types import FloatArray


class CanonicalLaw(NamedTuple):
    """How a draft law is decomposed.

    Attributes:
        decompose: from p (V,), the drafts (1, V) or (n, V), and n to blocks and p_I.
        rule: from what `decompose` found to the rule that selects a drafted token.
    """

    decompose: Callable[[FloatArray, FloatArray, int], DecomposedPosition]
    rule: Callable[[Any], SelectionRule]


def _of_blocks(blocks_of: BlocksOf) -> Callable[[FloatArray, FloatArray, int], DecomposedPosition]:
    def decompose(p: FloatArray, drafts: FloatArray, num_drafts: int) -> DecomposedPosition:
        blocks, selected = blocks_of(p, drafts[0], num_drafts)
        return DecomposedPosition(p, drafts, num_drafts, selected, blocks)

    return decompose


CANONICAL_LAWS: dict[str, CanonicalLaw] = {
    "with_replacement": CanonicalLaw(_of_blocks(with_replacement_blocks), IidDraws),
    "without_replacement": CanonicalLaw(_of_blocks(without_replacement_blocks), ListedSets),
    "greedy": CanonicalLaw(_of_blocks(greedy_blocks), CertainDrafts),
    "independent": CanonicalLaw(by_program, ByProgram),
}
"""By the name of the law; a law of your own gets a runnable optimal scheme by an entry."""

DISTINCT_LAWS = ("without_replacement", "greedy")
"""Laws whose drafts are distinct tokens, fewer than n where the draft has fewer."""
