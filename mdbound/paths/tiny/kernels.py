"""The law of (accepted length, next token) given a drafted path, written out for each rule.

In all of them rho_0 = 1 and rho_l = min(1, rho_{l-1} p_l(x_l) / q_l(x_l)), the share of the mass
that passes through x_1..x_l in block verification. Rows of `fractions.Fraction` give fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.paths.tiny.model import Model, Number, Prefix, Row, rows_along

PathLaw: TypeAlias = dict[tuple[int, int], Number]
"""Probability of each (accepted length, next token)."""


def kernel(target: Model, draft: Model, path: Sequence[int], scheme: str) -> PathLaw:
    """P(tau = l, next token = y | drafted path): all that a verification rule does.

    Args:
        target: rows of p by prefix, for every prefix of the path and the path itself.
        draft: rows of q by prefix, for every prefix of the path but itself.
        path: x_1..x_L, the drafted tokens.
        scheme: `"match"`, `"single_draft"`, `"block"` (by acceptance tests from the last token
            to the first) or `"asps"` (by its authors' sweep from the first to the last).

    Returns:
        {(length, token): probability}, outcomes of probability 0 left out.

    Raises:
        InvalidDistributionError: a row that is no distribution, or a path that is never drafted.
        InvalidSettingError: a missing row, an unknown scheme, or `"joint"`, which is a coupling of
            whole texts and has no kernel that leaves a fresh target behind.

    Source: Leviathan et al. 2023, Algorithm 1; Sun et al. 2024, block verification; Hu and Huang
    2024, ASpS as in the authors' code.

    Example:
        >>> from fractions import Fraction
        >>> third = Fraction(1, 3)
        >>> p = dict.fromkeys([(), (0,), (0, 0)], (third, 2 * third))
        >>> q = dict.fromkeys([(), (0,)], (2 * third, third))
        >>> law = kernel(p, q, (0, 0), "block")
        >>> law == kernel(p, q, (0, 0), "asps")
        True
        >>> {outcome: str(value) for outcome, value in law.items()}
        {(2, 0): '1/12', (2, 1): '1/6', (0, 1): '3/4'}
    """
    if scheme == "joint":
        raise InvalidSettingError(
            "`scheme` 'joint' has no kernel: it couples whole texts and carries state from call to "
            f"call; take one of {', '.join(KERNELS)}"
        )
    refuse_unknown([scheme], KERNELS, "`scheme`")
    tokens, p, q = rows_along(target, draft, path)
    law = KERNELS[scheme](tokens, p, q)
    return {outcome: value for outcome, value in law.items() if value > 0}


def _match(path: Prefix, p: list[Row], q: list[Row]) -> PathLaw:
    """Sample the target at every position, and stop at the first token that was not drafted."""
    del q
    law: PathLaw = {}
    reached: Number = 1
    for length, token in enumerate(path):
        law |= {(length, y): reached * p[length][y] for y in range(len(p[length])) if y != token}
        reached *= p[length][token]
    return law | _spread(len(path), p[-1], reached)


def _single_draft(path: Prefix, p: list[Row], q: list[Row]) -> PathLaw:
    """Test token after token; the first that fails is replaced from (p - q)+."""
    law: PathLaw = {}
    reached: Number = 1
    for length, token in enumerate(path):
        accept = min(1, p[length][token] / q[length][token])
        excess = _excess(p[length], q[length], 1)
        law |= _spread(length, excess, reached * (1 - accept))
        reached *= accept
    return law | _spread(len(path), p[-1], reached)


def _block(path: Prefix, p: list[Row], q: list[Row]) -> PathLaw:
    """Independent tests h_l of every prefix; the longest that passes stands."""
    rho = _shares(path, p, q)
    law = _spread(len(path), p[-1], rho[-1])
    longer_fail = 1 - rho[-1]
    for length in range(len(path) - 1, -1, -1):
        excess = _excess(p[length], q[length], rho[length])
        total = sum(excess)
        scale = total + 1 - rho[length]
        accept = total / scale if scale > 0 else 1
        law |= _spread(length, excess, longer_fail * accept)
        longer_fail *= 1 - accept
    return law


def _asps(path: Prefix, p: list[Row], q: list[Row]) -> PathLaw:
    """One sweep: masses of stopping, scaled down by every token that comes after them."""
    law: PathLaw = {}
    rho: Number = 1
    for length, token in enumerate(path):
        drafted, wanted = q[length][token], rho * p[length][token]
        deficit = sum(_excess(q[length], p[length], 1, rho))
        scale = max(0, drafted - wanted) / (drafted * deficit) if deficit > 0 else 1
        stop = _excess(p[length], q[length], rho)
        law |= {(length, y): mass for y, mass in enumerate(stop)}
        law = {outcome: mass * scale for outcome, mass in law.items()}
        rho = min(1, wanted / drafted)
    return law | _spread(len(path), p[-1], rho)


KERNELS: dict[str, Callable[[Prefix, list[Row], list[Row]], PathLaw]] = {
    "match": _match,
    "single_draft": _single_draft,
    "block": _block,
    "asps": _asps,
}
"""By scheme: from the path, L + 1 rows of the target and L of the draft."""


def _shares(path: Prefix, p: list[Row], q: list[Row]) -> list[Number]:
    """rho_0, ..., rho_L."""
    rho: list[Number] = [1]
    for token, one, other in zip(path, p, q, strict=False):
        rho.append(min(1, rho[-1] * one[token] / other[token]))
    return rho


def _excess(one: Row, other: Row, scale: Number, other_scale: Number = 1) -> list[Number]:
    """(scale * one - other_scale * other)+ for each token."""
    return [max(0, scale * a - other_scale * b) for a, b in zip(one, other, strict=True)]


def _spread(length: int, weights: Row | list[Number], mass: Number) -> PathLaw:
    """The mass of one length, spread over tokens in proportion to the weights."""
    total = sum(weights)
    if not total > 0:
        return {}
    return {(length, y): mass * weight / total for y, weight in enumerate(weights)}
