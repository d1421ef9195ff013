"""Legal rows of every awkward kind, through every law, scheme, decomposition and sampler.

Nothing may come back but values in range and the refusals that are documented; every one of them is
counted. By hand: `python -m tests.adversarial --rows 100000 --seed 0`.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdbound import bounds, schemes
from mdbound.errors import InvalidDistributionError, InvalidSettingError, MdboundError
from tests.hard_rows import adversarial_row, random_distribution

LAWS = ("with_replacement", "without_replacement", "greedy")
DOCUMENTED = (InvalidDistributionError, InvalidSettingError)
"""What a legal row may be refused with, where a message in `REFUSALS` says why."""

REFUSALS = (
    "takes exactly 2 drafts",
    "takes 1 to 1 drafts",
    "takes exactly 1 drafts",
    "needs identical drafts",
    "too small to",  # a draft so light that renormalised draws overflow
    "can be run for identical",
)

Row = np.ndarray


@dataclass
class Found:
    """What came of the rows.

    Attributes:
        counts: how often each call answered or refused, by name.
        faults: what must not be: a call, the row, and what was wrong.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def try_call(self, name: str, row: tuple[Any, ...], call: Callable[[], str | None]) -> None:
        """Run one call; what it returns is what is wrong, None for nothing."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                wrong = call()
        except DOCUMENTED as error:
            known = any(text in str(error) for text in REFUSALS)
            self.counts[f"{name}: refused"] += 1
            if not known:
                self.faults.append(f"{name} {row!r}: {error}")
        except (MdboundError, ArithmeticError, ValueError, TypeError, IndexError, Warning) as error:
            self.faults.append(f"{name} {row!r}: {type(error).__name__}: {error}")
        else:
            self.counts[name] += 1
            if wrong:
                self.faults.append(f"{name} {row!r}: {wrong}")


def rows(count: int, seed: int) -> Iterator[tuple[Row, list[Row], int]]:
    """Target, n drafts and n: 1 to 7 tokens, ties, zeros, decades, p = q, almost normalised."""
    rng = np.random.default_rng(seed)
    for case in range(count):
        size, n = int(rng.integers(1, 8)), int(rng.integers(1, 6))
        if case % 2:
            p, *drafts = (adversarial_row(rng, int(rng.integers(9)), size) for _ in range(n + 1))
        else:
            p, *drafts = (random_distribution(rng, size) for _ in range(n + 1))
        if case % 5 == 0:
            drafts[0] = p
        if case % 7 == 0:
            p = p * (1.0 + rng.uniform(-9e-10, 9e-10))  # as near to normalised as is allowed
        yield p, drafts, n


def check(found: Found, p: Row, drafts: list[Row], n: int, rng: np.random.Generator) -> None:
    """Put one row through everything."""
    q = drafts[0]
    row = (p.tolist(), [each.tolist() for each in drafts], n)
    for law in LAWS:
        found.try_call(f"bound {law}", row, lambda law=law: _in_range(bounds.solve(p, q, n, law)))
    found.try_call(
        "bound independent", row, lambda: _in_range(bounds.solve(p, drafts, n, "independent"))
    )
    for law in LAWS:
        found.try_call(
            f"decomposition {law}", row, lambda law=law: _decomposition(p, q, n, law, rng)
        )
    if n <= 3:
        found.try_call(
            "decomposition independent", row, lambda: _decomposition_independent(p, drafts, n, rng)
        )
    found.try_call("closed form of two drafts", row, lambda: _two(p, q))
    for name in schemes.names():
        scheme = schemes.get(name)
        found.try_call(f"rate {name}", row, lambda scheme=scheme: _rate(scheme, p, q, n))
        found.try_call(f"runs {name}", row, lambda scheme=scheme: _runs(scheme, p, q, n, rng))
    for name in ("nss", "first_draft", "importance_sampling"):
        scheme = schemes.get(name)
        found.try_call(
            f"rate {name}, different laws", row, lambda scheme=scheme: _rate(scheme, p, drafts, n)
        )


def _in_range(solution: Any) -> str | None:
    if not 0.0 <= solution.acceptance <= 1.0:
        return f"acceptance {solution.acceptance}"
    if not 0.0 < solution.error_bound < 1e-10:
        return f"error bound {solution.error_bound}"
    return None


def _decomposition(p: Row, q: Row, n: int, law: str, rng: np.random.Generator) -> str | None:
    rule = bounds.canonical_decomposition(p, q, n, law)
    best = bounds.optimal_acceptance(p, q, n, law)
    if abs(rule.acceptance - best) > 1e-9:
        return f"{rule.acceptance} where the optimum is {best}"
    drafted = _draw(q, n, law, rng)
    law_of = rule.selection_probabilities(drafted)
    if abs(sum(law_of.values()) - 1.0) > 1e-9 or min(law_of.values()) < 0.0:
        return f"selection {law_of} of {drafted}"
    return None


def _decomposition_independent(
    p: Row, drafts: list[Row], n: int, rng: np.random.Generator
) -> str | None:
    rule = bounds.canonical_decomposition(p, drafts, n, "independent")
    best = bounds.optimal_acceptance(p, drafts, n, "independent")
    if abs(rule.acceptance - best) > 1e-9:
        return f"{rule.acceptance} where the optimum is {best}"
    drafted = [int(rng.choice(len(q), p=q / q.sum())) for q in drafts]
    law_of = rule.selection_probabilities(drafted)
    if abs(sum(law_of.values()) - 1.0) > 1e-9 or min(law_of.values()) < 0.0:
        return f"selection {law_of} of {drafted}"
    return None


def _draw(q: Row, n: int, law: str, rng: np.random.Generator) -> list[int]:
    if law == "with_replacement":
        return [int(x) for x in rng.choice(len(q), size=n, p=q / q.sum())]
    support = np.flatnonzero(q)
    if law == "greedy":
        support = np.argsort(-q, kind="stable")[: len(support)]
        top = support[: n - 1].tolist()
        return [*top, *(int(x) for x in rng.permutation(support[n - 1 :])[:1])]
    return [int(x) for x in rng.permutation(support)[:n]]


def _two(p: Row, q: Row) -> str | None:
    value = bounds.two_draft_acceptance(p, q)
    best = bounds.optimal_acceptance(p, q, 2)
    return None if abs(value - best) <= 1e-9 else f"{value} where the optimum is {best}"


def _rate(scheme: schemes.Scheme, p: Row, q: Any, n: int) -> str | None:
    rate = scheme.acceptance(p, q, n)
    if not (0.0 <= rate.accept <= 1.0 and 0.0 <= rate.membership <= 1.0):
        return f"rates {rate}"
    if rate.membership < rate.accept - 1e-9 - 6 * rate.standard_error:
        return f"accepts more by its step than in all: {rate}"
    return None


def _runs(scheme: schemes.Scheme, p: Row, q: Row, n: int, rng: np.random.Generator) -> str | None:
    samples = scheme.sample(p, q, n, rng, 8)
    if (p[samples.output] == 0.0).any():
        return f"put out a token of target probability 0: {samples.output.tolist()}"
    drafted = [int(token) for token in samples.drafts[0] if token >= 0]
    if len(drafted) == n:
        law = scheme.output_law(p, q, drafted)
        if abs(sum(law.values()) - 1.0) > 1e-6:
            return f"the law of the output sums to {sum(law.values())} for {drafted}"
    return None


def run(count: int, seed: int, every: int = 0) -> Found:
    """Put rows through everything; with `every`, say how far it is."""
    found = Found()
    rng = np.random.default_rng([seed, 1])
    began = time.monotonic()
    for done, (p, drafts, n) in enumerate(rows(count, seed), 1):
        check(found, p, drafts, n, rng)
        if every and done % every == 0:
            took = time.monotonic() - began
            sys.stderr.write(f"{done:,} rows, {len(found.faults)} faults, {took:.0f} s\n")
    return found


def main() -> None:
    """Print counts and faults; exit with 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = run(options.rows, options.seed, every=max(1, options.rows // 20))
    for name, count in sorted(found.counts.items()):
        sys.stdout.write(f"{count:9,}  {name}\n")
    for fault in found.faults[:20]:
        sys.stdout.write(f"FAULT {fault}\n")
    sys.stdout.write(f"{options.rows:,} rows, {len(found.faults)} faults\n")
    sys.exit(bool(found.faults))


if __name__ == "__main__":
    main()
