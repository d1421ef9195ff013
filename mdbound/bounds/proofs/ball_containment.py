"""Containment without replacement for n >= 3, in ball arithmetic: bounds that are proofs.

The integral (1) of `numerics.exponential_clocks` by its trapezoid sum, every step enclosed:
the step's own error by bound (2) there, the nodes left out at both ends, the power sums that stand
for light clocks, and all rounding. python-flint's `arb` carries the balls. Formulas are shared
with that page, code is not: step, sums and recursion are written again here.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.proofs.exact_arithmetic import dyadic
from mdbound.bounds.proofs.running_sums import sums_to_the_end
from mdbound.errors import MissingDependencyError

PRECISION = 128
"""Bits of the balls, so that their rounding is far below every other term. Twice as many cost a
tenth of the time more, and change no enclosure by more than 1e-21."""

LIGHT = 0.125
"""A clock with rate * t at most this enters through power sums. With more, fewer clocks enter one
by one, but the remainder of the series grows: twice this makes enclosures a thousand times as
wide."""

NUM_POWERS = 14
"""Power sums kept; the remainder of the series is enclosed. At n = 8 one less widens the enclosure
sixteenfold; one more is another pass over the clocks."""

FIRST_TIME = 1e-5
"""Nodes start here, for rates that sum to 1; below it P(N_t < n) is 1 up to t^n / n!. Ten times as
late widens enclosures at n = 3 thirtyfold; earlier costs a dozen nodes for each ten times."""

LAST_TERM = 1e-19
"""Nodes end where the rest of the sum is proven to be below this: the smaller, the more nodes."""

STEP_ERROR = 1e-18
"""The trapezoid step is the longest tried whose proven error is below this: a smaller one would be
lost beside the other terms, and costs nodes in proportion to its logarithm."""

HALF_ULP = 2.0**-53
"""Half the spacing of float64 at 1."""


def flint() -> ModuleType:
    """The python-flint module, at the precision used here.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        module = import_module("flint")
    except ImportError as error:
        raise MissingDependencyError(
            "certificates of draws without replacement with 3 drafts or more need python-flint: "
            "install mdbound[certificates]"
        ) from error
    module.ctx.prec = PRECISION
    return module


