"""Verifiers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mdbound import schemes
from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.trees.drafting.tree_law import TreeLaw
from mdbound.trees.optima.top_down_optimum import TopDownOptimum
from mdbound.trees.verifiers.block import BlockFirstPath
from mdbound.trees.verifiers.gbv import Gbv
from mdbound.trees.verifiers.node_rules import NODE_RULES
from mdbound.trees.verifiers.quantile.recursive import QuantileRecursive
from mdbound.trees.verifiers.quantile.verifier import Quantile
from mdbound.trees.verifiers.top_down import TopDown, TopDownLagged
from mdbound.trees.verifiers.traversal import Traversal
from mdbound.trees.verifiers.univer import UniVer
from mdbound.trees.verifiers.verifier import RunnableVerifier, TreeVerifier

VERIFIERS: dict[str, Callable[..., TreeVerifier]] = {
    **{rule.name: lambda rule=rule: TopDown(rule) for rule in NODE_RULES},
    "top_down_optimum": TopDownOptimum,
    "block_first_path": BlockFirstPath,
    "gbv": Gbv,
    "quantile": Quantile,
    "quantile_recursive": QuantileRecursive,
    "traversal": Traversal,
    "univer": UniVer,
}
"""What makes each verifier."""


def names() -> tuple[str, ...]:
    """Names of the verifiers, in the order of tables.

    Example:
        >>> names()[:3]
        ('nss', 'first_draft', 'rrs_with_replacement')
    """
    return tuple(VERIFIERS)


def verifier(name: str | TreeVerifier, **options: Any) -> TreeVerifier:
    """The verifier of a name; one that is made already is handed back.

    Args:
        name: one of `names()`.
        options: of that verifier.

    Raises:
        InvalidSettingError: no such verifier, or an option that it does not have.

    Example:
        >>> verifier("traversal").title
        'traversal verification'
    """
    if isinstance(name, TreeVerifier):
        return name
    refuse_unknown([name], VERIFIERS, "`verifier`")
    try:
        return VERIFIERS[name](**options)
    except TypeError:
        raise InvalidSettingError(
            f"`verifier` {name!r} has no such options as {', '.join(options)}: leave them out"
        ) from None


def runnable_verifier(name: str | TreeVerifier, **options: Any) -> RunnableVerifier:
    """The verifier of a name, if it can be run on a drafted tree.

    Raises:
        InvalidSettingError: as `verifier`, or one that is known by its expected length only.

    Example:
        >>> runnable_verifier("top_down_optimum")
        Traceback (most recent call last):
        mdbound.errors.InvalidSettingError: `verifier` 'top_down_optimum' has an expected length on
        tiny models and cannot be run: take 'optimal_per_node' for a rule that can
    """
    found = verifier(name, **options)
    if not isinstance(found, RunnableVerifier):
        raise InvalidSettingError(
            f"`verifier` {found.name!r} has an expected length on tiny models and cannot be run: "
            "take 'optimal_per_node' for a rule that can"
        )
    return found


def lagged(found: RunnableVerifier, law: TreeLaw) -> RunnableVerifier:
    """The verifier with the less noisy of its estimates: the last level summed over all lists.

    Node by node verifiers have two unbiased forms; all others have the better one anyway.

    Args:
        found: the verifier.
        law: how the trees were drawn; where the rate of the rule is known for other lists only,
            the verifier stays as it is.

    Example:
        >>> from mdbound.trees import Paths
        >>> type(lagged(runnable_verifier("k_seq"), Paths(2, 2))).__name__
        'TopDownLagged'
    """
    if not isinstance(found, TopDown) or found.rule.scheme is None:
        return found
    rated = schemes.get(found.rule.scheme).sampling == law.sampling
    return TopDownLagged(found.rule) if rated else found
