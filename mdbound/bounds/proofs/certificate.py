"""Certificates: a compact dual set whose value anyone can check against the true optimum.

Any set H gives the upper bound 1 + p(H) - F(H) of alpha*. The lower bound is the value
sum of min(p, p_I) of a law p_I that some selection rule attains. For one draft distribution that
is the canonical law (`canonical.decomposition`), which needs no storage: it follows from p and q,
and its value is 1 less the largest F_k - P_k over prefixes of the exact ratio order. Both sides
are evaluated from the float64 inputs in exact or enclosed arithmetic, never by the kernels that
produced the number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.position import check_position
from mdbound.bounds.laws.registry import entry_of_law
from mdbound.bounds.problem.array_types import BoolArray, FloatArray, IntArray
from mdbound.bounds.proofs.exact_arithmetic import total
from mdbound.bounds.proofs.proofs_of_laws import PROOFS
from mdbound.errors import InvalidDistributionError, InvalidSettingError, UnsolvedError

_WHO = "a certificate"


@dataclass(frozen=True)
class CheckedInterval:
    """An interval that provably holds alpha* of the given float64 distributions.

    Attributes:
        lower: value of a law that a selection rule attains, rounded down if at all.
        upper: 1 + p(H) - F(H) at the certificate's set, rounded up if at all.
    """

    lower: Fraction
    upper: Fraction

    @property
    def width(self) -> float:
        """Upper less lower bound."""
        return float(self.upper - self.lower)

    def floats(self) -> tuple[float, float]:
        """The interval with ends rounded outward to float64.

        Example:
            >>> low, high = CheckedInterval(Fraction(1, 3), Fraction(1, 3)).floats()
            >>> low < Fraction(1, 3) < high
            True
        """
        low, high = float(self.lower), float(self.upper)
        if Fraction(low) > self.lower:
            low = math.nextafter(low, -math.inf)
        if Fraction(high) < self.upper:
            high = math.nextafter(high, math.inf)
        return low, high

    def error_of(self, acceptance: float) -> float:
        """Largest distance between a claimed value and a point of the interval, rounded up.

        Example:
            >>> CheckedInterval(Fraction(1, 2), Fraction(1, 2)).error_of(0.75)
            0.25
        """
        claimed = Fraction(acceptance)
        exact = max(abs(claimed - self.lower), abs(claimed - self.upper))
        rounded = float(exact)
        return rounded if Fraction(rounded) >= exact else math.nextafter(rounded, math.inf)


@dataclass(frozen=True)
class Certificate:
    """A set H of tokens, stored as a threshold rule and its exceptions.

    Attributes:
        sampling: the draft law.
        num_drafts: n.
        vocab_size: V.
        weights: H holds the tokens with p < sum of weights[k] q_k; one weight for one draft
            distribution, n for independent drafts.
        exceptions: tokens for which the opposite holds, ascending: ties, the certain drafts of the
            greedy law.
    """

    sampling: str
    num_drafts: int
    vocab_size: int
    weights: tuple[float, ...]
    exceptions: IntArray

    def subset(self, target: npt.ArrayLike, draft: Any) -> BoolArray:
        """The set H as a mask, shape (V,), rebuilt from the distributions.

        Args:
            target: p, shape (V,).
            draft: q, shape (V,), or n such arrays for `"independent"`.

        Raises:
            InvalidDistributionError: the arrays are not what the certificate was made for.
        """
        p, drafts = check_position(target, draft, self.num_drafts, self.sampling, _WHO)
        if len(p) != self.vocab_size:
            raise InvalidDistributionError(
                f"target has {len(p)} tokens: this certificate is for {self.vocab_size}"
            )
        inside = _threshold_set(p, drafts, self.weights)
        inside[self.exceptions] ^= True
        return inside

    def check(self, target: npt.ArrayLike, draft: Any) -> CheckedInterval:
        """Evaluate both bounds from the float64 inputs in exact or enclosed arithmetic.

        With replacement, greedy, and without replacement for n <= 2, both are exact (or enclosed
        to 1e-90) and at the optimal set they are equal. Without replacement for n >= 3 they are
        enclosed by ball arithmetic to about 1e-15 n^2. For independent drafts the upper bound is
        exact and the lower one proven within 1e-13.

        The distributions are taken as they are: a mass of 1 + 1e-16 is not rescaled, except by
        the laws that renormalise (draws without replacement, the greedy draw).

        Args:
            target: p, shape (V,).
            draft: q, shape (V,), or n such arrays for `"independent"`.

        Raises:
            InvalidDistributionError: the arrays are not what the certificate was made for.
            InvalidSettingError: the draft law has no proofs (`proofs_of_laws.PROOFS`).
            MissingDependencyError: draws without replacement with n >= 3 need python-flint.
            UnsolvedError: the lower bound could not be proven.

        Example:
            >>> p, q = [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]
            >>> certificate = make_certificate(p, q, 2, "with_replacement", [1, 2])
            >>> certificate.check(p, q)
            CheckedInterval(lower=Fraction(15, 16), upper=Fraction(15, 16))
        """
        proofs = entry_of_law(PROOFS, self.sampling, "certificates that can be checked")
        inside = self.subset(target, draft)
        p, drafts = check_position(target, draft, self.num_drafts, self.sampling, _WHO)
        mass = total(p[inside])
        contained, _ = proofs.containment(drafts, inside, self.num_drafts)
        upper = 1 + mass - contained
        lower = 1 + proofs.least(p, drafts, self.num_drafts, mass - contained)
        if lower > upper:
            raise UnsolvedError(
                f"the bounds contradict each other by {float(lower - upper):.3g}: report this "
                "with the distributions"
            )
        return CheckedInterval(lower, upper)


def make_certificate(
    target: npt.ArrayLike, draft: Any, num_drafts: int, sampling: str, subset: npt.ArrayLike
) -> Certificate:
    """Certificate of a set of tokens; optimal sets compress to a threshold and few exceptions.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,), or n such arrays for `"independent"`.
        num_drafts: n.
        sampling: the draft law.
        subset: mask of H, shape (V,), or token ids.

    Raises:
        InvalidDistributionError: the arrays hold no distributions over one vocabulary.
        InvalidSettingError: an unknown law, or a token outside the vocabulary.

    Example:
        >>> p, q = [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]
        >>> certificate = make_certificate(p, q, 2, "with_replacement", [1, 2])
        >>> certificate.subset(p, q).tolist(), len(certificate.exceptions)
        ([False, True, True], 0)
    """
    p, drafts = check_position(target, draft, num_drafts, sampling, _WHO)
    inside = np.asarray(subset)
    if inside.dtype != np.bool_:
        ids = inside.astype(np.int64)
        if ((ids < 0) | (ids >= len(p))).any():
            raise InvalidSettingError(f"subset holds a token outside the vocabulary of {len(p)}")
        inside = np.zeros(len(p), dtype=np.bool_)
        inside[ids] = True
    weights = _weights(p, drafts, inside)
    exceptions = np.flatnonzero(_threshold_set(p, drafts, weights) != inside)
    return Certificate(sampling, num_drafts, len(p), weights, exceptions)


def _threshold_set(p: FloatArray, drafts: FloatArray, weights: tuple[float, ...]) -> BoolArray:
    # Summed in a fixed order, token by token: the same set on every machine.
    limit = np.zeros_like(p)
    for weight, q in zip(weights, drafts, strict=True):
        limit += weight * q
    return np.asarray((p < limit) & (drafts > 0.0).any(axis=0))


def _weights(p: FloatArray, drafts: FloatArray, inside: BoolArray) -> tuple[float, ...]:
    """Weights whose threshold set is closest to the given one, of a few natural choices."""
    if len(drafts) > 1:
        masses = [float(q[inside].sum()) for q in drafts]
        return tuple(math.prod(masses[:k] + masses[k + 1 :]) for k in range(len(masses)))
    q = drafts[0]
    support = q > 0.0
    with np.errstate(over="ignore"):
        ratio = np.divide(p, q, out=np.full_like(p, np.inf), where=support)
    held, left = ratio[inside & support], ratio[~inside & support]
    if len(held) == 0:
        return (0.0,)
    # The middle of the gap between the set and the rest; medians, where exceptions blur it.
    high = float(held.max())
    low = float(left.min()) if len(left) else math.inf
    choices = [high * (1.0 + 2.0**-51), min(0.5 * (high + low), 2.0 * high + 1e-300), low]
    finite = [choice for choice in choices if np.isfinite(choice)]
    return min(
        ((choice,) for choice in finite),
        key=lambda weight: int((_threshold_set(p, drafts, weight) != inside).sum()),
    )