class BallContainment:
    """Enclosures of F_n(H) for subsets H of one draft distribution.

    Args:
        draft: q of the tokens that can be drafted, all positive, shape (m,); ratios matter.
        num_drafts: n, at least 3.

    Raises:
        MissingDependencyError: python-flint is not installed.
    """

    def __init__(self, draft: FloatArray, num_drafts: int) -> None:
        self.arb = flint().arb
        self.num_drafts = num_drafts
        self.whole, self.exponent = dyadic(draft)
        self.mass = sum(self.whole)
        self.rates = draft
        self.unit = self.arb(2) ** -self.exponent
        self.step = _trapezoid_step(num_drafts)

    def enclose(self, inside: Any) -> tuple[Fraction, Fraction]:
        """Lower and upper bound of F_n(H).

        Args:
            inside: positions of the tokens of H, an integer array or a slice.

        Example:
            >>> balls = BallContainment(np.array([0.4, 0.3, 0.2, 0.1]), 3)
            >>> low, high = balls.enclose(slice(0, 3))
            >>> truth = sum(
            ...     a * b / (1 - a) * c / (1 - a - b)
            ...     for a, b, c in __import__("itertools").permutations((0.4, 0.3, 0.2)))
            >>> bool(low - 1e-15 < truth < high + 1e-15), float(high - low) < 1e-12
            (True, True)
        """
        positions = np.arange(len(self.rates))[inside]
        positions = positions[np.argsort(-self.rates[positions])]
        rates = self.rates[positions]
        # Mass of the clocks from each position on, exactly.
        tails = list(itertools.accumulate((self.whole[i] for i in positions[::-1]), initial=0))
        tails.reverse()
        whole = tails[0]
        if whole == self.mass:
            return Fraction(1), Fraction(1)
        if len(rates) < self.num_drafts:
            return Fraction(0), Fraction(0)
        outside = self.arb(self.mass - whole) * self.unit
        missing = self._integral(rates, tails, outside)
        return _clip(_fraction((1 - missing).lower())), _clip(_fraction((1 - missing).upper()))

    def _integral(self, rates: FloatArray, tails: list[int], outside: Any) -> Any:
        """Enclosure of 1 - F: the sum over nodes, plus what it leaves out."""
        arb, step = self.arb, self.arb(self.step)
        levels = _levels(rates)
        node = math.floor(math.log(FIRST_TIME) / self.step)
        summed = self._early(self.arb(tails[0]) * self.unit, outside, (node * step).exp())
        while True:
            t = (node * step).exp()
            below = self._rung_below(rates, levels, tails, t)
            weight = outside * t * (-outside * t).exp()
            summed += step * weight * below
            rest = self._rest(below, outside * t, step)
            if rest < LAST_TERM:
                break
            node += 1
        value = summed + arb(0, rest)
        # The trapezoid rule's error is relative to the integral, which is at most 1.
        return value + arb(0, _trapezoid_error(self.num_drafts, self.step))

    def _rest(self, below: Any, reached: Any, step: Any) -> float:
        """Upper bound of all later nodes: P(N_t < n) falls, and so does x e^-x beyond x = 1."""
        tail = (-reached).exp() if reached > 1 else 1 + step
        return float((below * tail).upper()) * (1.0 + 1e-12)

    def _early(self, inside: Any, outside: Any, first: Any) -> Any:
        """Nodes before `first`, where W t e^(-W t) is a short series and P(N_t < n) nearly 1."""
        arb, step = self.arb, self.arb(self.step)
        total = arb(0)
        for r in range(1, 6):
            # Sum over nodes below the first of t^r is geometric.
            nodes = (-r * step).exp() / (1 - (-r * step).exp()) * first**r
            term = outside**r * nodes / math.factorial(r - 1)
            total += term if r % 2 else -term
        # The series alternates: what is left out is below its last term. P(N_t >= n) is at most
        # the expected number of n-sets that rang, (rate * t)^n / n!.
        left_out = (outside * first) ** 5 + (inside * first) ** self.num_drafts
        return step * total + arb(0, float((step * left_out).upper()) * (1.0 + 1e-12))

    def _rung_below(self, rates: FloatArray, levels: list[_Level], tails: list[int], t: Any) -> Any:
        """Enclosure of P(N_t < n): light clocks by power sums, heavy clocks one by one."""
        heavy = int(np.searchsorted(-rates, -LIGHT / float(t)))
        silent = (-self.arb(tails[heavy]) * self.unit * t).exp()
        law = [silent * e for e in self._light_polynomial(levels, heavy, t)]
        for rate in rates[:heavy].tolist():
            stays = (-self.arb(rate) * t).exp()
            for m in range(self.num_drafts - 1, 0, -1):
                law[m] = law[m - 1] + stays * (law[m] - law[m - 1])
            law[0] *= stays
        return sum(law, self.arb(0))

    def _light_polynomial(self, levels: list[_Level], heavy: int, t: Any) -> list[Any]:
        """Elementary symmetric polynomials e_0 .. e_(n-1) of e^(q_i t) - 1 over light clocks.

        Newton's identities on the power sums of e^x - 1, each a series in the power sums of x.
        """
        arb = self.arb
        sums = [arb(0)] * NUM_POWERS
        for level in levels:
            if level.end <= heavy:
                continue
            x = t / arb(level.scale) / arb(level.scale)
            for r, value in enumerate(level.sums[:, max(heavy - level.start, 0)].tolist(), start=1):
                sums[r - 1] += arb(value, value * (r + 4) * HALF_ULP) * x**r
        newton = []
        for j in range(1, self.num_drafts):
            value = arb(0)
            for r, coefficient in enumerate(_series(j), start=1):
                if coefficient:
                    value += sums[r - 1] * arb(coefficient.numerator) / coefficient.denominator
            newton.append(value + arb(0, float(sums[0].upper()) * _series_rest(j)))
        symmetric = [arb(1)]
        for m in range(1, self.num_drafts):
            value = arb(0)
            for j in range(1, m + 1):
                term = symmetric[m - j] * newton[j - 1]
                value += term if j % 2 else -term
            symmetric.append(value / m)
        return symmetric


