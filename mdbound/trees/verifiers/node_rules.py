"""Rules of one position, given the drafted list: the law of the output token, (V,)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mdbound.bounds import canonical_decomposition
from mdbound.schemes.rates.independent_tests import tested_output
from mdbound.schemes.rates.k_seq_rho import optimal_rho
from mdbound.trees.verifiers.rows import Array, normalised, positive_part, share, without

Output: TypeAlias = Callable[[Array, Sequence[Array], Sequence[int]], Array]
"""From p, the row that each token was drawn from, and the tokens."""


@dataclass(frozen=True)
class NodeRule:
    """A rule for the list of one node.

    Attributes:
        name: name of the verifier that uses it at every node.
        title: what to call that in a table or figure.
        samplings: laws of the list that it is lossless for.
        output: the law of the output.
        scheme: the scheme of one position with this rule, whose rate is known; None if there is
            none.
        several: whether tokens may come from different rows.
    """

    name: str
    title: str
    samplings: tuple[str, ...]
    output: Output
    scheme: str | None
    several: bool = False


def _nss(p: Array, rows: Sequence[Array], drafted: Sequence[int]) -> Array:
    """Sample the target, and look whether the token was drafted."""
    del rows, drafted
    return p


def _first_draft(p: Array, rows: Sequence[Array], drafted: Sequence[int]) -> Array:
    """Test the first token alone."""
    return _recursive(p, rows[:1], drafted[:1])


def _recursive(p: Array, rows: Sequence[Array], drafted: Sequence[int]) -> Array:
    """Test token after token against what the rejections before it left of the target."""
    output = p * 0
    reached = 1
    for row, token in zip(rows, drafted, strict=True):
        accept = share(p[token], row[token])
        output[token] += reached * accept
        reached = reached * (1 - accept)
        if not reached > 0:
            return output
        p = normalised(positive_part(p - row), p)
    return np.asarray(output + reached * p)


def _distinct(p: Array, rows: Sequence[Array], drafted: Sequence[int]) -> Array:
    """Test distinct tokens, each against the draft without the ones before it."""
    tokens = list(dict.fromkeys(drafted))
    left = [rows[0]]
    for token in tokens[:-1]:
        left.append(without(left[-1], token))
    return _recursive(p, left, tokens)


def _k_seq(p: Array, rows: Sequence[Array], drafted: Sequence[int]) -> Array:
    """Independent tests against the target over rho; the residual is (p - rho q)+."""
    p, q = np.asarray(p, dtype=np.float64), np.asarray(rows[0], dtype=np.float64)
    rho = optimal_rho(p, q, len(drafted))
    return tested_output(p, q, rho, np.maximum(p - rho * q, 0.0), drafted)


def _greedy(p: Array, rows: Sequence[Array], drafted: Sequence[int]) -> Array:
    """Test the drawn token, which is the last, against the draft without the most likely ones."""
    rest = rows[0].copy()
    top = list(drafted[:-1])
    rest[top] = rest[top] * 0
    return _recursive(p, [normalised(rest, rest)], drafted[-1:])


def _optimal(p: Array, rows: Sequence[Array], drafted: Sequence[int]) -> Array:
    """Select one token by the canonical decomposition, and test it against its law."""
    if len(drafted) == 1:
        return _recursive(p, rows, drafted)  # there is nothing to select, and p_I is q
    p, q = np.asarray(p, dtype=np.float64), np.asarray(rows[0], dtype=np.float64)
    rule = canonical_decomposition(p, q, len(drafted))
    output = np.zeros_like(p)
    for token, chosen in rule.selection_probabilities(drafted).items():
        output[token] = chosen * rule.accept_probability(token)
    return np.asarray(output + max(0.0, 1.0 - output.sum()) * rule.residual())


_IID = ("with_replacement",)
_EITHER = ("with_replacement", "without_replacement")

NODE_RULES: tuple[NodeRule, ...] = (
    NodeRule("nss", "NSS", (*_EITHER, "greedy", "top_k"), _nss, "nss", several=True),
    NodeRule("first_draft", "first draft (naive)", _EITHER, _first_draft, "first_draft", True),
    NodeRule("rrs_with_replacement", "RRS", _IID, _recursive, "rrs_with_replacement", True),
    NodeRule("rrs_skip_repeats", "RRS, repeats skipped", _IID, _distinct, None),
    NodeRule(
        "rrs_without_replacement",
        "RRS without replacement",
        ("without_replacement",),
        _distinct,
        "rrs_without_replacement",
    ),
    NodeRule("k_seq", "K-SEQ", _IID, _k_seq, "k_seq"),
    NodeRule("greedy", "greedy, node by node", ("greedy",), _greedy, "greedy"),
    NodeRule("optimal_per_node", "optimal, node by node", _IID, _optimal, "optimal"),
)
"""In the order of tables."""
