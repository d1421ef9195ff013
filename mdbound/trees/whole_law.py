"""Tiny problems: a verifier's law and expected length, summed over every tree."""

from __future__ import annotations

from mdbound.paths.tiny.model import Model, Number
from mdbound.trees.drafting.tree_law import Drafts, TreeLaw
from mdbound.trees.registry import runnable_verifier
from mdbound.trees.registry import verifier as verifier_of
from mdbound.trees.verifiers.verifier import BlockLaw, TreeVerifier


def expected_length(
    target: Model, draft: Drafts, law: TreeLaw, verifier: str | TreeVerifier
) -> Number:
    """E tau: the expected depth of the accepted node, the token after it not counted.

    Args:
        target: rows of p for every node that may be drafted after.
        draft: rows of q for the same nodes; or one such model for each path.
        law: how trees are drawn; all of them are enumerated.
        verifier: one of `trees.names()`, or what `trees.verifier` made.

    Returns:
        A Fraction where all rows hold fractions (but for rules with irrational rates: K-SEQ and
        the optimal rule of one position), else a float.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a missing row, no such verifier, or one that is not for such trees.

    Example:
        >>> from fractions import Fraction
        >>> from mdbound import trees
        >>> row = (Fraction(1, 3), Fraction(2, 3))
        >>> p, q = (dict.fromkeys([(), (0,), (1,)], one) for one in (row, row[::-1]))
        >>> str(trees.expected_length(p, q, trees.Paths(2, 2), "gbv"))
        '131/81'
    """
    rule = verifier_of(verifier)
    rule.refuse(law)
    return rule.expected_length(target, draft, law)


def block_law(target: Model, draft: Drafts, law: TreeLaw, verifier: str | TreeVerifier) -> BlockLaw:
    """P(accepted node, token that follows it), over all trees.

    The verifier is lossless iff for every text of L + 1 tokens the masses of the blocks that it
    begins with, each times the target's probability of the rest, add up to the target's.

    Args:
        target: rows of p for every node, the leaves included.
        draft: rows of q for every node that may be drafted after.
        law: as `expected_length`.
        verifier: as `expected_length`.

    Raises:
        InvalidDistributionError: as `expected_length`.
        InvalidSettingError: as `expected_length`, or a verifier that cannot be run.

    Example:
        >>> from mdbound import trees
        >>> p, q = {(): (0.5, 0.5), (0,): (0.5, 0.5), (1,): (1.0, 0.0)}, {(): (1.0, 0.0)}
        >>> trees.block_law(p, q, trees.Paths(1, 1), "traversal")
        {((0,), 0): 0.25, ((0,), 1): 0.25, ((), 1): 0.5}
    """
    rule = runnable_verifier(verifier)
    rule.refuse(law)
    return rule.block_law(target, draft, law)