class _Level(NamedTuple):
    """Clocks whose rates, times `scale`, lie in (2^-64, 1]: there no power underflows.

    sums[r - 1, i] is the sum of (rate * scale)^r over clocks start + i .. end - 1, within (r + 4)
    unit roundoffs: r - 1 products, and a compensated sum.
    """

    start: int
    end: int
    scale: float
    sums: FloatArray


def _levels(rates: FloatArray) -> list[_Level]:
    """Power sums of clocks sorted by descending rate, level by level of 64 binary orders."""
    exponent = np.frexp(rates)[1] // 64
    edges = [0, *(np.flatnonzero(np.diff(exponent)) + 1).tolist(), len(rates)]
    levels = []
    for start, end in itertools.pairwise(edges):
        # Two halves, as one factor of 2^1074 does not exist.
        half = 2.0 ** int(-(int(exponent[start]) * 64 + 64) // 2)
        scaled = rates[start:end] * half * half
        sums = np.empty((NUM_POWERS, end - start + 1))
        power = np.ones_like(scaled)
        for r in range(NUM_POWERS):
            power = power * scaled
            sums[r] = sums_to_the_end(power)
        levels.append(_Level(start, end, half, sums))
    return levels


@lru_cache(maxsize=64)
def _series(j: int) -> tuple[Fraction, ...]:
    """Coefficients of x, x^2, .., x^NUM_POWERS in (e^x - 1)^j."""
    series = [Fraction(0)] * (NUM_POWERS + 1)
    series[0] = Fraction(1)
    exponential = [Fraction(0)] + [Fraction(1, math.factorial(r)) for r in range(1, NUM_POWERS + 1)]
    for _ in range(j):
        series = [
            sum((series[i] * exponential[r - i] for i in range(r)), Fraction(0))
            for r in range(NUM_POWERS + 1)
        ]
    return tuple(series[1:])


@lru_cache(maxsize=64)
def _series_rest(j: int) -> float:
    """Bound on what the series of (e^x - 1)^j leaves out, as a multiple of x, for x <= LIGHT.

    The coefficient of x^r is at most (e^2 - 1)^j / 2^r (its terms at x = 2 are all positive).
    """
    ratio = LIGHT * 1.001 / 2.0
    return 1.001 * math.expm1(2.0) ** j / 2.0 * ratio**NUM_POWERS / (1.0 - ratio)


@lru_cache(maxsize=64)
def _trapezoid_step(num_drafts: int) -> float:
    """A step in ln t with a proven error below `STEP_ERROR`, within 5 % of the longest."""
    step = 0.25
    while _trapezoid_error(num_drafts, step) > STEP_ERROR:
        step *= 0.95
    return step


@lru_cache(maxsize=64)
def _trapezoid_error(num_drafts: int, step: float) -> float:
    """Bound (2) of `exponential_clocks`, in balls, at the best of many angles."""
    arb = flint().arb
    angles = np.linspace(0.3, math.pi / 2 - 1e-3, 800)
    log_bound = -num_drafts * np.log(np.cos(angles)) - 2.0 * math.pi * angles / step
    angle = arb(float(angles[log_bound.argmin()]))
    bound = 2 * angle.cos() ** -num_drafts / (2 * arb.pi() * angle / arb(step)).expm1()
    return float(bound.upper()) * (1.0 + 1e-12)


def _fraction(number: Any) -> Fraction:
    mantissa, exponent = number.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _clip(value: Fraction) -> Fraction:
    return min(max(value, Fraction(0)), Fraction(1))
