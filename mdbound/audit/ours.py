"""This project's own rules in the forms that are audited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mdbound import paths, schemes
from mdbound.audit.exact.path import PathKernel
from mdbound.audit.exact.position import OutputLaw
from mdbound.audit.exact.tree import TreeVerifier
from mdbound.audit.problems.positions import HUB_PAIRS
from mdbound.errors import InvalidSettingError
from mdbound.paths.tiny.model import Prefix
from mdbound.trees import DraftedTree, TreeLaw, runnable_verifier
from mdbound.trees.verifiers.rows import RowArrays


def position_rule(name: str) -> OutputLaw:
    """A scheme's law of the output; `schemes.get(name).output_law`.

    Example:
        >>> position_rule("nss")([0.5, 0.5], [1.0, 0.0], (0,))
        {0: 0.5, 1: 0.5}
    """
    return schemes.get(name).output_law


def sampling_of(name: str) -> str:
    """How a scheme's drafts are drawn, by its name in `audit.exact`.

    Example:
        >>> sampling_of("spechub"), sampling_of("k_seq")
        ('hub_pairs', 'with_replacement')
    """
    return HUB_PAIRS if name == "spechub" else schemes.get(name).sampling


def path_rule(name: str) -> PathKernel:
    """A rule of one path; `paths.kernel` on the rows along the path.

    Args:
        name: `"match"`, `"single_draft"`, `"block"` or `"asps"`.

    Example:
        >>> path_rule("block")([[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5]], (1,))
        {(1, 0): 1.0}
    """

    def kernel(target: Sequence[Any], draft: Sequence[Any], path: tuple[int, ...]) -> Any:
        p = {path[:end]: tuple(row) for end, row in enumerate(target)}
        q = {path[:end]: tuple(row) for end, row in enumerate(draft)}
        return paths.kernel(p, q, path, name)

    return kernel


def tree_rule(name: str, law: TreeLaw, **options: Any) -> TreeVerifier:
    """A verifier's law given the tree.

    Args:
        name: one of `trees.names()` that can be run.
        law: the trees it is for.
        options: of the verifier, such as `bins` of `"quantile"`.

    Raises:
        InvalidSettingError: no such verifier, one that the law does not suit, or one whose law has
            no closed form: audit `tree_sampler` of it.

    Example:
        >>> from mdbound.trees import Paths
        >>> rule = tree_rule("traversal", Paths(1, 1))
        >>> rows = {(): (0.5, 0.5), (0,): (0.5, 0.5)}
        >>> law = rule(rows, {(): (1.0, 0.0)}, DraftedTree({(): (0,)}))
        >>> {outcome: float(mass) for outcome, mass in law.items()}
        {((0,), 0): 0.25, ((0,), 1): 0.25, ((), 1): 0.5}
    """
    verifier = runnable_verifier(name, **options)
    verifier.refuse(law)
    if not verifier.law_is_exact:
        raise InvalidSettingError(
            f"`verifier` {name!r} has no closed law given the tree: audit `tree_sampler` of it"
        )

    def outcomes(target: Any, draft: Any, tree: DraftedTree) -> Any:
        p, q = RowArrays(target, "target"), RowArrays(draft, "draft")
        return verifier.outcomes(p, q, tree)

    return outcomes


def tree_sampler(name: str, law: TreeLaw, **options: Any) -> Callable[..., tuple[Prefix, int]]:
    """A verifier's runs, coin by coin, as `audit.sampled_tree` takes them.

    Args:
        name: as `tree_rule`; those without a closed law, too.
        law: as `tree_rule`.
        options: as `tree_rule`.

    Raises:
        InvalidSettingError: no such verifier, or one that the law does not suit.

    Example:
        >>> import numpy as np
        >>> from mdbound.trees import Paths
        >>> run = tree_sampler("traversal", Paths(1, 1))
        >>> rows = {(): (0.0, 1.0), (0,): (0.5, 0.5)}
        >>> run(rows, {(): (1.0, 0.0)}, DraftedTree({(): (0,)}), np.random.default_rng(0))
        ((), 1)
    """
    verifier = runnable_verifier(name, **options)
    verifier.refuse(law)

    def run(
        target: Any, draft: Any, tree: DraftedTree, rng: np.random.Generator
    ) -> tuple[Prefix, int]:
        return verifier.sample(RowArrays(target, "target"), RowArrays(draft, "draft"), tree, rng)

    return run
