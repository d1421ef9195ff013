"""How strongly draws speak against a law that they should have: a test that may look at any time.

Under the law the likelihood of any other model of the draws, over the law's own, has expectation 1
whenever it is looked at: that it ever reaches 1 / level has probability of at most level (Ville).
The other model is Dirichlet draws around the law, mixed over how far around: its likelihood has a
closed form in the counts, and it adapts to faults of any kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray, IntArray

SPREADS = (30.0, 300.0, 3000.0, 12000.0)
"""Sums of the Dirichlet weights, small ones for gross faults and large ones for slight faults among
many outcomes; each costs the evidence a quarter at most."""

RUNS = 20_000
"""Draws of a problem: what finds a total variation of 0.05 with probability 0.99 (tests)."""
LEVEL = 1e-3
"""Largest probability that a lossless rule is accused, over the whole audit."""

_FIRST_LOOK = 50
_GROWTH = 1.2
"""Of the draws between looks; a look costs little, a later one finds a gross fault later."""


def log_evidence(counts: npt.ArrayLike, law: FloatArray) -> float:
    """Logarithm of the likelihood ratio against the law; infinite where it excludes what was seen.

    Args:
        counts: how often each outcome was drawn, (k,).
        law: its probability, (k,).

    Example:
        >>> law = np.array([0.5, 0.5])
        >>> log_evidence([500, 500], law) < 0 < log_evidence([600, 400], law) / 10
        True
        >>> log_evidence([1, 0], np.array([0.0, 1.0]))
        inf
    """
    from scipy.special import gammaln

    seen = np.asarray(counts, dtype=np.float64)
    if (seen[law == 0.0] > 0).any():
        return math.inf
    open_law, open_seen = law[law > 0.0], seen[law > 0.0]
    total = open_seen.sum()
    ratios = [
        gammaln(spread)
        - gammaln(spread + total)
        + (gammaln(spread * open_law + open_seen) - gammaln(spread * open_law)).sum()
        - (open_seen * np.log(open_law)).sum()
        for spread in SPREADS
    ]
    return float(np.logaddexp.reduce(ratios) - math.log(len(SPREADS)))


@dataclass(frozen=True)
class Draws:
    """What the draws of one problem showed.

    Attributes:
        counts: of each outcome, (k,).
        log_evidence: the largest over the looks.
        alarm: whether it reached the threshold, after which nothing more was drawn.

    Example:
        >>> Draws(np.array([1, 1]), 0.0, False).runs
        2
    """

    counts: IntArray
    log_evidence: float
    alarm: bool

    @property
    def runs(self) -> int:
        """Number of draws."""
        return int(self.counts.sum())


def draw_until(
    draw: Callable[[int], IntArray], law: FloatArray, runs: int, threshold: float
) -> Draws:
    """Draw outcomes until the evidence reaches a threshold, or there were enough.

    Args:
        draw: given a number of runs, their outcomes, each 0 to k - 1.
        law: what they should follow, (k,).
        runs: the most that are drawn.
        threshold: logarithm of the evidence that is an alarm.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> fair = np.array([0.5, 0.5])
        >>> draw_until(lambda size: (rng.random(size) < 0.8).astype(int), fair, 20_000, 10.0).alarm
        True
    """
    counts = np.zeros(len(law), dtype=np.int64)
    most = -math.inf
    for until in looks(runs):
        counts += np.bincount(draw(until - int(counts.sum())), minlength=len(law))
        most = max(most, log_evidence(counts, law))
        if most >= threshold:
            return Draws(counts, most, True)
    return Draws(counts, most, False)


def looks(runs: int) -> Iterator[int]:
    """Numbers of runs after which the evidence is looked at; the last is all of them.

    Example:
        >>> list(looks(100))
        [50, 60, 72, 86, 100]
    """
    until = _FIRST_LOOK
    while until < runs:
        yield until
        until = int(until * _GROWTH)
    yield runs


def alarm_at(level: float, problems: int) -> float:
    """Threshold of the log evidence of each problem, so that all together keep the level.

    Example:
        >>> round(alarm_at(1e-3, 10), 3)
        9.21
    """
    return math.log(problems / level)
