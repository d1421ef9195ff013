"""Time of the canonical decomposition and its selection rule, and a million simulated draws.

    python -m benchmarks.canonical                       tables
    python -m benchmarks.canonical --cache CACHE         the same with rows of a real capture
    python -m benchmarks.canonical --draws 1000000       draws of the two-step scheme

A position's time is the decomposition plus the selection probabilities of one tuple drawn from the
draft, input checks included; the fastest of five repeats, after one run to compile.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import numpy as np

from benchmarks.side_by_side import captured_logits, environment, synthetic_logits
from mdbound import bounds
from mdbound.errors import UnsolvedError

VOCABULARY = 50_000
"""Tokens of the timed rows, about as many as the models of a laptop have."""
SHAPES = ("flat", "realistic", "peaked")
COUNTS = (2, 4, 8)
REPEATS = 5


def rows(cache: str | None, shape: str, count: int, vocab_size: int) -> list[tuple[Any, Any]]:
    """Target and draft distributions."""
    logits = captured_logits(cache, count) if cache else synthetic_logits(shape, count, vocab_size)
    p, q = (bounds.distribution_from_logits(each) for each in logits)
    return list(zip(p, q, strict=True))


def position_seconds(p: Any, q: Any, num_drafts: int, drafted: Any) -> tuple[float, float]:
    """Fastest decomposition and fastest selection."""
    decompose, select = math.inf, math.inf
    for _ in range(REPEATS):
        start = time.perf_counter()
        decomposition = bounds.canonical_decomposition(p, q, num_drafts)
        middle = time.perf_counter()
        decomposition.selection_probabilities(drafted)
        select = min(select, time.perf_counter() - middle)
        decompose = min(decompose, middle - start)
    return decompose, select


def time_positions(cache: str | None, count: int, vocab_size: int) -> None:
    """A line per shape and n: median and worst milliseconds, and how many positions succeeded."""
    rng = np.random.default_rng(0)
    print("shape      n   decompose    select  in all: median   worst   solved")
    for shape in ("capture",) if cache else SHAPES:
        problems = rows(cache, shape, count, vocab_size)
        for n in COUNTS:
            times, solved = [], 0
            for k, (p, q) in enumerate(problems):
                drafted = np.searchsorted(np.cumsum(q), rng.random(n)).clip(max=len(q) - 1)
                drafted = np.where(q[drafted] > 0.0, drafted, q.argmax())
                try:
                    if k == 0:
                        position_seconds(p, q, n, drafted)
                    times.append(position_seconds(p, q, n, drafted))
                    solved += 1
                except UnsolvedError as error:
                    print(f"not solved: {error}")
            milliseconds = 1e3 * np.array(times)
            total = milliseconds.sum(axis=1)
            print(
                f"{shape:9} {n:2}  {np.median(milliseconds[:, 0]):8.2f}  "
                f"{np.median(milliseconds[:, 1]):8.2f}  {np.median(total):14.2f}  "
                f"{total.max():6.2f}   {solved}/{len(problems)}"
            )


def simulate(draws: int, vocab_size: int) -> None:
    """Accept rate of the two-step scheme and frequencies of its output, in standard errors."""
    for shape in SHAPES:
        logits = synthetic_logits(shape, 1, vocab_size)
        p, q = (bounds.distribution_from_logits(each)[0] for each in logits)
        for n in COUNTS:
            rng = np.random.default_rng(n)
            decomposition = bounds.canonical_decomposition(p, q, n)
            drafted = rng.choice(vocab_size, size=(draws, n), p=q)
            token = decomposition.select(drafted, rng)
            keep = np.minimum(1.0, p / np.maximum(decomposition.selected, 1e-300))
            accepted = rng.random(draws) < keep[token]
            residual = decomposition.residual()
            output = np.where(accepted, token, rng.choice(vocab_size, size=draws, p=residual))
            rate = decomposition.acceptance
            off = (accepted.mean() - rate) / math.sqrt(max(rate * (1 - rate), 1e-12) / draws)
            heavy = np.argsort(-p)[:100]
            counts = np.bincount(output, minlength=vocab_size)[heavy] / draws
            worst = np.abs((counts - p[heavy]) / np.sqrt(p[heavy] * (1 - p[heavy]) / draws)).max()
            print(
                f"{shape:9} n {n}: {draws:,} draws, accept rate {accepted.mean():.6f}, optimum "
                f"{rate:.6f} ({off:+.2f} standard errors); worst of 100 output frequencies "
                f"{worst:.2f} standard errors"
            )


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", help="capture whose first rows are timed")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--draws", type=int, default=0)
    parser.add_argument("--vocab-size", type=int, default=VOCABULARY)
    options = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    time_positions(options.cache, options.rows, options.vocab_size)
    if options.draws:
        simulate(options.draws, options.vocab_size)


if __name__ == "__main__":
    main()
