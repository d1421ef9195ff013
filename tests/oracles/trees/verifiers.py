"""Every verifier by name, wrong ones apart; laws of blocks, and whether texts are the target's."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.oracles.path_verification import mass_of
from tests.oracles.trees import node_by_node, post_order, selected_path
from tests.oracles.trees.cases import Case, Tree
from tests.oracles.trees.dice import ZERO, Number, law
from tests.oracles.trees.node_by_node import Block, Run

Verifier = Callable[[Case], Run]

VERIFIERS: dict[str, Verifier] = {
    **node_by_node.VERIFIERS,
    **selected_path.VERIFIERS,
    **post_order.VERIFIERS,
}
CLIPPED: Verifier = selected_path.largest(selected_path.by_clipped_ratio)
"""Ratios clipped at 1 with ties by token id in both places: lossless, and another rule than GBV."""
WRONG: dict[str, Verifier] = {
    "traversal, weight by removed mass": post_order.traversal_with(
        post_order.depth_first, post_order.weight_by_removed_mass
    ),
    "traversal, leaves as first seen": post_order.traversal_with(
        post_order.first_seen, post_order.right_weight
    ),
    "gbv, ties by draft order": selected_path.ties_by_draft_order,
}


def laws_by_tree(case: Case, verifier: Verifier) -> dict[Tree, tuple[Number, dict[Block, Number]]]:
    """For every drafted tree its probability, and the law of the block given it."""
    run = verifier(case)
    return {
        tree: (mass, law(lambda dice, tree=tree: run(dice, tree)))  # type: ignore[misc]
        for tree, mass in case.trees().items()
    }


def block_law(case: Case, verifier: Verifier) -> dict[Block, Number]:
    """The law of (accepted node, token)."""
    found: dict[Block, Number] = {}
    for mass, given in laws_by_tree(case, verifier).values():
        for block, share in given.items():
            found[block] = found.get(block, ZERO) + mass * share
    return found


def expected_length(blocks: dict[Block, Number]) -> Number:
    return sum((len(node) * mass for (node, _), mass in blocks.items()), ZERO)


def text_errors(case: Case, blocks: dict[Block, Number]) -> list[Number]:
    """Law of one call's text, continued to L + 1 tokens, less the target's: text by text."""
    emitted = {(*node, token): mass for (node, token), mass in blocks.items()}
    found = []
    for text in itertools.product(range(case.vocab_size), repeat=case.length + 1):
        law_of_text = sum(
            (
                emitted.get(text[:cut], ZERO) * mass_of(case.target, text[:cut], text[cut:])
                for cut in range(1, case.length + 2)
            ),
            ZERO,
        )
        found.append(law_of_text - mass_of(case.target, (), text))
    return found


def is_lossless(case: Case, blocks: dict[Block, Number]) -> bool:
    return not any(text_errors(case, blocks))
